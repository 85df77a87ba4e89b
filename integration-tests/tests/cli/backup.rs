//! Backups: made of a node that writes, put back as another device, and no log forks.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::{Value, json};
use spool_integration_tests::{
    PATIENCE,
    daemon::{Daemon, Outcome, Repo},
};

/// Where a repository would be that is not made yet.
struct Place {
    path: PathBuf,
    repo: Repo,
}

impl Place {
    /// Beside `repo`, whose commands it runs with another directory.
    fn beside(repo: Repo, name: &str) -> Self {
        Self { path: repo.path().with_file_name(name), repo }
    }

    fn run(&self, args: &[&str]) -> Outcome {
        self.repo.run([args, &["--repo", self.path.to_str().unwrap()]].concat())
    }
}

fn heads(repo: &Repo) -> Vec<(String, u64)> {
    let shown = repo.json(&["thread", "show", "notes"]).remove(0);
    let logs = shown["logs"].as_array().unwrap_or_else(|| panic!("{shown}"));
    for log in logs {
        assert!(log["fork"].is_null(), "{shown}");
    }
    let head = |log: &Value| (log["id"].as_str().unwrap().to_owned(), log["counter"].as_u64().unwrap_or(0));
    logs.iter().map(head).collect()
}

fn bodies(repo: &Repo) -> Vec<String> {
    let mut bodies: Vec<String> = repo.json(&["log", "notes"]).iter().map(|entry| entry["body"].to_string()).collect();
    bodies.sort_unstable();
    bodies
}

/// Appends without end, until it is killed.
fn appending(repo: &Repo) -> (Child, std::thread::JoinHandle<()>) {
    let mut child = repo
        .command(["append", "notes", "--stdin", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        for number in 0.. {
            if std::io::Write::write_all(&mut stdin, format!("{{\"number\":{number}}}\n").as_bytes()).is_err() {
                return;
            }
        }
    });
    (child, feeding)
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn connect(repo: &Repo, daemon: &Daemon) {
    repo.text(&["peers", "connect", &daemon.address()]);
}

#[test]
fn a_backup_of_a_node_that_writes_is_another_device_and_nothing_forks() {
    let repo = Repo::new("writer");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    repo.text(&["append", "notes", "before the backup"]);
    let records = || repo.json(&["stat"])[0]["records"].as_u64().unwrap();
    let (mut child, feeding) = appending(&repo);
    wait_for("it writes", || records() > 500);
    let before = records();
    let directory = repo.path().with_file_name("backup");
    let made = repo.json(&["repo", "backup", directory.to_str().unwrap()]).remove(0);
    assert!(made["files"].as_u64().unwrap() > 5 && made["bytes"].as_u64().unwrap() > 10_000, "{made}");
    let after = records();
    wait_for("it writes on", || records() > after);
    child.kill().unwrap();
    child.wait().unwrap();
    feeding.join().unwrap();
    repo.text(&["append", "notes", "after the backup"]);

    // All of it is private, and no daemon takes it for a repository.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        [mode(&directory), mode(&directory.join("identity")), mode(&directory.join("node.key"))],
        [0o700, 0o600, 0o600]
    );
    let refused = repo.run(["daemon", "--repo", directory.to_str().unwrap(), "--json"]);
    assert_eq!((refused.code, refused.error().1.as_str()), (Some(6), "is-a-backup"), "{refused:?}");

    // Beside the node that it is of, so with a peer id of its own.
    let place = Place::beside(repo, "restored");
    let restored =
        place.run(&["repo", "restore", directory.to_str().unwrap(), "--new-peer", "--json"]).json().remove(0);
    let id = place.repo.json(&["id"]).remove(0);
    assert_eq!(restored["identity"], id["identity"]);
    assert!(restored["device"] != id["device"] && restored["peer_id"] != id["peer_id"], "{restored} {id}");
    let Place { path, repo } = place;
    let copy = Repo::existing(&path);
    let second = copy.start(&[]);
    let held = copy.json(&["stat"])[0]["records"].as_u64().unwrap();
    assert!(before <= held && held <= after, "{before} <= {held} <= {after}");
    let verified = copy.json(&["verify", "notes"]).pop().unwrap();
    assert_eq!(verified["faults"], json!(0), "{verified}");

    // Both write, then meet.
    copy.text(&["append", "notes", "by the restored node"]);
    repo.text(&["append", "notes", "by the node itself"]);
    connect(&copy, &daemon);
    copy.text(&["sync", "notes"]);
    repo.text(&["sync", "notes"]);
    wait_for("both have the same", || heads(&copy) == heads(&repo));
    assert_eq!(heads(&repo).len(), 2, "one log each: {:?}", heads(&repo));
    assert_eq!(bodies(&copy), bodies(&repo));
    for _ in 0..3 {
        copy.text(&["append", "notes", "and on"]);
        repo.text(&["append", "notes", "and on"]);
    }
    wait_for("both have the same again", || heads(&copy) == heads(&repo));
    assert_eq!([daemon.stop().code(), second.stop().code()], [Some(0); 2]);
}

