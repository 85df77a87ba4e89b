//! The commands against a real daemon: what they print, and with which code they end.

#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Daemon, signal, spool, stderr};

#[test]
fn init_shows_the_phrase_once_and_refuses_a_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    let init = spool(&repo).args(["init", "--json"]).output().unwrap();
    let made: Value = serde_json::from_slice(&init.stdout).unwrap();
    let phrase = made["phrase"].as_str().unwrap();
    assert_eq!(phrase.split(' ').count(), 24);

    let again = spool(&repo).args(["init"]).output().unwrap();
    assert_eq!(again.status.code(), Some(6), "{again:?}");
    assert!(stderr(&again).contains("nothing was changed"));

    let other = dir.path().join("other");
    let mut recover = spool(&other)
        .args(["init", "--recover", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut recover.stdin.take().unwrap(), phrase.as_bytes()).unwrap();
    let recovered: Value = serde_json::from_slice(&recover.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(recovered["identity"], made["identity"]);
    assert_ne!(recovered["device"], made["device"]);
    assert_eq!(recovered["phrase"], Value::Null);

    // Without a daemon the repository answers.
    let id = spool(&repo).args(["id", "--json"]).output().unwrap();
    let id: Value = serde_json::from_slice(&id.stdout).unwrap();
    assert_eq!((&id["peer_id"], &id["device"], &id["uptime_ms"]), (&made["peer_id"], &made["device"], &Value::Null));
    let renewed = spool(&repo).args(["id", "--new-device", "--json"]).output().unwrap();
    let renewed: Value = serde_json::from_slice(&renewed.stdout).unwrap();
    assert_ne!(renewed["device"], made["device"]);
}

#[test]
fn without_a_daemon_or_a_repository_the_user_is_told_what_to_run() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    let daemon = spool(&repo).args(["daemon"]).output().unwrap();
    assert_eq!(daemon.status.code(), Some(3));
    assert!(stderr(&daemon).contains("`spool init`"), "{daemon:?}");

    assert!(spool(&repo).args(["init"]).output().unwrap().status.success());
    let stat = spool(&repo).args(["stat", "--json"]).output().unwrap();
    assert_eq!(stat.status.code(), Some(4));
    let error: Value = serde_json::from_slice(&stat.stderr).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["reason"]), (&json!(4), &json!("unreachable-daemon")));
    assert!(error["error"]["message"].as_str().unwrap().contains("`spool daemon`"));

    // The port is reserved and nothing answers there.
    let named = spool(&repo).args(["stat", "--api", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(named.status.code(), Some(4), "{named:?}");
}

#[test]
fn a_thread_is_written_and_read_back() {
    let daemon = Daemon::start();
    let id = daemon.thread("notes");
    let threads = &daemon.json(&["thread", "ls"])[0];
    assert_eq!(threads[0]["id"], json!(id));
    assert_eq!(
        (&threads[0]["name"], &threads[0]["variant"], &threads[0]["scope"]),
        (&json!("notes"), &json!("raw"), &json!("read"))
    );

    let one = &daemon.json(&["append", "notes", "buy milk"])[0];
    assert_eq!((&one["counter"], &one["size"], &one["thread"]), (&json!(1), &json!(8), &json!(id)));
    let file = daemon.repo.join("event");
    std::fs::write(&file, b"\xff\x00").unwrap();
    daemon.text(&["append", &id, "--relaxed", "--file", file.to_str().unwrap()]);

    let entries = daemon.json(&["log", "notes"]);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["cid"], one["cid"]);
    assert_eq!(entries[0]["body"]["text"], json!("buy milk"));
    assert_eq!((&entries[1]["body"]["text"], &entries[1]["body"]["base64"]), (&Value::Null, &json!("/wA=")));
    assert_eq!(entries[1]["prev"], one["cid"]);
    assert_eq!(daemon.json(&["log", "notes", "--last", "1"])[0]["counter"], json!(2));
    assert_eq!(daemon.json(&["log", "notes", "--limit", "1"])[0]["counter"], json!(1));
    let after = format!("{}=1", one["log"].as_str().unwrap());
    assert_eq!(daemon.json(&["log", "notes", "--after", &after]).len(), 1);
    let lines = daemon.text(&["log", &id[..12]]);
    assert!(lines.lines().next().is_some_and(|line| line.contains(" #1 ") && line.ends_with("  buy milk")), "{lines}");

    let record = &daemon.json(&["get", one["cid"].as_str().unwrap()])[0];
    assert_eq!((&record["kind"], &record["entry"]["body"]["text"]), (&json!("record"), &json!("buy milk")));
    assert_eq!(daemon.text(&["cat", one["cid"].as_str().unwrap()]), "buy milk");

    let report = &daemon.json(&["verify", "notes"])[0];
    assert_eq!((&report["step"], &report["records"], &report["faults"]), (&json!("done"), &json!(2), &json!(0)));
    assert_eq!(daemon.json(&["keys", "notes"])[0][0]["read"], json!(true));
    assert_eq!(daemon.json(&["stat"])[0]["threads"], json!(1));
    assert_eq!(daemon.json(&["id"])[0]["peer_id"], daemon.greeting["peer_id"]);
    assert_eq!(daemon.json(&["peers"]), [json!([])]);
    let shown = daemon.text(&["thread", "show", "notes"]);
    assert!(shown.contains("this is a raw thread") && shown.contains("#2"), "{shown}");

    assert_eq!(daemon.run(&["thread", "rm", "notes"]).status.code(), Some(2), "nobody was there to be asked");
    daemon.text(&["thread", "rm", "notes", "--yes"]);
    assert_eq!(daemon.run(&["log", "notes"]).status.code(), Some(3));
    assert_eq!(daemon.run(&["log", &id]).status.code(), Some(3));
}

