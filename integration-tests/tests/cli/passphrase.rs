//! Keys under a passphrase: where it comes from, what lies on the disk then, and that everything else goes on as before.

mod interrupted;
#[cfg(unix)]
mod prompt;
mod secrets;
mod sources;

use std::path::{Path, PathBuf};

use spool_integration_tests::daemon::{Outcome, Repo};

/// The environment's name for it.
const VARIABLE: &str = "SPOOL_PASSPHRASE";

/// Exit code and stable name of a command that failed.
fn reason(outcome: &Outcome) -> (Option<i32>, String) {
    (outcome.code, outcome.error().1)
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A copy of a directory.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(std::fs::copy(entry.path(), place).unwrap()),
        }
    }
}

/// A repository under this passphrase, which its commands are given.
fn protected(name: &str, passphrase: &str) -> Repo {
    let repo = Repo::nothing(name).with_variable(VARIABLE, passphrase);
    repo.text(&["init", "--name", name]);
    repo
}
