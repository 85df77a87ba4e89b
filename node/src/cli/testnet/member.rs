//! One node of a testnet: its process, and how to talk to it.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::transport::Endpoint;

use super::place::Place;
use crate::api::pb::{self, spool_client::SpoolClient};
use crate::api::showing;
use crate::cli::context::Client;
use crate::cli::exit::{Exit, Failure};
use crate::config::Key;
use crate::repo::{self, Init, Repo};

/// What every node is set to, unless it is said otherwise: loopback, free ports, and nobody of the local network.
const SETTINGS: [(Key, &str); 6] = [
    (Key::Api, "127.0.0.1:0"),
    (Key::Web, "off"),
    (Key::Http, "127.0.0.1:0"),
    (Key::Listen, "/ip4/127.0.0.1/tcp/0"),
    (Key::Mdns, "false"),
    (Key::Dht, "server"),
];
/// Until a node answers: it may have to read a damaged log first, on a machine that is busy.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Until a node has put everything away.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// One call of one node, which answers at once or is stuck.
const CALL_PATIENCE: Duration = Duration::from_secs(10);
/// Lines of its log that are shown of a node that does not start.
const LOG_LINES: usize = 5;

/// The part that a node takes in the thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Reads and writes.
    #[default]
    Writer,
    /// Replicates.
    Follower,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Follower => "follower",
        }
    }
}

/// A node, as others find it in `testnet.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) pid: Option<u32>,
    pub(super) peer_id: String,
    /// Each with the peer id at its end.
    pub(super) addresses: Vec<String>,
    pub(super) api: String,
    /// Where metrics are.
    pub(super) http: Option<String>,
}

/// What a daemon prints when it is ready.
#[derive(Deserialize)]
struct Greeting {
    peer_id: String,
    listen: Vec<String>,
    api: String,
    http: Option<String>,
}

/// A node's process. It ends with this.
pub(super) struct Running {
    pub(super) member: Member,
    child: Child,
}

impl Member {
    /// Starts a node, with a new repository where there is none.
    pub(super) fn spawn(name: String, role: Role, place: &Place, flags: &[String]) -> Result<Running, Failure> {
        let dir = place.repo(&name);
        match Repo::open(&dir) {
            Ok(_) => {}
            Err(repo::Error::Missing(_)) => {
                Repo::create(&dir, &Init { name: Some(name.clone()), ..Init::default() })?;
            }
            Err(error) => return Err(error.into()),
        }
        let mut command = program()?;
        command.arg("--repo").arg(&dir).args(["daemon", "--json", "--until-eof"]).args(flags);
        // In the environment, so that flags are above them.
        command.envs(SETTINGS.map(|(key, value)| (key.variable(), value)));
        let log = OpenOptions::new().create(true).append(true).open(place.log(&name));
        let log = log.map_err(|error| anyhow::Error::new(error).context(format!("cannot open the log of {name}")))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        // Ctrl-C is for `up`, which then lets all of them end.
        #[cfg(unix)]
        command.process_group(0);
        let child =
            command.spawn().map_err(|error| anyhow::Error::new(error).context(format!("cannot start {name}")))?;
        let member = Self { name, role, pid: child.id(), ..Self::default() };
        Ok(Running { member, child })
    }

    /// Connects to its API.
    pub(super) async fn client(&self, place: &Place) -> Result<Client, Failure> {
        let unreachable = |error: &dyn std::error::Error| {
            let message = format!("{} does not answer: {}", self.name, crate::chain(error));
            Failure::new(Exit::Unreachable, "unreachable-daemon", message)
        };
        let endpoint = Endpoint::from_shared(format!("http://{}", self.api)).map_err(|error| unreachable(&error))?;
        let endpoint = endpoint.connect_timeout(CALL_PATIENCE).timeout(CALL_PATIENCE).tcp_nodelay(true);
        let channel = endpoint.connect().await.map_err(|error| unreachable(&error))?;
        let token = Repo::open(place.repo(&self.name))?.api_token()?;
        Ok(SpoolClient::new(showing(token, channel)))
    }
}

impl Running {
    /// Waits until it answers, and notes where.
    pub(super) async fn ready(&mut self, place: &Place) -> Result<(), Failure> {
        let name = self.member.name.clone();
        let stdout = self.child.stdout.take().expect("standard output is a pipe, and taken once");
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let read = tokio::time::timeout(START_PATIENCE, stdout.read_line(&mut line)).await;
        let greeting = match read {
            Ok(Ok(_)) => serde_json::from_str::<Greeting>(&line).ok(),
            Ok(Err(_)) | Err(_) => None,
        };
        let Some(greeting) = greeting else {
            let log = place.log(&name);
            let message = format!("{name} did not start; the end of {} is\n{}", log.display(), tail(&log));
            return Err(Failure::new(Exit::Failed, "not-started", message));
        };
        self.member.addresses =
            greeting.listen.iter().map(|address| format!("{address}/p2p/{}", greeting.peer_id)).collect();
        self.member.peer_id = greeting.peer_id;
        self.member.api = greeting.api;
        self.member.http = greeting.http;
        Ok(())
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Asks it to end; [`Self::gone`] waits until it has.
    pub(super) fn stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until it has ended, and kills it when that takes too long. `false`: it had to be killed.
    pub(super) async fn gone(mut self) -> bool {
        if tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_ok() {
            return true;
        }
        // It may just have ended.
        let _ = self.child.kill().await;
        false
    }
}

/// This program, without what the environment says to it: a testnet is the same wherever it is started.
fn program() -> Result<Command, Failure> {
    let mut command = Command::new(this_program()?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    Ok(command)
}

pub(super) fn this_program() -> Result<std::path::PathBuf, Failure> {
    std::env::current_exe().map_err(|error| anyhow::Error::new(error).context("cannot find this program").into())
}

/// Whether a variable of the environment says something to `spool`.
pub(super) fn is_setting(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"SPOOL_")
}

/// The last lines of a file.
fn tail(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// The scope of the ticket that a node gets.
pub(super) fn scope(role: Role) -> pb::Scope {
    match role {
        Role::Writer => pb::Scope::Read,
        Role::Follower => pb::Scope::Follow,
    }
}
