//! The tour of `make run`.

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
