//! What operators ask a daemon over HTTP: figures, health, readiness.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use spool_integration_tests::daemon::{
    Repo,
    http::{Answer, ask, send},
};

/// The samples of a document, by name with labels. Holds it against the format, line by line.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n'), "{text}");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(["counter", "gauge"].contains(&kind) && helped.contains(name), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let family = name.split('{').next().unwrap();
            assert!(family.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{line}");
            assert!(types.contains_key(family), "no type before {line}");
            let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    samples
}

fn figures(address: &str) -> (String, BTreeMap<String, f64>) {
    let Answer { status, head, body } = ask(address, "GET", "/metrics");
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let samples = samples(&body);
    (body, samples)
}

#[test]
fn what_a_node_does_is_counted_and_names_nobody() {
    let (writer, reader) = (Repo::new("writer"), Repo::new("reader"));
    // What is written at home would count, whenever that happens.
    let daemon = writer.start(&["--home", "false"]);
    let other = reader.start(&["--home", "false"]);
    let thread = writer.text(&["thread", "create", "secret-diary"]);
    for event in ["first-words", "second-words", "third-words"] {
        writer.text(&["append", "secret-diary", event]);
    }
    writer.fails(&["log", "no-such-thread"], 3);
    let ticket = writer.text(&["thread", "share", "secret-diary", "--read"]);
    reader.text(&["thread", "join", &ticket]);
    reader.text(&["peers", "connect", &daemon.address()]);
    reader.text(&["sync", "secret-diary"]);

    let (text, found) = figures(daemon.http());
    let at_least = |name: &str, least: f64| {
        let value = found.get(name).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(*value >= least, "{name} is {value}, not at least {least}");
    };
    assert_eq!([found["spool_threads"], found["spool_logs"], found["spool_records"]], [1.0, 1.0, 3.0]);
    assert_eq!(found["spool_records_appended_total"], 3.0);
    assert_eq!([found["spool_records_accepted_total"], found["spool_records_rejected_total"]], [0.0, 0.0]);
    assert_eq!(found["spool_peers"], 1.0);
    for (name, least) in [
        ("spool_sent_bytes_total", 500.0),
        ("spool_received_bytes_total", 10.0),
        ("spool_api_calls_total{outcome=\"ok\"}", 6.0),
        ("spool_store_keys{space=\"records\"}", 1.0),
        ("spool_store_bytes{space=\"blocks\"}", 0.0),
        ("spool_queue_length{queue=\"calls\"}", 0.0),
        ("spool_wanted_blocks", 0.0),
        ("spool_missing_records", 0.0),
        ("spool_threads_behind", 0.0),
        ("spool_followers", 0.0),
        ("spool_followers_behind", 0.0),
        ("spool_followers_lacking_records", 0.0),
        ("spool_open_databases", 0.0),
        ("spool_disconnects_for_score_total", 0.0),
        ("spool_misbehaviour_total{kind=\"invalid-record\"}", 0.0),
        ("spool_gossip_messages_total{verdict=\"accepted\"}", 0.0),
        ("spool_uptime_seconds", 0.001),
    ] {
        at_least(name, least);
    }
    assert!(found.keys().any(|name| name.starts_with("spool_build_info{version=\"")), "{text}");
    if cfg!(target_os = "linux") {
        at_least("process_resident_memory_bytes", 1_000_000.0);
        at_least("process_open_fds", 5.0);
    }
    for secret in [thread.as_str(), "secret-diary", "first-words", daemon.peer(), other.peer()] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }

    let (text, found) = figures(other.http());
    assert_eq!(found["spool_records_accepted_total"], 3.0, "{text}");
    assert_eq!(found["spool_records_appended_total"], 0.0, "{text}");
    // The repository tells where, like the API.
    let file = |name: &str| std::fs::read_to_string(reader.path().join(name)).unwrap();
    assert_eq!(file("http").trim(), other.http());
    assert_eq!(other.stop().code(), Some(0));
    assert!(!reader.path().join("http").exists());
}

