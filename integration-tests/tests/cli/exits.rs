//! Exit codes, with a message that says what to do.

use serde_json::json;
use spool_integration_tests::daemon::Repo;
use spool_proto::{ThreadId, ThreadKeys, Ticket, id::Variant, key_set::Scope};

/// A CID of nothing.
const UNKNOWN: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

#[test]
fn the_codes_are_the_documented_ones() {
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md")).unwrap();
    let help = Repo::new("help").text(&["--help"]);
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "130"] {
        assert!(documented.lines().any(|line| line.starts_with(&format!("| {code} | "))), "{code} in docs/cli.md");
        assert!(help.lines().any(|line| line.trim_start().starts_with(&format!("{code} "))), "{code} in --help");
    }
}

#[test]
fn wrong_arguments_are_2() {
    let repo = Repo::new("usage");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    let wrong: [&[&str]; 10] = [
        &[],
        &["no-such-command"],
        &["append"],
        &["append", "notes", "event", "--no-such-flag"],
        &["append", "notes", "event", "--to", "nonsense"],
        &["append", "notes", "--file", "/no/such/file"],
        &["get", "not-a-cid"],
        &["thread", "share", "notes"],
        &["thread", "join", "spool1nonsense"],
        &["peers", "connect", "nowhere"],
    ];
    for args in wrong {
        let outcome = repo.run(args);
        assert_eq!(outcome.code, Some(2), "{args:?}: {outcome:?}");
        assert!(!outcome.stderr.trim().is_empty() && outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
    }
    let (code, log) = repo.launch(&["--max-connections", "0"]).ended();
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("max-connections"), "{log}");
}

#[test]
fn what_is_not_there_is_3() {
    let repo = Repo::new("nothing");
    let _daemon = repo.start(&[]);
    let thread = ThreadId::new(Variant::Raw, [7; 32]).to_string();
    let missing: [(&[&str], &str); 8] = [
        (&["log", "nowhere"], "thread-not-found"),
        (&["log", &thread], "thread-not-found"),
        (&["append", &thread, "event"], "thread-not-found"),
        (&["verify", "nowhere"], "thread-not-found"),
        (&["keys", &thread], "thread-not-found"),
        (&["thread", "rm", &thread, "--yes"], "thread-not-found"),
        (&["get", UNKNOWN], "object-not-found"),
        (&["cat", UNKNOWN], "object-not-found"),
    ];
    for (args, expected) in missing {
        let outcome = repo.run([args, &["--json"]].concat());
        let (code, reason, message) = outcome.error();
        assert_eq!((outcome.code, code, reason.as_str()), (Some(3), 3, expected), "{args:?}: {message}");
    }
    let elsewhere = repo.path().join("no-repository");
    let outcome = repo.run(["daemon", "--repo", elsewhere.to_str().unwrap()]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("spool init"), "{outcome:?}");
}

#[test]
fn without_a_daemon_it_is_4() {
    let repo = Repo::new("alone");
    for args in [&["stat"][..], &["thread", "ls"], &["append", "notes", "event"], &["log", "notes"], &["sync"]] {
        let outcome = repo.run([args, &["--json"]].concat());
        let (code, reason, message) = outcome.error();
        assert_eq!((outcome.code, code, reason.as_str()), (Some(4), 4, "unreachable-daemon"), "{args:?}: {message}");
        assert!(message.contains("spool daemon"), "{message}");
    }
    // A daemon that was killed left its address behind.
    let mut daemon = repo.start(&[]);
    daemon.kill();
    assert!(repo.fails(&["stat"], 4).contains("spool daemon"));
}

#[test]
fn what_this_node_may_not_is_6() {
    let (writer, follower) = (Repo::new("writer"), Repo::new("follower"));
    let _daemons = (writer.start(&[]), follower.start(&[]));
    let refused = |repo: &Repo, args: &[&str], expected: &str| {
        let outcome = repo.run([args, &["--json"]].concat());
        let (code, reason, message) = outcome.error();
        assert_eq!((outcome.code, code, reason.as_str()), (Some(6), 6, expected), "{args:?}: {message}");
        message
    };
    // The access-controlled variant, created and joined.
    let message = refused(&writer, &["thread", "create", "guarded", "--access-controlled"], "variant-refused");
    assert!(message.contains("access-controlled threads are refused until access control is enforced"), "{message}");
    let guarded = ThreadId::new(Variant::AccessControlled, [9; 32]);
    let keys = ThreadKeys::generate([3; 64]).to_set(Scope::Read).unwrap();
    let ticket = Ticket::new(guarded, keys, Vec::new(), None).unwrap().to_string();
    let message = refused(&writer, &["thread", "join", &ticket], "variant-refused");
    assert!(message.contains("access-controlled threads are refused until access control is enforced"), "{message}");
    assert_eq!(writer.json(&["thread", "ls"]), [json!([])]);

    // What is here already.
    assert_eq!(writer.run(["init", "--json"]).error().1, "repository-exists");
    writer.text(&["thread", "create", "notes"]);
    let ticket = writer.text(&["thread", "share", "notes", "--follow"]);
    refused(&writer, &["thread", "join", &ticket], "thread-exists");

    // A follower neither reads, nor writes, nor invites readers.
    writer.text(&["append", "notes", "not for followers"]);
    follower.text(&["thread", "join", &ticket]);
    follower.text(&["sync", "notes"]);
    refused(&follower, &["append", "notes", "event"], "no-read-key");
    refused(&follower, &["thread", "share", "notes", "--read"], "no-read-key");
    let entry = follower.json(&["log", "notes"]).remove(0);
    assert_eq!((&entry["sealed"], &entry["body"]), (&json!(true), &json!(null)));
    refused(&follower, &["cat", entry["cid"].as_str().unwrap()], "no-read-key");
}

#[test]
fn what_may_work_later_is_7() {
    let repo = Repo::new("later");
    let _daemon = repo.start(&[]);
    repo.text(&["thread", "create", "notes"]);
    let outcome = repo.run(["sync", "notes", "--timeout", "1", "--json"]);
    assert_eq!(outcome.code, Some(7), "{outcome:?}");
    let (code, _, message) = outcome.error();
    assert_eq!(code, 7, "{message}");
    assert!(message.contains("peer"), "{message}");
}
