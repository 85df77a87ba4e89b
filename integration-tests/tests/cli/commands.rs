//! Every command at least once, for people and for programs; which commands there are is taken from `--help`.

use std::path::Path;

use serde_json::json;
use spool_integration_tests::daemon::{Daemon, Repo};

use super::walk::{Walk, has_fields, str_of};

/// `bench` runs for minutes and is no part of daily use; the others have stories of their own.
const NOT_HERE: [&str; 6] = ["bench", "db", "follower", "home", "recover", "testnet"];

const RECEIPT: [&str; 7] = ["thread", "log", "counter", "cid", "time", "body", "size"];
const THREAD: [&str; 12] = [
    "id",
    "name",
    "variant",
    "scope",
    "own_log",
    "logs",
    "records",
    "inert",
    "forks",
    "missing_blocks",
    "peers",
    "added",
];

#[test]
fn every_command_works_for_people_and_for_programs() {
    let mut walk = Walk::default();
    let (alice, bob) = set_up(&mut walk);
    let daemons = start(&mut walk, &alice, &bob);
    let notes = threads(&mut walk, &alice, &bob);
    let record = writing_and_reading(&mut walk, &alice, &notes);
    between_nodes(&mut walk, &alice, &bob, &daemons, &record);
    the_node_itself(&mut walk, &alice, &bob);
    what_is_kept_elsewhere(&mut walk, &alice, &bob);
    what_operators_use(&mut walk, &alice);
    under_a_passphrase(&mut walk);
    walk.text(&bob, "thread rm", &["notes", "--yes"]);
    let removed = walk.fields(&bob, "thread rm", &["shared", "--yes"], &["removed"]);
    assert!(str_of(&removed, "removed").starts_with("baf"));
    assert_eq!(walk.json(&bob, "thread ls", &[]), [json!([])]);

    walk.is_complete(&alice, &[], &NOT_HERE);
}

/// `init` and what works without a daemon.
fn set_up(walk: &mut Walk) -> (Repo, Repo) {
    let alice = Repo::new("alice");
    walk.used.insert(("init".into(), "text"));
    let other: &Path = &alice.path().with_file_name("other");
    let made = walk.fields(
        &alice,
        "init",
        &["--repo", other.to_str().unwrap()],
        &["repo", "peer_id", "identity", "device", "phrase"],
    );
    assert_eq!(str_of(&made, "phrase").split(' ').count(), 24);
    let config = walk.text(&alice, "config show", &[]);
    assert!(config.contains("127.0.0.1:6006"), "{config}");
    let config = walk.fields(&alice, "config show", &["--cache-mib", "32"], &["repo", "settings"]);
    assert_eq!(config["settings"]["cache-mib"], json!({ "value": 32, "origin": "flag" }));
    assert!(walk.text(&alice, "completions", &["bash"]).contains("complete"));
    (alice, Repo::new("bob"))
}

/// `daemon`; what it prints for people is looked at with the signals.
fn start(walk: &mut Walk, alice: &Repo, bob: &Repo) -> [Daemon; 2] {
    let daemons = [alice.start(&[]), bob.start(&[])];
    has_fields(&daemons[0].greeting, &["version", "peer_id", "listen", "api", "ready"]);
    walk.used.extend([("daemon".into(), "json"), ("daemon".into(), "text")]);
    daemons
}

