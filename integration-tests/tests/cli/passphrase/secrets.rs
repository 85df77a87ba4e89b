//! What lies on the disk of a repository with threads, before and after its keys are put under a passphrase.

use std::path::Path;

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Value, json};
use spool_integration_tests::{
    PATIENCE,
    daemon::{Daemon, Repo},
};
use spool_proto::{Identity, Ticket};

use super::{VARIABLE, copy, files, protected, reason};

const BODY: &str = "what only readers of the thread should see";

/// A key in the forms in which it may have been written.
fn forms(key: &[u8]) -> Vec<Vec<u8>> {
    let base32 = BASE32_NOPAD.encode(key);
    let texts = [HEXLOWER.encode(key), base32.to_lowercase(), base32, BASE64.encode(key), BASE64URL_NOPAD.encode(key)];
    std::iter::once(key.to_vec()).chain(texts.map(String::into_bytes)).collect()
}

/// Everything that a passphrase is to keep from whoever has the disk, with what it is.
fn secrets(repo: &Repo, threads: &[&str], phrase: &str) -> Vec<(String, Vec<u8>)> {
    let identity = Identity::from_phrase(phrase).unwrap();
    let mut keys = vec![("seed".to_owned(), identity.seed().to_vec())];
    let mut found = vec![("phrase".to_owned(), phrase.as_bytes().to_vec())];
    let (home, home_keys) = identity.home();
    let both = home_keys.current().unwrap().to_textile();
    keys.push(("follow key of the home thread".into(), both[..32].to_vec()));
    keys.push(("read key of the home thread".into(), both[32..].to_vec()));
    for thread in threads {
        let shared = repo.json(&["thread", "share", thread, "--read"]).remove(0);
        let ticket: Ticket = shared["ticket"].as_str().unwrap().parse().unwrap();
        let both = ticket.keys().clone().into_keys().current().unwrap().to_textile();
        keys.push((format!("follow key of {thread}"), both[..32].to_vec()));
        keys.push((format!("read key of {thread}"), both[32..].to_vec()));
        // As the home thread has it.
        let id = ticket.thread().to_string();
        let kept = repo.json(&["db", "get", &home.to_string(), "threads", &id]).remove(0);
        let kept = kept["document"]["ticket"].as_str().unwrap().to_owned();
        found.push((format!("ticket of {thread} at home"), kept.into_bytes()));
    }
    found.push(("document".into(), BODY.as_bytes().to_vec()));
    found.extend(keys.iter().flat_map(|(name, key)| forms(key).into_iter().map(|form| (name.clone(), form))));
    found
}

/// The names of the secrets that some file below a directory has.
fn found(directory: &Path, secrets: &[(String, Vec<u8>)]) -> Vec<String> {
    let files: Vec<_> = files(directory).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let has = |secret: &[u8]| files.iter().any(|file| file.windows(secret.len()).any(|window| window == secret));
    let mut names: Vec<_> = secrets.iter().filter(|(_, secret)| has(secret)).map(|(name, _)| name.clone()).collect();
    names.dedup();
    names
}

/// Two threads with documents and events, which the home thread has taken up.
fn write(repo: &Repo) -> Vec<&'static str> {
    for thread in ["notes", "films"] {
        repo.text(&["thread", "create", thread]);
        repo.text(&["append", thread, "an event"]);
    }
    repo.text(&["db", "define", "films", "movies"]);
    let document = json!({ "_id": "one", "text": BODY }).to_string();
    repo.text(&["db", "create", "films", "movies", &document]);
    repo.text(&["db", "hash", "films", "--wait"]);
    let begun = std::time::Instant::now();
    let kept = || repo.json(&["home"])[0]["threads"].as_array().map_or(0, Vec::len);
    while kept() < 2 {
        assert!(begun.elapsed() < PATIENCE, "the home thread is not written");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    vec!["notes", "films"]
}

fn bodies(repo: &Repo, thread: &str) -> Vec<Value> {
    repo.json(&["log", thread]).iter().map(|entry| entry["body"]["text"].clone()).collect()
}

