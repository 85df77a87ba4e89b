//! A host with a daemon on it.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use spool_integration_tests::{PATIENCE, daemon::program};

use super::world::place;

/// Between two looks at a host.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Lines of a daemon's log that are shown where a scenario fails.
const LOG_LINES: usize = 60;

/// Where the daemon shows its figures, on the loopback interface of its namespace.
const METRICS: &str = "127.0.0.1:6008";

/// What a daemon takes of its machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Footprint {
    /// Resident.
    pub(crate) megabytes: u64,
    pub(crate) files: u64,
    pub(crate) tasks: u64,
}

/// A namespace, and the repository of its node.
pub(crate) struct Host {
    pub(crate) name: String,
    /// Where others see what it sends come from.
    pub(crate) address: Ipv4Addr,
    namespace: String,
    repo: PathBuf,
    daemon: Option<Child>,
    peer: String,
}

/// The lines of a command that goes on, with when they came.
#[derive(Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<Vec<(String, Instant)>>>);

/// An append that goes on; ends when dropped.
pub(crate) struct Writer {
    child: Child,
    stdin: ChildStdin,
}

impl Host {
    pub(crate) fn new(name: &str, namespace: String, address: Ipv4Addr, directory: &Path) -> Self {
        let repo = place(directory, name);
        Self { name: name.to_owned(), address, namespace, repo, daemon: None, peer: String::new() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program()).arg("--repo").arg(&self.repo).args(args);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", "/nonexistent");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the daemon with these flags, and waits until it is ready. It ends with this process, however that ends.
    pub(crate) fn start(&mut self, flags: &[&str]) {
        let fixed = [
            "daemon",
            "--init",
            "--json",
            "--until-eof",
            "--web",
            "off",
            "--http",
            METRICS,
            "--listen",
            "/ip4/0.0.0.0/tcp/4006,/ip4/0.0.0.0/udp/4006/quic-v1",
            "--log",
            "info,spool_net=debug,spool_node=debug",
        ];
        let log = File::options().create(true).append(true).open(self.repo.with_extension("log")).unwrap();
        let mut command = self.command(&[&fixed, flags].concat());
        let mut daemon = command.stdin(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.daemon = Some(daemon);
        let greeting: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.peer = greeting["peer_id"].as_str().unwrap().to_owned();
    }

    /// Where the others reach it over TCP, with its peer id.
    pub(crate) fn dialled_at(&self) -> String {
        format!("/ip4/{}/tcp/4006/p2p/{}", self.address, self.peer)
    }

    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The output of a command that succeeds.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{} {args:?}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The output of a command, if it succeeds.
    pub(crate) fn try_text(&self, args: &[&str]) -> Option<String> {
        let output = self.run(args);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
    }

    /// Scores of the peers that it keeps out.
    pub(crate) fn blocked(&self) -> Vec<f64> {
        let Some(peers) = self.try_text(&["peers", "--json"]) else { return Vec::new() };
        let peers: Vec<Value> = serde_json::from_str(&peers).unwrap();
        let blocked = peers.iter().filter(|peer| peer["blocked_ms"].is_u64());
        blocked.map(|peer| peer["score"].as_f64().unwrap()).collect()
    }

    /// What it takes now.
    pub(crate) fn footprint(&self) -> Footprint {
        let script = "exec 3<>/dev/tcp/127.0.0.1/6008; printf 'GET /metrics HTTP/1.1\r\nhost: spool\r\nconnection: close\r\n\r\n' >&3; cat <&3";
        let output =
            Command::new("ip").args(["netns", "exec", &self.namespace, "bash", "-c", script]).output().unwrap();
        let metrics = String::from_utf8_lossy(&output.stdout).into_owned();
        let figure = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is not among the figures of {}", self.name)).parse::<f64>().unwrap()
                as u64
        };
        Footprint {
            megabytes: figure("process_resident_memory_bytes") / 1_000_000,
            files: figure("process_open_fds"),
            tasks: figure("spool_tasks"),
        }
    }

    /// The JSON that a command prints which succeeds.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[args, &["--json"]].concat())).unwrap()
    }

    /// Makes a thread, and a ticket with which others read it.
    pub(crate) fn create(&self) -> String {
        self.text(&["thread", "create", "net"]);
        self.ticket("--read")
    }

