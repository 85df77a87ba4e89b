//! The tour of `make run`, and the walk of `README.md`.

use std::{path::Path, process::Command};

use spool_integration_tests::daemon::program;

#[test]
fn the_tour_ends_well() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tour = Command::new(root.join("scripts/tour")).env("SPOOL_BIN", program()).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&tour.stdout), String::from_utf8_lossy(&tour.stderr));
    assert_eq!(tour.status.code(), Some(0), "{text}\n{errors}");
    assert!(text.contains("The strongest, as the reader has it: magnitude"), "{text}");
    println!("{text}");
}

#[test]
fn the_walk_of_the_readme_is_as_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let walk = Command::new(root.join("scripts/check-readme")).env("SPOOL_BIN", program()).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&walk.stdout), String::from_utf8_lossy(&walk.stderr));
    assert_eq!(walk.status.code(), Some(0), "{text}\n{errors}");
    assert!(text.contains("all as it says"), "{text}");
}
