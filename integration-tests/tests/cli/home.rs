//! A machine is lost: the recovery phrase and a follower bring everything back on another one.

use std::time::Instant;

use serde_json::json;
use spool_integration_tests::{
    PATIENCE,
    daemon::{Daemon, Repo},
};

use super::walk::{has_fields, str_of};

/// A repository with the phrase of another one, made as its owner would who puts it under a passphrase.
fn recovered(lost: &Repo, phrase: &str) -> Repo {
    let new =
        Repo::existing(&lost.path().with_file_name("recovered")).with_variable("SPOOL_PASSPHRASE", "of the new one");
    let made = new.feed(["init", "--recover", "--name", "new"], phrase.as_bytes());
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(phrase_of(&new).starts_with("sealed-1 "));
    new
}

fn phrase_of(repo: &Repo) -> String {
    std::fs::read_to_string(repo.path().join("identity")).unwrap()
}

fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// Waits until the home thread names so many threads and followers have it.
fn kept(repo: &Repo, follower: &Repo, threads: usize) {
    wait_for("the home thread is written", || {
        let home = repo.json(&["home"]).remove(0);
        home["threads"].as_array().is_some_and(|kept| kept.len() == threads)
    });
    let id = str_of(&repo.json(&["home"])[0], "thread").to_owned();
    let heads = |repo: &Repo| {
        let shown = repo.json(&["thread", "show", &id]).remove(0);
        shown["logs"].as_array().unwrap().iter().map(|log| log["counter"].clone()).collect::<Vec<_>>()
    };
    wait_for("the follower has it", || heads(repo) == heads(follower));
}

#[test]
fn a_lost_machine_is_replaced_with_the_phrase_and_a_follower() {
    let (lost, server) = (Repo::new("lost"), Repo::new("server"));
    let mut at_lost: Daemon = lost.start(&[]);
    let at_server = server.start(&["--follow", "open", "--home", "false"]);
    assert!(lost.text(&["home"]).contains("home thread"));
    lost.text(&["thread", "create", "notes"]);
    lost.text(&["append", "notes", "written before"]);
    lost.text(&["follower", "add", &at_server.address(), "notes"]);
    server.text(&["sync"]);
    // Whoever follows a thread of ours follows the home thread, without being asked.
    kept(&lost, &server, 1);
    let shown = lost.text(&["home"]);
    assert!(shown.contains("notes") && shown.contains("lost (this one)"), "{shown}");
    let home = lost.json(&["home"]).remove(0);
    has_fields(&home, &["thread", "devices", "threads"]);
    has_fields(&home["devices"][0], &["device", "name", "peer_id", "since_ms", "this"]);
    assert_eq!(home["threads"][0]["devices"], json!(1));
    // It is in no list, and only its owner's nodes can read it.
    assert_eq!(lost.json(&["thread", "ls"])[0].as_array().unwrap().len(), 1);
    server.fails(&["db", "collections", str_of(&home, "thread")], 6);
    let ticket = lost.text(&["home", "share"]);
    assert_eq!(lost.json(&["home", "share"])[0]["ticket"], json!(ticket));
    assert!(ticket.starts_with("spool1"));

    let phrase = phrase_of(&lost);
    let owner = str_of(&lost.json(&["id"])[0], "identity").to_owned();
    at_lost.kill();
    let new = recovered(&lost, &phrase);
    let _at_new = new.start(&[]);
    assert_eq!(str_of(&new.json(&["id"])[0], "identity"), owner);
    new.fails(&["recover", "--timeout", "1"], 7);
    let steps = new.json(&["recover", "--from", &at_server.address()]);
    let of = |name: &str| steps.iter().filter(|step| step["step"] == name).collect::<Vec<_>>();
    has_fields(of("home")[0], &["thread", "devices", "threads"]);
    has_fields(of("thread")[0], &["thread", "name", "outcome", "why"]);
    assert_eq!((&of("thread")[0]["outcome"], &of("thread")[0]["name"]), (&json!("joined"), &json!("notes")));
    assert_eq!(of("done")[0]["complete"], json!(true));
    let id = str_of(of("thread")[0], "thread").to_owned();
    let before = new.json(&["log", &id]).remove(0);
    assert_eq!(before["body"]["text"], json!("written before"));
    let receipt = new.json(&["append", &id, "written after"]).remove(0);
    assert_ne!(receipt["log"], before["log"], "a log of its own");
    // Who was asked to follow still does.
    assert!(new.text(&["follower", "ls"]).contains(at_server.peer()));
    wait_for("both devices are known", || {
        new.json(&["home"])[0]["devices"].as_array().is_some_and(|all| all.len() == 2)
    });
    let again = new.text(&["recover", "--from", &at_server.address()]);
    assert!(again.contains("2 devices, 1 thread") && again.contains("here already"), "{again}");
}