#[test]
fn calls_are_counted_by_how_they_end() {
    let repo = Repo::new("outcomes");
    let daemon = repo.start(&[]);
    let count = |outcome: &str| {
        let found = figures(daemon.http()).1;
        found[&format!("spool_api_calls_total{{outcome=\"{outcome}\"}}")]
    };
    assert_eq!([count("ok"), count("not-found"), count("unauthenticated")], [0.0; 3]);
    repo.text(&["stat"]);
    assert_eq!(count("ok"), 1.0);
    repo.fails(&["keys", "bafkxd5bjgi6dk4zivyjgr5u4gq6cbzeoq6ffbwhvmvkdoskcyvkmcdq"], 3);
    assert_eq!(count("ok") + count("not-found") + count("invalid-argument"), 2.0);
    let outcome = repo.run(["stat", "--api-token", "not-the-token-of-it"]);
    assert_eq!(outcome.code, Some(6), "{outcome:?}");
    assert_eq!(count("unauthenticated"), 1.0);
}

#[test]
fn a_daemon_is_alive_and_ready_and_head_has_no_body() {
    let repo = Repo::new("healthy");
    let daemon = repo.start(&[]);
    for (path, status) in [("/health", "alive"), ("/ready", "ready")] {
        let answer = ask(daemon.http(), "GET", path);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &body["status"]), (200, &json!(status)), "{body}");
        let checks = body["checks"].as_object().unwrap();
        assert!(checks.len() >= 2 && checks.values().all(|found| found == "ok"), "{body}");
        let head = ask(daemon.http(), "HEAD", path);
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert!(head.head.contains(&format!("content-length: {}", answer.body.len())), "{}", head.head);
    }
}

#[test]
fn whatever_else_is_asked_is_refused_in_words() {
    let repo = Repo::new("refusing");
    let daemon = repo.start(&[]);
    let address = daemon.http();
    let reason = |answer: &Answer| {
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        body["error"]["reason"].as_str().unwrap().to_owned()
    };
    for path in ["/", "/metrics/", "/api-token", "/../../etc/passwd"] {
        let answer = ask(address, "GET", path);
        assert_eq!((answer.status, reason(&answer).as_str()), (404, "not-found"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(address, method, "/metrics");
        assert_eq!((answer.status, reason(&answer).as_str()), (405, "method-not-allowed"), "{method}");
        assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    }
    let body = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{\"a\":\"b\"}";
    let answer = send(address, body).unwrap();
    assert_eq!((answer.status, reason(&answer).as_str()), (413, "body"));
    let endless = format!("GET /health HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert!(send(address, endless.as_bytes()).is_none_or(|answer| answer.status == 431));
    assert!(send(address, b"\x16\x03\x01\x02\x00 not http\r\n\r\n").is_none_or(|answer| answer.status == 400));

    // Half-open connections take all places: the next is told so, and when they are gone there is room again.
    let half_open: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /heal").unwrap();
            stream
        })
        .collect();
    let begun = std::time::Instant::now();
    let full = || send(address, b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    while full().is_none_or(|answer| answer.status != 503) {
        assert!(begun.elapsed() < spool_integration_tests::PATIENCE, "32 connections and still room");
    }
    drop(half_open);
    while full().is_none_or(|answer| answer.status != 200) {
        assert!(begun.elapsed() < spool_integration_tests::PATIENCE, "no room though all have gone");
    }
}

/// A daemon with this address for operators, and nothing else that could be in its way.
fn daemon_with(repo: &Repo, http: &str) -> std::process::Command {
    let flags = "daemon --json --api 127.0.0.1:0 --web off --listen /ip4/127.0.0.1/tcp/0 --mdns false --dht off --http";
    repo.command(flags.split(' ').chain([http]))
}

#[test]
fn it_can_be_off() {
    let repo = Repo::new("off");
    let mut child = daemon_with(&repo, "off").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let greeting: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(greeting["http"], json!(null));
    assert!(repo.path().join("api").exists() && !repo.path().join("http").exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let first = Repo::new("first");
    let taken = first.start(&[]);
    let second = Repo::new("second");
    let outcome = daemon_with(&second, taken.http()).output().unwrap();
    let message = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(1), "{message}");
    assert!(message.contains(taken.http()) && message.contains("--http off"), "{message}");
}