#[test]
fn lines_are_appended_in_order_and_come_out_as_they_went_in() {
    let daemon = Daemon::start();
    daemon.thread("quakes");
    let lines: Vec<String> = (0..1500).map(|i| format!("{{\"i\":{i},\"pad\":\"{}\"}}", "x".repeat(i % 700))).collect();
    let output = daemon.feed(&["append", "quakes"], (lines.join("\n") + "\n\n").as_bytes());
    assert!(output.status.success(), "{output:?}");
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains("1,500 events") && summary.contains("#1-1500"), "{summary}");
    assert_eq!(daemon.text(&["log", "quakes", "--bodies"]), lines.join("\n"));

    let receipts = daemon.feed(&["append", "quakes", "--json"], b"1\n2\n3");
    let receipts: Vec<Value> =
        receipts.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(
        receipts.iter().map(|receipt| receipt["counter"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1501, 1502, 1503]
    );
}

#[test]
fn a_bad_line_stops_the_input_and_names_itself() {
    let daemon = Daemon::start();
    daemon.thread("quakes");
    let output = daemon.feed(&["append", "quakes"], b"1\n{}\n{\"open\": \n4\n");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = stderr(&output);
    assert!(error.contains("line 3 is not JSON") && error.contains("2 events before it were appended"), "{error}");
    assert_eq!(daemon.text(&["log", "quakes", "--bodies"]), "1\n{}");
    let nowhere = daemon.feed(&["append", &daemon.thread("gone").replace('b', "c")], b"1\n");
    assert_eq!(nowhere.status.code(), Some(3), "{nowhere:?}");
}

#[test]
fn a_file_goes_in_and_comes_out_whole() {
    let daemon = Daemon::start();
    daemon.thread("files");
    let content: Vec<u8> =
        (0..1_500_000_u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 16).to_le_bytes()[..1].to_vec()).collect();
    let (from, to) = (daemon.repo.join("in"), daemon.repo.join("out"));
    std::fs::write(&from, &content).unwrap();
    let receipt = &daemon.json(&["add", "files", from.to_str().unwrap()])[0];
    assert_eq!(receipt["size"], json!(content.len()));
    let (record, body) = (receipt["cid"].as_str().unwrap(), receipt["body"].as_str().unwrap());
    daemon.text(&["cat", record, "-o", to.to_str().unwrap()]);
    assert!(std::fs::read(&to).unwrap() == content);
    assert!(daemon.run(&["cat", body]).stdout == content);
    assert_eq!(daemon.run(&["cat", body, "--json"]).status.code(), Some(2), "too much for one document");
    let entry = &daemon.json(&["log", "files"])[0];
    assert_eq!((&entry["body"]["state"], &entry["body"]["size"]), (&json!("large"), &json!(content.len())));

    let piped = daemon.feed(&["add", "files", "-", "--json"], b"from a pipe");
    let piped: Value = serde_json::from_slice(&piped.stdout).unwrap();
    assert_eq!(daemon.text(&["cat", piped["cid"].as_str().unwrap()]), "from a pipe");
    assert_eq!(daemon.run(&["add", "files", "/"]).status.code(), Some(2));
    assert_eq!(daemon.run(&["cat", "nonsense"]).status.code(), Some(2));
    let unknown = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    assert_eq!(daemon.run(&["cat", unknown]).status.code(), Some(3));
    assert_eq!(daemon.run(&["get", unknown]).status.code(), Some(3));
}