/// `thread create`, `ls`, `show`, `share`, `join`.
fn threads(walk: &mut Walk, alice: &Repo, bob: &Repo) -> String {
    let notes = walk.text(alice, "thread create", &["notes"]);
    assert!(notes.starts_with("bafk"), "{notes}");
    let shared = walk.fields(alice, "thread create", &["shared"], &THREAD);
    assert_eq!(
        (&shared["name"], &shared["variant"], &shared["scope"]),
        (&json!("shared"), &json!("raw"), &json!("read"))
    );
    assert!(walk.text(alice, "thread ls", &[]).contains(&notes));
    assert_eq!(walk.json(alice, "thread ls", &[])[0].as_array().unwrap().len(), 2);
    assert!(walk.text(alice, "thread show", &["notes"]).contains("this is a raw thread"));

    let follow = walk.text(alice, "thread share", &["notes", "--follow"]);
    assert_eq!(walk.text(bob, "thread join", &[&follow]), notes);
    let read = walk.fields(alice, "thread share", &["shared", "--read"], &["ticket", "scope", "sealed", "addresses"]);
    let joined = walk.fields(bob, "thread join", &[str_of(&read, "ticket")], &THREAD);
    assert_eq!((&joined["id"], &joined["scope"]), (&shared["id"], &json!("read")));
    notes
}

/// `append`, `log`, `get`, `add`, `cat`, `verify`, `keys`. Returns the record of a file.
fn writing_and_reading(walk: &mut Walk, alice: &Repo, notes: &str) -> String {
    assert!(walk.text(alice, "append", &["notes", "one"]).contains("number"));
    let two = walk.fields(alice, "append", &["notes", "two", "--relaxed"], &RECEIPT);
    assert_eq!((&two["counter"], &two["size"], str_of(&two, "thread")), (&json!(2), &json!(3), notes));
    let many = alice.feed(["append", "notes", "--json"], b"{\"n\":3}\n{\"n\":4}\n");
    assert_eq!(many.code, Some(0), "{many:?}");
    assert_eq!(many.json().iter().map(|receipt| receipt["counter"].clone()).collect::<Vec<_>>(), [3, 4]);
    assert!(alice.feed(["append", "notes"], b"5\n").text().contains("1 event"));

    assert_eq!(walk.text(alice, "log", &["notes"]).lines().count(), 5);
    assert_eq!(walk.text(alice, "log", &["notes", "--bodies"]), "one\ntwo\n{\"n\":3}\n{\"n\":4}\n5");
    let entries = walk.json(alice, "log", &["notes", "--after", &format!("{}=1", str_of(&two, "log"))]);
    assert_eq!(entries.len(), 4);
    let fields = [
        "log", "counter", "cid", "prev", "key_id", "size", "links", "control", "inert", "sealed", "time", "kind",
        "author", "body",
    ];
    entries.iter().for_each(|entry| has_fields(entry, &fields));
    assert_eq!((&entries[0]["cid"], &entries[0]["body"]["text"]), (&two["cid"], &json!("two")));

    let file = alice.path().join("file");
    std::fs::write(&file, vec![b'z'; 30_000]).unwrap();
    let file = file.to_str().unwrap();
    assert!(walk.text(alice, "add", &["notes", file]).contains("body"));
    let added = walk.fields(alice, "add", &["notes", file], &RECEIPT);
    let record = str_of(&added, "cid");
    assert_eq!(walk.text(alice, "cat", &[record]), "z".repeat(30_000));
    let cat = walk.fields(alice, "cat", &[record], &["cid", "size", "text", "base64"]);
    assert_eq!(cat["size"], json!(30_000));

    assert!(walk.text(alice, "get", &[record]).contains(notes));
    let got = walk.fields(alice, "get", &[record], &["kind", "cid", "thread", "entry", "raw"]);
    assert_eq!((&got["kind"], &got["entry"]["counter"]), (&json!("record"), &json!(7)));
    let block = walk.fields(
        alice,
        "get",
        &[str_of(&added, "body"), "--raw"],
        &["kind", "log", "counter", "record", "size", "body", "raw"],
    );
    assert_eq!(block["kind"], json!("block"));
    assert!(str_of(&block, "raw").len() > 30_000);

    let verify = walk.text(alice, "verify", &["notes"]);
    assert!(verify.contains("faults") && verify.contains("none"), "{verify}");
    let fields = [
        "step",
        "thread",
        "logs",
        "records",
        "inert",
        "events",
        "bodies",
        "blocks",
        "missing_blocks",
        "bytes",
        "faults",
        "elapsed_ms",
    ];
    let report = walk.fields(alice, "verify", &["notes"], &fields);
    assert_eq!((&report["records"], &report["events"], &report["faults"]), (&json!(7), &json!(7), &json!(0)));
    assert!(walk.text(alice, "keys", &["notes"]).contains("follow, read"));
    let keys = &walk.json(alice, "keys", &["notes"])[0];
    has_fields(&keys[0], &["epoch", "key_id", "follow", "read", "admission", "current"]);
    record.to_owned()
}

