//! What every command needs: the repository's place, the configuration, and a connection to the daemon.

use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::exit::{Exit, Failure};
use super::output::Output;
use super::resolve;
use super::settings::Settings;
use crate::api::pb::database_client::DatabaseClient;
use crate::api::pb::spool_client::SpoolClient;
use crate::api::{Connection, MAX_DOCUMENTS_BYTES, MAX_MESSAGE_BYTES, showing};
use crate::config::{Effective, Key, Layers, Origin, Raw, Token, socket};
use crate::repo::{self, Repo};

/// The daemon is on this machine, as a rule: it answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Client = SpoolClient<Connection>;
pub(super) type Database = DatabaseClient<Connection>;

/// The global flags, and where to write.
pub(super) struct Context {
    pub(super) repo: Option<PathBuf>,
    pub(super) api: Option<String>,
    pub(super) api_token: Option<String>,
    /// Where the passphrase of the repository is read from.
    pub(super) passphrase_fd: Option<u32>,
    pub(super) out: Output,
}

impl Context {
    /// The directory of the repository, whether or not there is one.
    pub(super) fn dir(&self) -> Result<PathBuf, Failure> {
        let of_threadsd = || std::env::var_os("THRDS_REPO").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let dir = self.repo.clone().or_else(of_threadsd).or_else(Repo::default_dir);
        dir.ok_or_else(|| {
            Failure::usage("there is no home directory to keep the repository in; name a place with --repo")
        })
    }

    /// The repository.
    pub(super) fn open(&self) -> Result<Repo, Failure> {
        Ok(Repo::open(self.dir()?)?)
    }

    /// The configuration that holds with these flags, with or without a repository.
    pub(super) fn settings(&self, flags: &Settings) -> Result<Effective, Failure> {
        let mut layers = Layers::default();
        match self.open() {
            Ok(repo) => layers = layers.file(&repo.config_path())?,
            Err(failure) if failure.exit == Exit::NotFound => {}
            Err(failure) => return Err(failure),
        }
        let text = |key, text: &Option<String>| text.clone().map(|text| (key, Raw::Text(text)));
        let global = [text(Key::Api, &self.api), text(Key::ApiToken, &self.api_token)].into_iter().flatten();
        Ok(layers.environment(std::env::vars_os())?.flags(flags.0.iter().cloned().chain(global)).resolve()?)
    }

    /// Connects to the daemon.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Ok(self.clients().await?.0)
    }

    /// Connects to the databases of the daemon; with the id of the thread that `thread` means.
    pub(super) async fn database(&self, thread: &str) -> Result<(Database, String), Failure> {
        let (mut client, database) = self.clients().await?;
        let thread = resolve::thread(&mut client, thread).await?;
        Ok((database, thread))
    }

    /// Both interfaces of the daemon over one connection.
    pub(super) async fn clients(&self) -> Result<(Client, Database), Failure> {
        let channel = self.connect().await?;
        let channel = showing(self.token()?, channel);
        let database = DatabaseClient::new(channel.clone());
        let database = database.max_decoding_message_size(MAX_DOCUMENTS_BYTES);
        let client = SpoolClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let client = client.max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok((client, database.max_encoding_message_size(MAX_MESSAGE_BYTES)))
    }

    /// What to show: what the user says, else what is in the repository.
    fn token(&self) -> Result<Option<Token>, Failure> {
        let said = self.api_token.clone().or_else(|| std::env::var(Key::ApiToken.variable()).ok());
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            return Ok(Some(Token::new(said)));
        }
        match self.open() {
            Ok(repo) => Ok(repo.api_token()?),
            Err(failure) if failure.exit == Exit::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn connect(&self) -> Result<Channel, Failure> {
        let address = self.daemon()?;
        let unreachable = |why: String| {
            let message = format!("no daemon answers at {address} ({why}); start one with `spool daemon`");
            Failure::new(Exit::Unreachable, "unreachable-daemon", message)
        };
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint =
            endpoint.map_err(|error| Failure::usage(format!("--api {address} is not a host and a port: {error}")))?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true);
        endpoint.connect().await.map_err(|error| unreachable(crate::chain(&error)))
    }

    /// Where the daemon should be: what the user says, else what the daemon of this repository wrote, else the configuration.
    fn daemon(&self) -> Result<String, Failure> {
        if let Some(api) = self.api.clone().or_else(|| std::env::var(Key::Api.variable()).ok()) {
            return Ok(reachable(&api));
        }
        match self.open() {
            Ok(repo) => match repo.api() {
                Some(api) => Ok(reachable(&api)),
                // Whoever listens at the configured address would be the daemon of another repository.
                None => {
                    let message =
                        format!("the daemon of {} is not running; start it with `spool daemon`", repo.dir().display());
                    Err(Failure::new(Exit::Unreachable, "unreachable-daemon", message))
                }
            },
            Err(failure) if failure.exit == Exit::NotFound => {
                Ok(self.settings(&Settings::default())?.config.api.to_string())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Whether the user named a daemon, which then need not be that of the repository.
    pub(super) fn names_daemon(&self) -> bool {
        self.api.is_some() || std::env::var_os(Key::Api.variable()).is_some()
    }
}

/// An address that is listened on as one that can be connected to.
pub(super) fn reachable(api: &str) -> String {
    match socket(api) {
        Some(mut address) if address.ip().is_unspecified() => {
            let loopback: std::net::IpAddr = if address.is_ipv4() {
                std::net::Ipv4Addr::LOCALHOST.into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            };
            address.set_ip(loopback);
            address.to_string()
        }
        Some(address) => address.to_string(),
        None => api.to_owned(),
    }
}

/// Kept for `spool config show`: the words for where a value came from.
pub(super) fn origin(effective: &Effective, key: Key) -> String {
    match effective.origin(key) {
        Origin::Default => "default".into(),
        Origin::File => "config.toml".into(),
        Origin::Threadsd => key.variable_of_threadsd().unwrap_or_default(),
        Origin::Environment => key.variable(),
        Origin::Flag => format!("--{key}"),
    }
}

/// Whether there is no repository in the way of `error`.
pub(super) fn is_missing(error: &repo::Error) -> bool {
    matches!(error, repo::Error::Missing(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_address_is_reached_over_loopback() {
        assert_eq!(reachable("0.0.0.0:6006"), "127.0.0.1:6006");
        assert_eq!(reachable("/ip4/0.0.0.0/tcp/6006"), "127.0.0.1:6006");
        assert_eq!(reachable("/ip6/::1/tcp/6006"), "[::1]:6006");
        assert_eq!(reachable("[::]:6006"), "[::1]:6006");
        assert_eq!(reachable("192.0.2.7:6006"), "192.0.2.7:6006");
        assert_eq!(reachable("spool:6006"), "spool:6006");
    }
}