#[test]
fn a_live_tail_shows_what_arrives_and_ends_with_ctrl_c() {
    let daemon = Daemon::start();
    daemon.thread("live");
    daemon.text(&["append", "live", "before"]);
    let mut tail = daemon.command(["log", "live", "--follow", "--last", "1", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["body"]["text"].clone();
    assert_eq!(next(), json!("before"));
    for text in ["one", "two"] {
        daemon.text(&["append", "live", text]);
        assert_eq!(next(), json!(text));
    }
    signal(&tail, "INT");
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let daemon = Daemon::start();
    daemon.thread("long");
    let lines = "\"a line that fills the pipe and the buffers behind it\"\n".repeat(5000);
    assert!(daemon.feed(&["append", "long"], lines.as_bytes()).status.success());
    let mut log = daemon.command(["log", "long", "--json"]).spawn().unwrap();
    let mut begin = [0; 100];
    log.stdout.take().unwrap().read_exact(&mut begin).unwrap();
    let output = log.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn tickets_are_made_and_refused_with_reasons() {
    let daemon = Daemon::start();
    daemon.thread("notes");
    let refused = daemon.run(&["thread", "create", "--access-controlled"]);
    assert_eq!(refused.status.code(), Some(6));
    assert!(stderr(&refused).contains("access-controlled"), "{refused:?}");
    let share = daemon.run(&["thread", "share", "notes", "--read"]);
    let ticket = String::from_utf8(share.stdout.clone()).unwrap();
    assert!(ticket.starts_with("spool1") && ticket.lines().count() == 1, "{share:?}");
    assert!(stderr(&share).contains("whoever can read it may write"), "{share:?}");
    assert_eq!(daemon.run(&["thread", "share", "notes"]).status.code(), Some(2), "a scope has to be chosen");
    let again = daemon.feed(&["thread", "join", "-", "--json"], ticket.as_bytes());
    assert_eq!(again.status.code(), Some(6), "it is here already: {again:?}");
    let error: Value = serde_json::from_slice(&again.stderr).unwrap();
    assert_eq!(error["error"]["reason"], json!("thread-exists"));
    assert_eq!(daemon.run(&["thread", "join", "spool1nonsense"]).status.code(), Some(2));

    let other = Daemon::start();
    let joined = &other.json(&["thread", "join", ticket.trim(), "--name", "shared"])[0];
    assert_eq!(joined["name"], json!("shared"));
    assert_eq!(other.run(&["thread", "show", "shared"]).status.code(), Some(0));
}

#[test]
fn one_daemon_a_repository_and_the_second_is_told_which() {
    let daemon = Daemon::start();
    let second = daemon.run(&["daemon", "--api", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(6));
    assert!(stderr(&second).contains(&format!("in use by process {}", daemon.child.id())), "{second:?}");
}

#[test]
fn the_daemon_ends_cleanly_on_signals_with_calls_running() {
    for name in ["TERM", "INT"] {
        let mut daemon = Daemon::start();
        daemon.thread("live");
        let api = daemon.repo.join("api");
        assert!(Path::new(&api).exists());
        daemon.text(&["append", "live", "x"]);
        let mut tail = daemon.command(["log", "live", "--follow"]).spawn().unwrap();
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        lines.next().unwrap().unwrap();
        signal(&daemon.child, name);
        assert_eq!(daemon.child.wait().unwrap().code(), Some(0), "{name}");
        let ended = tail.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(7), "{ended:?}");
        assert!(!api.exists());
        assert_eq!(daemon.run(&["stat"]).status.code(), Some(4));
    }
}

#[test]
fn the_configuration_is_shown_with_its_origins_and_refused_with_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    assert!(spool(&repo).args(["init", "--name", "laptop"]).output().unwrap().status.success());
    let show = spool(&repo)
        .args(["config", "show", "--json", "--cache-mib", "128"])
        .env("SPOOL_MDNS", "false")
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&show.stdout).unwrap();
    let settings = &shown["settings"];
    assert_eq!(settings["cache-mib"], json!({ "value": 128, "origin": "flag" }));
    assert_eq!(settings["mdns"], json!({ "value": false, "origin": "environment" }));
    assert_eq!(settings["name"], json!({ "value": "laptop", "origin": "file" }));
    assert_eq!(settings["api"], json!({ "value": "127.0.0.1:6006", "origin": "default" }));

    std::fs::write(repo.join("config.toml"), "lisen = []").unwrap();
    let daemon = spool(&repo).args(["daemon"]).output().unwrap();
    assert_eq!(daemon.status.code(), Some(2));
    assert!(stderr(&daemon).contains("did you mean `listen`?"), "{daemon:?}");
    std::fs::write(repo.join("config.toml"), "").unwrap();
    let open = spool(&repo).args(["daemon", "--api", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(open.status.code(), Some(2));
    assert!(stderr(&open).contains("not a loopback address"), "{open:?}");
}

#[test]
fn a_daemon_answers_whoever_shows_its_token() {
    let daemon = Daemon::start();
    let elsewhere = daemon.repo.with_extension("elsewhere");
    let api = daemon.greeting["api"].as_str().unwrap();
    let ask = |more: &[&str]| spool(&elsewhere).args(["--json", "--api", api, "stat"]).args(more).output().unwrap();
    let refused = ask(&[]);
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(stderr(&refused).contains("\"reason\":\"unauthenticated\"") && stderr(&refused).contains("api-token"));
    assert_eq!(ask(&["--api-token", "not-the-right-one"]).status.code(), Some(6));
    assert_eq!(ask(&["--api-token", &daemon.token()]).status.code(), Some(0));
    let mode = std::fs::metadata(daemon.repo.join("api-token")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
}
