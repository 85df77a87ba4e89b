//! Nodes in processes of their own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    api::{
        Connection, MAX_MESSAGE_BYTES,
        pb::{self, database_client::DatabaseClient, spool_client::SpoolClient},
        showing,
    },
    repo::{Init, Repo},
    threads::pb::api_client::ApiClient,
};

/// How long anything may take before the measurement is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(180);

/// A running daemon; killed when dropped.
pub(super) struct Daemon {
    process: Child,
    pub(super) client: SpoolClient<Connection>,
    pub(super) databases: DatabaseClient<Connection>,
    pub(super) textile: ApiClient<Channel>,
    pub(super) ready_after: Duration,
}

impl Daemon {
    /// Starts a daemon on loopback; makes its repository if there is none.
    pub(super) async fn start(directory: &Path) -> anyhow::Result<Self> {
        if Repo::open(directory).is_err() {
            Repo::create(directory, &Init::default())?;
        }
        let begun = Instant::now();
        let program = std::env::current_exe().context("find this program")?;
        let mut process = Command::new(program)
            .arg("--repo")
            .arg(directory)
            .args([
                "--api",
                "127.0.0.1:0",
                "daemon",
                "--web",
                "off",
                "--http",
                "off",
                "--listen",
                "/ip4/127.0.0.1/tcp/0",
            ])
            .args(["--mdns", "false", "--dht", "off", "--log", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start a daemon")?;
        let output = process.stdout.take().context("read the daemon's output")?;
        let mut lines = BufReader::new(output).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if line == "ready" {
                    return Ok(());
                }
            }
            bail!("the daemon ended at its start")
        };
        tokio::time::timeout(PATIENCE, ready).await??;
        let ready_after = begun.elapsed();
        // What else it prints must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let repo = Repo::open(directory)?;
        let api = repo.api().context("the daemon left no API address")?;
        let channel = Endpoint::from_shared(format!("http://{api}"))?.tcp_nodelay(true).connect().await?;
        // Its clients show logins of their own, and none is one.
        let textile = ApiClient::new(channel.clone());
        let channel = showing(repo.api_token()?, channel);
        let databases = DatabaseClient::new(channel.clone());
        let client = SpoolClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { process, client, databases, textile, ready_after })
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Joins the thread of a ticket.
    pub(super) async fn join(&mut self, ticket: String) -> anyhow::Result<()> {
        self.client.join_thread(pb::JoinThreadRequest { ticket, ..Default::default() }).await?;
        Ok(())
    }

    pub(super) async fn thread(&mut self, thread: &str) -> anyhow::Result<pb::Thread> {
        let request = pb::GetThreadRequest { thread: thread.to_owned() };
        let detail = self.client.get_thread(request).await?.into_inner();
        detail.thread.context("a thread without a summary")
    }

    /// Waits until the thread has so many records and lacks no block.
    pub(super) async fn wait_for(&mut self, thread: &str, records: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let now = self.thread(thread).await?;
            if now.records >= records && now.missing_blocks == 0 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("only {} of {records} records arrived in {PATIENCE:?}", now.records);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it cleanly.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.id().context("the daemon has ended by itself")?;
        // The command, since sending a signal takes unsafe code otherwise.
        Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        tokio::time::timeout(PATIENCE, self.process.wait()).await??;
        Ok(())
    }
}

/// A directory for one repository below the place of a measurement.
pub(super) fn repository(place: &tempfile::TempDir, name: &str) -> PathBuf {
    place.path().join(name)
}
