//! Testnets as users have them: several daemons that one command keeps, and that never outlive it.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]
#![cfg(unix)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use spool_integration_tests::{PATIENCE, daemon::program};
use spool_node::repo::Repo;
use tempfile::TempDir;

/// Between two looks at a process.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A testnet that runs.
struct Testnet {
    directory: TempDir,
    up: Child,
    lines: mpsc::Receiver<String>,
}

fn spool(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    let (verb, rest) = args.split_first().unwrap();
    command.env_clear().env("HOME", "/nonexistent").args(["testnet", verb, "--dir"]).arg(directory).args(rest);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(directory: &Path, args: &[&str]) -> Output {
    spool(directory, args).output().unwrap()
}

fn text(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

impl Testnet {
    fn up(directory: TempDir, args: &[&str]) -> Self {
        let args = [&["up"], args].concat();
        let mut up = spool(directory.path(), &args).stderr(Stdio::inherit()).spawn().unwrap();
        let stdout = BufReader::new(up.stdout.take().unwrap());
        let (sender, lines) = mpsc::sync_channel(1024);
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { directory, up, lines }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Reads on until there is such a line.
    fn line<T>(&self, what: &str, mut pick: impl FnMut(&str) -> Option<T>) -> T {
        let begun = Instant::now();
        let mut last = String::new();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("waited in vain: {what}; last {last}"));
            if let Some(picked) = pick(&line) {
                return picked;
            }
            last = line;
        }
    }

    /// Reads on until there is such an object.
    fn object(&self, what: &str, mut pick: impl FnMut(&Value) -> bool) -> Value {
        self.line(what, |line| {
            let value: Value = serde_json::from_str(line).unwrap();
            pick(&value).then_some(value)
        })
    }

    fn exec(&self, name: &str, args: &[&str]) -> Output {
        run(self.path(), &[&["exec", name, "--"], args].concat())
    }

    /// How `up` ends.
    fn ended(mut self) -> (Option<i32>, TempDir) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.up.try_wait().unwrap() {
                let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
                return (status.code(), directory);
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end");
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Testnet {
    fn drop(&mut self) {
        // Its nodes end with it.
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

/// Names and processes of the nodes.
fn nodes(up: &Value) -> Vec<(String, u64)> {
    let node = |node: &Value| (node["name"].as_str().unwrap().to_owned(), node["pid"].as_u64().unwrap());
    up["nodes"].as_array().unwrap().iter().map(node).collect()
}

/// Waits until no process is left of any node.
fn all_gone(directory: &Path, nodes: &[(String, u64)]) {
    let begun = Instant::now();
    let is_there = |(name, pid): &(String, u64)| {
        let locked = Repo::open(directory.join(name)).unwrap().lock().is_err();
        // Nobody may wait for an orphan that has ended.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let alive = stat.contains("(spool)") && !stat.contains(") Z ");
        locked || alive
    };
    while let Some(node) = nodes.iter().find(|node| is_there(node)) {
        assert!(begun.elapsed() < PATIENCE, "{node:?} is still there");
        thread::sleep(LOOK_AGAIN);
    }
}

#[test]
fn what_one_node_writes_all_have_and_the_testnet_stops_and_goes_on() {
    let net = Testnet::up(tempfile::tempdir().unwrap(), &["-n", "4", "--followers", "1", "--json"]);
    let up = net.object("the nodes", |_| true);
    assert_eq!(up["step"], "up");
    let started = nodes(&up);
    let names: Vec<&str> = started.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["writer1", "writer2", "writer3", "follower1"]);

    for (name, body) in [("writer1", "one"), ("writer3", "two")] {
        let output = net.exec(name, &["append", "testnet", body]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let seen = net.object("equal heads of two logs", |seen| {
        let nodes = seen["nodes"].as_array().unwrap();
        seen["equal"] == true && nodes.iter().all(|node| node["records"] == 2 && node["lag"] == 0)
    });
    for node in seen["nodes"].as_array().unwrap() {
        assert!(node["bytes_in"].as_u64() > Some(500) && node["bytes_out"].as_u64() > Some(500), "{node}");
        assert!(node["peers"].as_u64() > Some(0), "{node}");
        assert_eq!(node["heads"].as_object().unwrap().len(), 2);
    }
    let status: Value = serde_json::from_str(&text(&run(net.path(), &["status", "--json"]))).unwrap();
    assert_eq!((&status["equal"], &status["thread"]), (&Value::Bool(true), &up["thread"]));
    let status = text(&run(net.path(), &["status"]));
    assert!(status.contains("writer2") && status.contains("all heads are equal"), "{status}");
    assert!(text(&net.exec("follower1", &["thread", "show", "testnet"])).contains("cannot read it"));
    assert!(text(&net.exec("writer2", &["log", "testnet", "--bodies"])).contains("one"));
    assert!(text(&run(net.path(), &["logs", "follower1"])).contains("listening"));

    // What cannot be.
    for (args, code) in [
        (&["exec", "writer9", "--", "id"][..], 3),
        (&["up", "-n", "1"], 6),
        (&["up", "-n", "1", "--followers", "1"], 2),
    ] {
        let refused = run(net.path(), args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}: {refused:?}");
    }
    // The exit code is that of the command.
    assert_eq!(net.exec("writer1", &["log", "no-such-thread"]).status.code(), Some(3));

    assert!(text(&run(net.path(), &["down"])).contains("stopped"));
    let (code, directory) = net.ended();
    assert_eq!(code, Some(0));
    all_gone(directory.path(), &started);
    assert_eq!(run(directory.path(), &["status"]).status.code(), Some(4));

    // The same nodes, with what they had.
    let net = Testnet::up(directory, &["-n", "4", "--followers", "1", "--json"]);
    let again = net.object("the nodes", |_| true);
    assert_eq!(again["thread"], up["thread"]);
    let peers = |up: &Value| -> Vec<Value> {
        up["nodes"].as_array().unwrap().iter().map(|node| node["peer_id"].clone()).collect()
    };
    assert_eq!(peers(&again), peers(&up));
    net.object("what was there", |seen| seen["equal"] == true && seen["nodes"][3]["records"] == 2);
    assert!(text(&run(net.path(), &["down", "--rm"])).contains("stopped and removed"));
    let (code, directory) = net.ended();
    assert_eq!((code, directory.path().join("writer1").exists()), (Some(0), false));
    assert_eq!(run(directory.path(), &["status"]).status.code(), Some(3));
}

#[test]
fn no_node_outlives_a_testnet_that_is_killed() {
    let mut net = Testnet::up(tempfile::tempdir().unwrap(), &["-n", "3", "--json"]);
    let started = nodes(&net.object("the nodes", |_| true));
    assert_eq!(started.len(), 3);
    net.up.kill().unwrap();
    all_gone(net.path(), &started);
}

#[test]
fn a_node_that_ends_is_seen_and_a_signal_ends_the_others() {
    let net = Testnet::up(tempfile::tempdir().unwrap(), &["-n", "2"]);
    net.line("a table", |line| (line.contains("PEER ID") && line.contains("API")).then_some(()));
    let process = |line: &str| {
        let mut columns = line.split_whitespace();
        (columns.next() == Some("writer2")).then(|| columns.nth(1).unwrap().parse::<u64>().unwrap())
    };
    let second = net.line("its second node", process);
    net.line("a look at the nodes", |line| line.contains("writer2  heads none").then_some(()));
    let kill = |pid: u64, name: &str| {
        assert!(Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap().success());
    };
    kill(second, "KILL");
    net.line("the end of it", |line| line.contains("writer2  ended: signal: 9").then_some(()));
    kill(net.up.id().into(), "TERM");
    let (code, directory) = net.ended();
    assert_eq!(code, Some(0));
    all_gone(directory.path(), &[("writer1".into(), 0), ("writer2".into(), second)]);
}