#[test]
fn a_repository_without_a_daemon_is_backed_up_and_replaced() {
    let repo = Repo::new("closed");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    repo.text(&["append", "notes", "kept"]);
    let address = daemon.peer().to_owned();
    assert_eq!(daemon.stop().code(), Some(0));
    let directory = repo.path().with_file_name("backup");
    let text = repo.text(&["repo", "backup", directory.to_str().unwrap()]);
    assert!(text.contains(directory.to_str().unwrap()), "{text}");

    let place = Place::beside(repo, "replacement");
    let outcome = place.run(&["repo", "restore", directory.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.text().contains("(new)") && outcome.stderr.contains("new device"), "{outcome:?}");
    let copy = Repo::existing(&place.path);
    let daemon = copy.start(&[]);
    assert_eq!(daemon.peer(), address, "it takes the place of the other");
    copy.text(&["append", "notes", "more"]);
    assert_eq!(heads(&copy).into_iter().map(|(_, counter)| counter).collect::<Vec<_>>(), [1, 1]);
}

/// The first one waits for a file of the repository that cannot be read to its end yet.
#[test]
fn one_backup_at_a_time_is_made_and_who_asks_for_another_is_told() {
    let repo = Repo::new("busy");
    let daemon = repo.start(&[]);
    let device = repo.path().join("device");
    let content = std::fs::read(&device).unwrap();
    std::fs::remove_file(&device).unwrap();
    assert!(Command::new("mkfifo").arg(&device).status().unwrap().success());
    let [first, second] = ["first", "second"].map(|name| repo.path().with_file_name(name));
    let mut making = repo.command(["repo", "backup", first.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the first backup has begun", || first.join("store").exists());
    let another = || repo.run(["repo", "backup", second.to_str().unwrap(), "--json"]);
    let refused = another();
    assert_eq!((refused.code, refused.error().1.as_str()), (Some(7), "busy"), "{refused:?}");
    assert!(refused.error().2.contains("a backup is being made"), "{refused:?}");
    assert!(!second.exists());
    std::fs::write(&device, &content).unwrap();
    std::fs::remove_file(&device).unwrap();
    std::fs::write(&device, &content).unwrap();
    assert_eq!(making.wait().unwrap().code(), Some(0));
    assert_eq!(another().code, Some(0));
    assert_eq!(std::fs::read(first.join("device")).unwrap(), content);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn nothing_is_overwritten_and_nothing_damaged_is_put_back() {
    let repo = Repo::new("careful");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    repo.text(&["append", "notes", "kept"]);
    let reason = |outcome: &Outcome, code: i32| {
        assert_eq!(outcome.code, Some(code), "{outcome:?}");
        outcome.error().1
    };
    let backup = |directory: &Path| repo.run(["repo", "backup", directory.to_str().unwrap(), "--json"]);
    let full = repo.path().with_file_name("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("precious"), "data").unwrap();
    assert_eq!(reason(&backup(&full), 6), "not-empty");
    assert_eq!(std::fs::read_dir(&full).unwrap().count(), 1);
    // Once `missing` was made this would be the directory that is full.
    let around = full.join("missing/..");
    assert_eq!(reason(&backup(&around), 2), "unclear-path");
    let init = repo.run(["init", "--repo", repo.path().join("missing/..").to_str().unwrap(), "--json"]);
    assert_eq!(reason(&init, 2), "unclear-path");
    assert_eq!(std::fs::read(full.join("precious")).unwrap(), b"data");
    assert!(!full.join("missing").exists() && !repo.path().join("missing").exists());
    assert_eq!(reason(&backup(&repo.path().join("within")), 2), "within-repository");
    assert!(!repo.path().join("within").exists());
    let good = repo.path().with_file_name("good");
    assert_eq!(backup(&good).code, Some(0));
    assert_eq!(reason(&backup(&good), 6), "not-empty");
    let to_around = ["repo", "restore", good.to_str().unwrap(), "--repo", around.to_str().unwrap(), "--json"];
    assert_eq!(reason(&repo.run(to_around), 2), "unclear-path");
    assert_eq!(std::fs::read_dir(&full).unwrap().count(), 1);
    assert_eq!(daemon.stop().code(), Some(0));

    let place = Place::beside(repo, "new");
    let restore = |from: &Path| place.run(&["repo", "restore", from.to_str().unwrap(), "--json"]);
    assert_eq!(reason(&restore(&full), 3), "no-backup");
    let over = place.repo.run(["repo", "restore", good.to_str().unwrap(), "--json"]);
    assert_eq!(reason(&over, 6), "repository-exists");

    let list = std::fs::read_to_string(good.join("backup.json")).unwrap();
    let table = std::fs::read_dir(good.join("store")).unwrap().map(|entry| entry.unwrap().path());
    let table = table.into_iter().find(|path| path.extension().is_some_and(|end| end == "sst")).expect("a table");
    // The table is shared with the repository: a copy of it is damaged, never the file itself.
    let content = std::fs::read(&table).unwrap();
    let damage = |bytes: &[u8]| {
        std::fs::remove_file(&table).unwrap();
        std::fs::write(&table, bytes).unwrap();
    };
    let mut flipped = content.clone();
    flipped[content.len() / 2] ^= 1;
    for bytes in [&flipped[..], &content[..content.len() - 1], &[&content[..], b"x"].concat(), b""] {
        damage(bytes);
        let refused = restore(&good);
        assert_eq!(reason(&refused, 5), "damaged");
        assert!(refused.error().2.contains(table.file_name().unwrap().to_str().unwrap()), "{refused:?}");
        assert!(!place.path.exists(), "nothing is left");
    }
    std::fs::remove_file(&table).unwrap();
    assert_eq!(reason(&restore(&good), 5), "damaged");
    std::fs::write(&table, &content).unwrap();
    for (from, to, code, expected) in [
        ("\"format\": 1", "\"format\": 2", 6, "newer-repository"),
        ("\"store/CURRENT\"", "\"../CURRENT\"", 5, "damaged"),
        ("\"store/CURRENT\"", "\"store/OTHER\"", 5, "damaged"),
        ("\"format\"", "\"formal\"", 5, "damaged"),
    ] {
        std::fs::write(good.join("backup.json"), list.replace(from, to)).unwrap();
        assert_eq!(reason(&restore(&good), code), expected, "{to}");
        assert!(!place.path.exists(), "nothing is left");
    }
    std::fs::write(good.join("backup.json"), list).unwrap();
    assert_eq!(restore(&good).code, Some(0));
}