/// `sync`, `peers`, `peers connect`, `addr`, `thread show` with a peer.
fn between_nodes(walk: &mut Walk, alice: &Repo, bob: &Repo, daemons: &[Daemon; 2], record: &str) {
    let [at_alice, at_bob] = daemons;
    let address = walk.text(alice, "addr", &[]);
    assert_eq!(address, at_alice.address());
    let addresses = walk.fields(alice, "addr", &[], &["announced", "listen", "external"]);
    assert_eq!(addresses["announced"], json!([address]));
    assert!(walk.text(bob, "peers connect", &[&address]).contains(at_alice.peer()));
    let connected = walk.fields(bob, "peers connect", &[&address], &["peer_id"]);
    assert_eq!(str_of(&connected, "peer_id"), at_alice.peer());

    assert!(walk.text(bob, "sync", &["notes"]).contains("from 1 peer"));
    let steps = walk.json(bob, "sync", &["notes"]);
    let done = steps.last().unwrap();
    has_fields(
        done,
        &["step", "records", "records_missing", "blocks", "blocks_missing", "bytes", "peers", "failed", "complete"],
    );
    assert_eq!((&done["step"], &done["peers"], &done["complete"]), (&json!("done"), &json!(1), &json!(true)));
    let sealed = walk.json(bob, "log", &["notes", "--last", "1"]).remove(0);
    assert_eq!((str_of(&sealed, "cid"), &sealed["sealed"]), (record, &json!(true)));
    assert!(walk.text(bob, "verify", &["notes"]).contains("sealed: this node cannot read them"));

    assert!(walk.text(bob, "peers", &[]).contains(at_alice.peer()));
    let peers = walk.json(alice, "peers", &[]).remove(0);
    assert_eq!(str_of(&peers[0], "peer_id"), at_bob.peer());
    has_fields(&peers[0], &["connections", "addresses", "agent", "rtt_us", "threads", "score", "last_seen"]);
    assert!(walk.text(bob, "thread status", &["notes"]).contains(at_alice.peer()));
    let status = walk.fields(bob, "thread status", &["notes"], &["followers", "durable", "missing_blocks", "logs"]);
    assert_eq!(str_of(&status["peers"][0], "peer_id"), at_alice.peer());
    let shown = walk.json(bob, "thread show", &["notes"]).remove(0).to_string();
    assert!(shown.contains(record) && shown.contains(at_alice.peer()), "{shown}");
}

/// `thread export`, `thread import`, `repo backup`, `repo restore`.
fn what_is_kept_elsewhere(walk: &mut Walk, alice: &Repo, bob: &Repo) {
    let place = |name: &str| alice.path().with_file_name(name).to_str().unwrap().to_owned();
    let archive = place("notes.car");
    assert!(walk.text(alice, "thread export", &["notes", &archive]).contains(&archive));
    let exported = walk.fields(alice, "thread export", &["notes", &archive], &["thread", "file", "bytes"]);
    assert!(exported["bytes"].as_u64().unwrap() > 30_000, "{exported}");
    assert!(walk.text(bob, "thread import", &["notes", &archive]).contains("new"));
    let imported = walk.fields(bob, "thread import", &["notes", &archive], &["thread", "logs", "records", "blocks"]);
    assert_eq!((&imported["records"], &imported["forked"]), (&json!(0), &json!([])));

    assert!(walk.text(alice, "repo backup", &[&place("backup")]).contains("files"));
    has_fields(&walk.json(alice, "repo backup", &[&place("backup-2")])[0], &["directory", "files", "bytes"]);
    let restored = walk.text(alice, "repo restore", &[&place("backup"), "--repo", &place("restored")]);
    assert!(restored.contains("(new)"), "{restored}");
    let args = [&place("backup-2"), "--repo", &place("restored-2"), "--new-peer"];
    let fields = ["repo", "peer_id", "identity", "device", "made_ms", "files", "bytes"];
    walk.fields(alice, "repo restore", &args, &fields);
}

