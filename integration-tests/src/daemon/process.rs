//! Daemons as processes: started, asked, killed.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use serde_json::Value;
use spool_node::api::{Connection, showing};
use tonic::transport::Endpoint;

use super::{LOOK_AGAIN, Repo};
use crate::PATIENCE;

/// How much of a daemon's log is shown where a test fails.
const LOG_LINES: usize = 40;

/// What every daemon here is given: nothing beyond loopback, and only ports that are free.
const FLAGS: [&str; 16] = [
    "daemon",
    "--json",
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
    "--dht",
    "off",
    "--log",
    "info",
];

/// A daemon that may not be ready yet; killed when dropped.
pub struct Launched(Process);

/// A daemon that is ready; killed when dropped.
pub struct Daemon {
    process: Process,
    /// What it printed when it was ready.
    pub greeting: Value,
}

/// A child, and the file that it logs into.
struct Process {
    child: Child,
    log: PathBuf,
    /// Of its repository.
    directory: PathBuf,
}

impl Launched {
    pub(super) fn new(repo: &Repo, flags: &[&str]) -> Self {
        let log = repo.path().with_extension("log");
        let stderr = File::options().create(true).append(true).open(&log).expect("a file for the log");
        let mut command = repo.command(FLAGS.iter().chain(flags));
        let child = command.stderr(stderr).stdout(Stdio::piped()).spawn().expect("the daemon starts");
        Self(Process { child, log, directory: repo.path().to_owned() })
    }

    /// Ends it at once, as a crash would.
    pub fn kill(mut self) {
        self.0.kill();
    }

    /// Waits until it answers.
    ///
    /// # Panics
    ///
    /// If it ends before, or takes longer than [`PATIENCE`].
    pub fn ready(mut self) -> Daemon {
        let stdout = self.0.child.stdout.take().expect("standard output is a pipe");
        let (sender, greeting) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let mut line = String::new();
            // Too late is as good as nothing.
            let _ = BufReader::new(stdout).read_line(&mut line).map(|_| sender.send(line));
        });
        let line = greeting.recv_timeout(PATIENCE).unwrap_or_default();
        let greeting = serde_json::from_str(&line).unwrap_or_else(|error| panic!("the daemon is not ready: {error}"));
        Daemon { process: self.0, greeting }
    }

    /// Waits until it ends by itself; its exit code and the end of its log.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let status = self.0.wait();
        (status.code(), self.0.tail())
    }
}

impl Daemon {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Where its API listens.
    pub fn api(&self) -> &str {
        self.greeting["api"].as_str().expect("the greeting names the API")
    }

    /// Connects to its API, and shows its token there.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn connect(&self) -> Connection {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.api())).expect("an address");
        let channel = endpoint.connect().await.expect("a daemon that is ready");
        let repo = spool_node::repo::Repo::open(&self.process.directory).expect("its repository");
        showing(repo.api_token().expect("a file that can be read"), channel)
    }

    /// Where it listens for browsers.
    pub fn web(&self) -> &str {
        self.greeting["web"].as_str().expect("the greeting names the address for browsers")
    }

    /// Where it serves metrics and health.
    pub fn http(&self) -> &str {
        self.greeting["http"].as_str().expect("the greeting names the address for operators")
    }

    /// Its peer id.
    pub fn peer(&self) -> &str {
        self.greeting["peer_id"].as_str().expect("the greeting names the peer")
    }

    /// Where other nodes reach it, with its peer id at the end.
    pub fn address(&self) -> String {
        let listen = self.greeting["listen"][0].as_str().expect("the greeting names an address");
        format!("{listen}/p2p/{}", self.peer())
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.process.wait()
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// The end of what it logged, in this run and those before.
    pub fn log(&self) -> String {
        self.process.tail()
    }
}

impl Process {
    /// SIGKILL; nothing happens if it has ended already.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the daemon did not end within {PATIENCE:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let text = format!("--- {}\n{}\n", self.log.display(), self.tail());
            // Nobody may be reading.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

/// Sends a signal to a process that the test started.
pub(super) fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), id.to_string()]).status().expect("`kill` runs");
    assert!(sent.success(), "no process {id}");
}
