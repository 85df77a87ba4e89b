//! One byte on disk is not what it was.

use std::{ops::ControlFlow, path::Path};

use serde_json::json;
use spool_integration_tests::daemon::Repo;
use spool_store::kv::{Batch, Kv, Reads as _, Rocks, Space, rocks};

const EVENTS: usize = 12;

/// Changes one bit of the value at the `index`th key of a space; the daemon must not run.
fn flip(repo: &Path, space: Space, index: usize, byte: impl Fn(usize) -> usize) {
    let store = Rocks::open(&repo.join("store"), &rocks::Options::default()).unwrap();
    let mut found = Vec::new();
    store
        .scan(space, &[], &[], &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    let (key, mut value) = found.swap_remove(index);
    let byte = byte(value.len());
    value[byte] ^= 1;
    let mut batch = Batch::default();
    batch.put(space, key, value);
    store.write(&batch, true).unwrap();
}

/// Flips a bit and lets `check` look at the daemon; then flips it back, and all is well.
fn with_a_flipped_bit(repo: &Repo, space: Space, index: usize, byte: impl Fn(usize) -> usize + Copy, check: impl Fn()) {
    flip(repo.path(), space, index, byte);
    let daemon = repo.start(&[]);
    check();
    assert_eq!(daemon.stop().code(), Some(0));
    flip(repo.path(), space, index, byte);
    let daemon = repo.start(&[]);
    let report = &repo.json(&["verify", "notes"])[0];
    assert_eq!((&report["faults"], &report["records"]), (&json!(0), &json!(EVENTS)));
    assert_eq!(daemon.stop().code(), Some(0));
}

fn repo_with_events() -> Repo {
    let repo = Repo::new("damaged");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    for number in 1..EVENTS {
        repo.text(&["append", "notes", &format!("event {number}")]);
    }
    // The last one has a block.
    let file = repo.path().join("file");
    std::fs::write(&file, vec![b'x'; 20_000]).unwrap();
    repo.text(&["add", "notes", file.to_str().unwrap()]);
    assert_eq!(daemon.stop().code(), Some(0));
    repo
}

#[test]
fn verify_finds_one_flipped_bit_in_any_part_of_a_record() {
    let repo = repo_with_events();
    type Position = fn(usize) -> usize;
    // The key id, the first byte of what is sealed, one in the middle, and the last.
    let places: [(usize, Position); 4] =
        [(0, |_| 3), (4, |_| 16), (7, |length| length / 2), (EVENTS - 1, |length| length - 1)];
    for (index, byte) in places {
        with_a_flipped_bit(&repo, Space::Records, index, byte, || {
            let verify = repo.run(["verify", "notes", "--json"]);
            assert_eq!(verify.code, Some(5), "{verify:?}");
            let steps = verify.json();
            let fault = &steps[0];
            assert_eq!(
                (&fault["step"], &fault["kind"], &fault["counter"]),
                (&json!("fault"), &json!("seal"), &json!(index + 1)),
                "{steps:?}"
            );
            let report = steps.last().unwrap();
            assert_eq!(report["step"], json!("done"));
            assert!(report["faults"].as_u64().unwrap() >= 1);
            let (code, reason, message) = verify.error();
            assert_eq!((code, reason.as_str()), (5, "verification-failed"), "{message}");

            let verify = repo.run(["verify", "notes"]);
            assert_eq!(verify.code, Some(5), "{verify:?}");
            assert!(verify.text().contains("FAULT seal: "), "{verify:?}");
            assert!(verify.text().contains(&format!(" #{}", index + 1)), "{verify:?}");
        });
    }
}

#[test]
fn a_flipped_bit_in_a_block_is_found_and_never_printed() {
    let repo = repo_with_events();
    let daemon = repo.start(&[]);
    let entry = repo.json(&["log", "notes", "--last", "1"]).remove(0);
    assert_eq!(daemon.stop().code(), Some(0));
    let record = entry["cid"].as_str().unwrap();
    with_a_flipped_bit(
        &repo,
        Space::Blocks,
        0,
        |length| length / 2,
        || {
            let verify = repo.run(["verify", "notes", "--json"]);
            assert_eq!(verify.code, Some(5), "{verify:?}");
            let fault = &verify.json()[0];
            assert_eq!((&fault["kind"], &fault["counter"]), (&json!("body"), &json!(EVENTS)), "{fault}");
            // Only the records were asked for, and they are good.
            assert_eq!(repo.json(&["verify", "notes", "--skip-bodies"])[0]["faults"], json!(0));
            let cat = repo.run(["cat", record]);
            assert_eq!((cat.code, cat.stdout.len()), (Some(5), 0), "{cat:?}");
            assert!(cat.stderr.contains("damaged"), "{cat:?}");
            assert!(repo.text(&["log", "notes", "--last", "1"]).contains("spool verify"));
        },
    );
}