/// `doctor`, `man`.
fn what_operators_use(walk: &mut Walk, alice: &Repo) {
    assert!(walk.text(alice, "doctor", &[]).contains("readiness"));
    assert_eq!(walk.fields(alice, "doctor", &[], &["ok", "checks"])["ok"], json!(true));
    let pages = alice.path().with_file_name("man").to_str().unwrap().to_owned();
    assert!(walk.text(alice, "man", &[&pages]).contains("pages"));
    let written = walk.fields(alice, "man", &[&pages], &["directory", "pages"]);
    assert!(written["pages"].as_u64().unwrap() > 30, "{written}");
}

/// `repo passphrase set`, `change`, `remove`.
fn under_a_passphrase(walk: &mut Walk) {
    let both = ["SPOOL_PASSPHRASE", "SPOOL_NEW_PASSPHRASE"];
    let repo = both.iter().fold(Repo::new("careful"), |repo, name| repo.with_variable(name, "correct horse"));
    let fields = ["repo", "protected", "values"];
    assert!(walk.text(&repo, "repo passphrase set", &[]).contains("under the passphrase"));
    assert!(walk.text(&repo, "repo passphrase change", &[]).contains("new passphrase"));
    assert_eq!(walk.fields(&repo, "repo passphrase change", &[], &fields)["protected"], json!(true));
    assert!(walk.text(&repo, "repo passphrase remove", &[]).contains("open"));
    assert_eq!(walk.fields(&repo, "repo passphrase set", &[], &fields)["protected"], json!(true));
    assert_eq!(walk.fields(&repo, "repo passphrase remove", &[], &fields)["protected"], json!(false));
}

/// `id`, `stat`.
fn the_node_itself(walk: &mut Walk, alice: &Repo, bob: &Repo) {
    let before = walk.fields(alice, "id", &[], &["peer_id", "identity", "device", "name", "version", "uptime_ms"]);
    assert_eq!(before["name"], json!("alice"));
    assert!(walk.text(alice, "id", &["--new-device"]).contains(str_of(&before, "peer_id")));
    assert_ne!(walk.json(alice, "id", &[])[0]["device"], before["device"]);
    // Another device, another log: an event for one reader only goes there.
    let to = walk.json(bob, "id", &[]).remove(0);
    let receipt = walk.fields(alice, "append", &["shared", "for bob", "--to", str_of(&to, "identity")], &RECEIPT);
    assert_eq!(receipt["counter"], json!(1));
    walk.text(bob, "sync", &["shared"]);
    assert_eq!(walk.text(bob, "cat", &[str_of(&receipt, "cid")]), "for bob");

    assert!(walk.text(alice, "stat", &[]).contains("threads"));
    let fields = [
        "threads",
        "logs",
        "records",
        "inert",
        "blocks",
        "block_bytes",
        "missing_blocks",
        "disk_bytes",
        "peers",
        "bytes_in",
        "bytes_out",
        "accepted",
        "rejected",
        "appended",
        "read_only",
        "uptime_ms",
    ];
    let stat = walk.fields(alice, "stat", &[], &fields);
    assert_eq!((&stat["threads"], &stat["records"], &stat["read_only"]), (&json!(2), &json!(8), &json!(false)));
}