    /// A ticket, for `--read` or `--follow`.
    pub(crate) fn ticket(&self, scope: &str) -> String {
        self.text(&["thread", "share", "net", scope])
    }

    /// Joins the thread of a ticket.
    pub(crate) fn join(&self, ticket: &str) {
        self.text(&["thread", "join", ticket, "--name", "net"]);
    }

    /// Appends one event.
    pub(crate) fn append(&self, body: &str) {
        self.text(&["append", "net", body]);
    }

    /// Number of the newest record in each log.
    pub(crate) fn heads(&self) -> Vec<(String, u64, String)> {
        let shown = self.json(&["thread", "show", "net"]);
        let log = |log: &Value| {
            let text = |field: &str| log[field].as_str().unwrap_or_default().to_owned();
            match &log["fork"] {
                Value::Null => (text("id"), log["counter"].as_u64().unwrap(), text("head")),
                // Of what comes at and after a fork each has its own first, and nothing counts.
                fork => (text("id"), 0, format!("forked: {fork}")),
            }
        };
        let mut heads: Vec<_> = shown["logs"].as_array().unwrap().iter().map(log).collect();
        heads.sort();
        heads
    }

    /// Logs whose writers have said where they are.
    pub(crate) fn places(&self) -> usize {
        let shown = self.json(&["thread", "show", "net"]);
        let is_placed = |log: &&Value| log["addresses"].as_array().is_some_and(|addresses| !addresses.is_empty());
        shown["logs"].as_array().unwrap().iter().filter(is_placed).count()
    }

    /// Events that were written; what nodes say of themselves, such as their addresses, is in the logs as well.
    pub(crate) fn events(&self) -> u64 {
        let entries = self.text(&["log", "net", "--json"]);
        let is_written = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["kind"] == "application";
        entries.lines().filter(is_written).count() as u64
    }

    /// Addresses of the connections with a peer.
    pub(crate) fn connections(&self, peer: &str) -> Vec<String> {
        let peers = self.json(&["peers"]);
        let of_peer = peers.as_array().unwrap().iter().filter(|found| found["peer_id"] == peer);
        let connections = of_peer.flat_map(|peer| peer["connections"].as_array().unwrap().clone());
        connections.map(|connection| connection["address"].as_str().unwrap().to_owned()).collect()
    }

    /// What becomes readable, from now on.
    pub(crate) fn arrivals(&self) -> Arrivals {
        let mut following = self.command(&["log", "net", "--follow", "--bodies"]).spawn().unwrap();
        let arrivals = Arrivals::default();
        let sink = arrivals.clone();
        let lines = BufReader::new(following.stdout.take().unwrap());
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                sink.0.lock().unwrap().push((line, Instant::now()));
            }
            // Ends with its daemon.
            let _ = following.wait();
        });
        arrivals
    }

    /// An append to which events are added as they come.
    pub(crate) fn writer(&self) -> Writer {
        let mut child =
            self.command(&["append", "net", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        Writer { child, stdin }
    }

    /// Ends the daemon as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    fn log(&self) -> String {
        let text = std::fs::read(self.repo.with_extension("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            super::world::say(&format!("log of {}:\n{}", self.name, self.log()));
        }
    }
}

impl Arrivals {
    /// When a line came.
    pub(crate) fn of(&self, line: &str) -> Option<Instant> {
        self.0.lock().unwrap().iter().find(|(seen, _)| seen == line).map(|(_, at)| *at)
    }
}

impl Writer {
    /// Appends an event, and says when.
    pub(crate) fn write(&mut self, line: &str) -> Instant {
        let now = Instant::now();
        writeln!(self.stdin, "{line}").unwrap();
        now
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until there is something to see; how long that took.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> (T, Duration) {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return (seen, begun.elapsed());
        }
        assert!(begun.elapsed() < 4 * PATIENCE, "waited in vain: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until all have so many events, and the same records.
pub(crate) fn all_have(hosts: &[&Host], events: u64) -> Duration {
    let same = || {
        let heads = hosts[0].heads();
        let equal = hosts[1..].iter().all(|host| host.heads() == heads);
        (equal && hosts.iter().all(|host| host.events() == events)).then_some(())
    };
    wait(&format!("{events} events, the same at all {} hosts", hosts.len()), same).1
}