fn stop(daemon: Daemon) {
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_repository_with_threads_is_put_under_a_passphrase_and_syncs_on() {
    let repo = Repo::new("protected");
    let phrase = std::fs::read_to_string(repo.path().join("identity")).unwrap().trim().to_owned();
    let node_key = std::fs::read_to_string(repo.path().join("node.key")).unwrap().trim().to_owned();
    let daemon = repo.start(&[]);
    let threads = write(&repo);
    let mut secrets = secrets(&repo, &threads, &phrase);
    secrets.push(("node key".into(), node_key.clone().into_bytes()));
    secrets.extend(
        forms(&HEXLOWER.decode(node_key.as_bytes()).unwrap()).into_iter().map(|form| ("node key".into(), form)),
    );
    let ticket = repo.text(&["thread", "share", "films", "--read"]);
    let hash = repo.json(&["db", "hash", "films", "--wait"])[0]["hash"].clone();
    let peer = daemon.peer().to_owned();
    stop(daemon);
    let open = found(repo.path(), &secrets);
    for name in
        ["phrase", "node key", "document", "follow key of notes", "read key of films", "ticket of notes at home"]
    {
        assert!(open.iter().any(|found| found == name), "this would find the {name}: {open:?}");
    }

    let repo = repo.with_variable(VARIABLE, "correct horse");
    let set = repo.json(&["repo", "passphrase", "set"]).remove(0);
    assert!(set["protected"] == json!(true) && set["values"].as_u64().unwrap() > 10, "{set}");
    assert_eq!(found(repo.path(), &secrets), Vec::<String>::new());

    // It goes on as what it was.
    let daemon = repo.start(&[]);
    assert_eq!(daemon.peer(), peer);
    assert_eq!(repo.json(&["db", "hash", "films", "--wait"])[0]["hash"], hash);
    assert_eq!(bodies(&repo, "notes"), [json!("an event")]);
    let other = Repo::new("other");
    let at_other = other.start(&[]);
    other.text(&["thread", "join", &ticket]);
    other.text(&["peers", "connect", &daemon.address()]);
    other.text(&["sync", "films"]);
    assert_eq!(other.json(&["db", "hash", "films", "--wait"])[0]["hash"], hash);
    other.text(&["append", "films", "from elsewhere"]);
    repo.text(&["sync", "films"]);
    assert!(bodies(&repo, "films").contains(&json!("from elsewhere")));
    repo.text(&["append", "notes", "under the passphrase"]);
    assert_eq!(repo.json(&["verify", "films"]).pop().unwrap()["faults"], json!(0));
    // What is folded anew is sealed, too.
    repo.text(&["db", "rebuild", "films"]);
    assert_eq!(
        repo.json(&["db", "hash", "films", "--wait"])[0]["hash"],
        other.json(&["db", "hash", "films", "--wait"])[0]["hash"]
    );
    stop(at_other);
    stop(daemon);
    assert_eq!(found(repo.path(), &secrets), Vec::<String>::new());

    // Another passphrase, and none.
    let before = std::fs::read(repo.path().join("repo.key")).unwrap();
    let repo = repo.with_variable("SPOOL_NEW_PASSPHRASE", "battery staple");
    repo.text(&["repo", "passphrase", "change"]);
    assert_ne!(std::fs::read(repo.path().join("repo.key")).unwrap(), before);
    assert_eq!(reason(&repo.run(["id", "--json"])), (Some(6), "wrong-passphrase".into()));
    let repo = repo.without_variables().with_variable(VARIABLE, "battery staple");
    assert_eq!(repo.json(&["id", "--phrase"])[0]["phrase"], json!(phrase));
    repo.text(&["repo", "passphrase", "remove"]);
    let repo = repo.without_variables();
    let daemon = repo.start(&[]);
    assert_eq!(bodies(&repo, "notes"), [json!("an event"), json!("under the passphrase")]);
    stop(daemon);
    assert!(found(repo.path(), &secrets).contains(&"phrase".to_owned()));
}

#[test]
fn a_repository_that_was_never_open_has_no_secret_on_the_disk_and_nor_has_its_backup() {
    let repo = protected("fresh", "correct horse");
    let phrase = repo.text(&["id", "--phrase"]);
    let daemon = repo.start(&[]);
    let threads = write(&repo);
    let secrets = secrets(&repo, &threads, &phrase);
    let place = |name: &str| repo.path().with_file_name(name);
    let (running, closed) = (place("running"), place("closed"));
    repo.text(&["repo", "backup", running.to_str().unwrap()]);
    stop(daemon);
    // To make a backup takes no passphrase.
    let copied = place("copied");
    copy(repo.path(), &copied);
    Repo::existing(&copied).text(&["repo", "backup", closed.to_str().unwrap()]);
    for directory in [repo.path(), &running, &closed] {
        assert_eq!(found(directory, &secrets), Vec::<String>::new(), "{}", directory.display());
    }

    let restore = |name: &str, from: &Path, passphrase: &str| {
        let to = Repo::existing(&place(name)).with_variable(VARIABLE, passphrase);
        let to = if passphrase.is_empty() { to.without_variables() } else { to };
        let outcome = to.run(["repo", "restore", from.to_str().unwrap(), "--new-peer", "--json"]);
        (to, outcome)
    };
    for (passphrase, expected) in [("", "passphrase-needed"), ("wrong", "wrong-passphrase")] {
        let (to, refused) = restore("refused", &running, passphrase);
        assert_eq!(reason(&refused), (Some(6), expected.into()));
        assert!(!to.path().exists(), "nothing is left");
    }
    for (name, from) in [("first", &running), ("second", &closed)] {
        let (to, restored) = restore(name, from, "correct horse");
        assert_eq!(restored.code, Some(0), "{restored:?}");
        let daemon = to.start(&[]);
        assert_eq!(bodies(&to, "notes"), [json!("an event")]);
        to.text(&["append", "notes", "on a new device"]);
        assert_ne!(to.json(&["id"])[0]["peer_id"], repo.json(&["id"])[0]["peer_id"]);
        stop(daemon);
        assert_eq!(found(to.path(), &secrets), Vec::<String>::new());
    }
}
