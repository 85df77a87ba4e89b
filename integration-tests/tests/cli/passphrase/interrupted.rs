//! A process that is killed while it sets or removes a passphrase.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;
use spool_integration_tests::{PATIENCE, daemon::Repo};

use super::{VARIABLE, copy};

/// Kills of each kind, at least.
const KILLS: u32 = 3;
/// So often it may be done before it is killed, where the machine is busy and it is quick.
const MISSES: u32 = 20;

/// Runs a command, and kills it so long after `begun` first holds. Whether it was killed before it was done.
fn killed(repo: &Repo, args: &[&str], begun: impl Fn() -> bool, after: Duration) -> bool {
    let mut child = repo.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let mut since = None;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{args:?}: {status}");
            return false;
        }
        if since.is_none() && begun() {
            since = Some(Instant::now());
        }
        if since.is_some_and(|since| since.elapsed() >= after) {
            child.kill().unwrap();
            return !child.wait().unwrap().success();
        }
        assert!(start.elapsed() < PATIENCE, "{args:?} does not begin");
        std::thread::yield_now();
    }
}

/// That everything is there, with the daemon running, and a passphrase where it has one.
fn is_whole(path: &Path, phrase: &str) {
    let repo = Repo::existing(path);
    let repo = if path.join("repo.key").exists() { repo.with_variable(VARIABLE, "right") } else { repo };
    assert_eq!(repo.text(&["id", "--phrase"]), phrase);
    let daemon = repo.start(&[]);
    let texts: Vec<_> = repo.json(&["log", "notes"]).iter().map(|entry| entry["body"]["text"].clone()).collect();
    assert_eq!(texts, [json!("kept")]);
    assert_eq!(daemon.stop().code(), Some(0));
    // Starting has finished what was interrupted.
    let outcome = repo.run(["doctor", "--json"]);
    assert!(!outcome.text().contains("interrupted"), "{outcome:?}");
}

/// Kills `args` at moments that come later and later, on copies of a repository, until one is done.
fn at_every_moment(whole: &Repo, args: &[&str], phrase: &str) {
    let layout = |path: &Path| std::fs::read_to_string(path.join("version")).unwrap_or_default();
    let key = |path: &Path| std::fs::read(path.join("repo.key")).ok();
    let (mut kills, mut misses) = (0, 0);
    for attempt in 0u64.. {
        let path = whole.path().with_file_name(format!("{}-{attempt}", args[2]));
        copy(whole.path(), &path);
        let repo = Repo::existing(&path).with_variable(VARIABLE, "right");
        let before = (layout(&path), key(&path));
        // From the first file that it has changed.
        let begun = || (layout(&path), key(&path)) != before;
        // Close together at first, where it is quick, and further apart where it takes its time.
        let moment = Duration::from_millis(u64::from(kills) * u64::from(kills));
        if killed(&repo, args, begun, moment) {
            kills += 1;
            is_whole(&path, phrase);
        } else if kills >= KILLS || misses >= MISSES {
            break;
        } else {
            misses += 1;
        }
    }
    // Where one is so quick that it is never killed there is nothing to see.
    assert!(kills >= KILLS, "only {kills} kills");
}

#[test]
fn a_kill_at_any_moment_leaves_a_repository_that_starts() {
    let repo = Repo::new("whole");
    let phrase = std::fs::read_to_string(repo.path().join("identity")).unwrap().trim().to_owned();
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    repo.text(&["append", "notes", "kept"]);
    assert_eq!(daemon.stop().code(), Some(0));
    at_every_moment(&repo, &["repo", "passphrase", "set"], &phrase);
    let repo = repo.with_variable(VARIABLE, "right");
    repo.text(&["repo", "passphrase", "set"]);
    at_every_moment(&repo, &["repo", "passphrase", "remove"], &phrase);
}
