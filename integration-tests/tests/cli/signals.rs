//! Signals, and who has the repository.

use std::{
    io::{self, BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdout, Stdio},
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use spool_integration_tests::daemon::{Outcome, Repo};

#[test]
fn sigterm_and_sigint_end_the_daemon_with_0() {
    let repo = Repo::new("signals");
    for signal in ["TERM", "INT"] {
        let mut child = repo
            .command([
                "daemon",
                "--api",
                "127.0.0.1:0",
                "--web",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                "--listen",
                "/ip4/127.0.0.1/tcp/0",
                "--mdns",
                "false",
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        // As `docs/cli.md` shows it.
        let greeting: Vec<String> = lines.by_ref().take_while(|line| line != "ready").collect();
        assert!(greeting[0].starts_with("spool "), "{greeting:?}");
        let begins = [
            "peer id    12D3KooW",
            "listening  /ip4/127.0.0.1/tcp/",
            "api        127.0.0.1:",
            "web        127.0.0.1:",
            "http       127.0.0.1:",
        ];
        for (line, begin) in greeting[1..].iter().zip(begins) {
            assert!(line.starts_with(begin), "{greeting:?}");
        }
        assert!(repo.path().join("api").exists());
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(!repo.path().join("api").exists());
    }
}

/// Far more events than a daemon can append before it is told to stop.
fn many_events() -> String {
    "{\"some\":\"event\"}\n".repeat(400_000)
}

/// An append that runs while the daemon is told to stop, and has printed its first receipt.
struct Appending {
    child: Child,
    receipts: Lines<BufReader<ChildStdout>>,
    feeding: JoinHandle<io::Result<()>>,
}

impl Appending {
    fn start(repo: &Repo) -> Self {
        let mut child = repo.command(["append", "load", "--json"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeding = thread::spawn(move || stdin.write_all(many_events().as_bytes()));
        let mut receipts = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&receipts.next().unwrap().unwrap()).unwrap();
        assert_eq!(first["counter"], json!(1));
        Self { child, receipts, feeding }
    }

    /// The last receipt and how it ended: the daemon said why, or the connection broke before it could.
    fn end(self) -> Value {
        let last = self.receipts.map(Result::unwrap).last().expect("more receipts than the first");
        let ended = self.child.wait_with_output().unwrap();
        // A broken pipe, most likely: the command ended before its input.
        let _ = self.feeding.join().unwrap();
        let ended = Outcome::from(ended);
        let (code, reason, message) = ended.error();
        assert_eq!(ended.code.map(i64::from), Some(code), "{ended:?}");
        assert!(matches!((code, reason.as_str()), (4, "unreachable-daemon") | (7, "stopping")), "{ended:?}");
        assert!(message.contains("appended"), "{message}");
        serde_json::from_str(&last).unwrap()
    }
}

/// Nothing is lost that was acknowledged.
fn has_all_until(repo: &Repo, last: &Value) {
    let daemon = repo.start(&[]);
    let head = repo.json(&["log", "load", "--last", "1"]).remove(0);
    assert!(head["counter"].as_u64().unwrap() >= last["counter"].as_u64().unwrap());
    assert_eq!(repo.json(&["verify", "load"])[0]["faults"], json!(0));
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_daemon_that_stops_lets_running_appends_end() {
    let repo = Repo::new("stopping");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "load"]);
    let appending = Appending::start(&repo);
    let ended = thread::spawn(move || appending.end());
    assert_eq!(daemon.stop().code(), Some(0));
    has_all_until(&repo, &ended.join().unwrap());
}

/// Its receipts fill the pipe, so that it reads no answers: after a while the daemon cuts it off.
#[test]
fn a_client_that_stands_still_does_not_hold_up_the_end_of_the_daemon() {
    let repo = Repo::new("standing");
    let daemon = repo.start(&[]);
    repo.text(&["thread", "create", "load"]);
    let appending = Appending::start(&repo);
    assert_eq!(daemon.stop().code(), Some(0));
    has_all_until(&repo, &appending.end());
}

#[test]
fn a_second_daemon_is_refused_and_told_who_has_the_repository() {
    let repo = Repo::new("busy");
    let daemon = repo.start(&[]);
    let (code, log) = repo.launch(&[]).ended();
    assert_eq!(code, Some(6), "{log}");
    assert!(log.contains(&format!("in use by process {} (`", daemon.id())) && log.contains("daemon --json"), "{log}");
    assert!(log.contains("repository-in-use"), "{log}");
    // The first one is none the worse for it.
    assert_eq!(repo.json(&["stat"])[0]["threads"], json!(0));
    // Nor does what a crash leaves behind stop the next one.
    let mut daemon = daemon;
    daemon.kill();
    assert!(repo.path().join("api").exists());
    assert!(repo.fails(&["stat"], 4).contains("spool daemon"));
    assert_eq!(repo.start(&[]).stop().code(), Some(0));
}

#[test]
fn the_api_stays_on_loopback_unless_that_is_asked_for() {
    let repo = Repo::new("open");
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:6006"] {
        let ended = repo.run(["daemon", "--api", address]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("not a loopback address") && ended.stderr.contains("api-token"), "{ended:?}");
    }
}
