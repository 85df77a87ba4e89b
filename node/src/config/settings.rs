//! The settings with their types, defaults and bounds.

use std::net::SocketAddr;

use spool_proto::{IdentityKey, Multiaddr, PeerId};

use super::value::OFF;
use super::{Key, Raw, Token};
use crate::model::Durability;

/// Bytes of an installation's name.
pub(crate) const MAX_NAME_BYTES: usize = 64;
/// Bytes of a log filter.
const MAX_FILTER_BYTES: usize = 1024;
/// Bytes of the code for followers: few enough to be told on the phone; guessing goes over the network, one at a time.
const CODE_BYTES: std::ops::RangeInclusive<usize> = 8..=spool_proto::limits::MAX_CODE_BYTES;
/// Characters of a token: fewer can be guessed.
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=256;

/// What a node runs with. Every value is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What this installation is called.
    pub name: Option<String>,
    /// Where to listen for other nodes.
    pub listen: Vec<Multiaddr>,
    /// What to tell others instead of what was found out.
    pub announce: Vec<Multiaddr>,
    /// Peers to dial at start; each ends in `/p2p/<peer>`.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to find nodes on the local network.
    pub mdns: bool,
    /// Part in the distributed hash table.
    pub dht: Dht,
    /// Part in relaying.
    pub relay: Relay,
    /// Connections that others open, and as many that this node opens.
    pub max_connections: u32,
    /// Connections with one peer.
    pub max_connections_per_peer: u32,
    /// Where the API listens.
    pub api: SocketAddr,
    /// What callers show beside the token of the repository; needed where that, or `web`, is not loopback.
    pub api_token: Option<Token>,
    /// Where the interfaces listen for browsers.
    pub web: Option<SocketAddr>,
    /// Pages that may call there beside those of this machine.
    pub web_origins: Vec<String>,
    /// Where metrics and health are served for operators.
    pub http: Option<SocketAddr>,
    /// For whom this node follows threads.
    pub follow: Follow,
    /// Peers and identities on its list.
    pub follow_allow: Vec<Allowed>,
    /// What others may show instead.
    pub follow_code: Option<Token>,
    /// Threads that it follows for one identity.
    pub follow_max_threads: u32,
    /// MiB that they may use.
    pub follow_max_mib: u32,
    /// Records that they may bring in a second.
    pub follow_max_records_per_second: u32,
    /// Days after which bodies of newly followed threads are dropped; 0 for never.
    pub follow_bodies_days: u32,
    /// When an append is answered, unless its caller says.
    pub durability: Durability,
    /// Cache of the store in MiB.
    pub cache_mib: u32,
    /// KiB of one document as it is written here.
    pub max_document_kib: u32,
    /// KiB of one transaction as it is written here.
    pub max_transaction_kib: u32,
    /// Operations of one.
    pub max_operations: u32,
    /// Nesting of one document.
    pub max_depth: u32,
    /// Indexes of one collection.
    pub max_indexes: u32,
    /// MiB that one query may hold.
    pub query_memory_mib: u32,
    /// MiB of documents that one transaction may change.
    pub transaction_memory_mib: u32,
    /// Whether the home thread is kept.
    pub home: bool,
    /// Log filter.
    pub log: String,
    /// Log format.
    pub log_format: LogFormat,
}

/// For whom a node follows threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Nobody.
    Off,
    /// Those on its list.
    Allow,
    /// Those on its list, and whoever shows its code.
    Code,
    /// Everybody.
    Open,
}

/// Somebody for whom a node follows threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// A node, whoever's it is.
    Peer(PeerId),
    /// An identity, on whichever node.
    Identity(IdentityKey),
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Identity(identity) => identity.fmt(f),
        }
    }
}

/// Part in the distributed hash table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dht {
    /// A client until this node is known to be reachable from outside.
    Auto,
    /// Asks, and does not answer.
    Client,
    /// Asks and answers.
    Server,
    /// None.
    Off,
}

/// Part in relaying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// None.
    Off,
    /// Is reachable through relays of others.
    Client,
    /// Relays for others as well.
    Server,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const DHT: [(&str, Dht); 4] =
    [("auto", Dht::Auto), ("client", Dht::Client), ("server", Dht::Server), ("off", Dht::Off)];
const FOLLOW: [(&str, Follow); 4] =
    [("off", Follow::Off), ("allow", Follow::Allow), ("code", Follow::Code), ("open", Follow::Open)];
const RELAY: [(&str, Relay); 3] = [("off", Relay::Off), ("client", Relay::Client), ("server", Relay::Server)];
const DURABILITY: [(&str, Durability); 2] = [("sync", Durability::Sync), ("relaxed", Durability::Relaxed)];
const LOG_FORMAT: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

impl Default for Config {
    fn default() -> Self {
        let address = |text: &str| text.parse().expect("a literal address");
        Self {
            name: None,
            listen: vec![address("/ip4/0.0.0.0/tcp/4006"), address("/ip4/0.0.0.0/udp/4006/quic-v1")],
            announce: Vec::new(),
            bootstrap: Vec::new(),
            mdns: true,
            dht: Dht::Auto,
            relay: Relay::Client,
            max_connections: 400,
            max_connections_per_peer: 4,
            api: SocketAddr::from(([127, 0, 0, 1], 6006)),
            api_token: None,
            web: Some(SocketAddr::from(([127, 0, 0, 1], 6007))),
            web_origins: Vec::new(),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 6008))),
            follow: Follow::Off,
            follow_allow: Vec::new(),
            follow_code: None,
            follow_max_threads: 100,
            follow_max_mib: 1_024,
            follow_max_records_per_second: 1_000,
            follow_bodies_days: 0,
            durability: Durability::Sync,
            cache_mib: 64,
            max_document_kib: 1_024,
            max_transaction_kib: 4_096,
            max_operations: 10_000,
            max_depth: 64,
            max_indexes: 32,
            query_memory_mib: 64,
            transaction_memory_mib: 32,
            home: true,
            log: "info".into(),
            log_format: LogFormat::Text,
        }
    }
}

impl Config {
    /// Sets one value, or says what it should have been.
    pub(super) fn set(&mut self, key: Key, raw: Raw) -> Result<(), String> {
        match key {
            Key::Name => self.name = name(raw.text()?)?,
            Key::Listen => self.listen = raw.addresses()?,
            Key::Announce => self.announce = raw.addresses()?,
            Key::Bootstrap => self.bootstrap = bootstrap(raw.addresses()?)?,
            Key::Mdns => self.mdns = raw.boolean()?,
            Key::Dht => self.dht = raw.choice(&DHT)?,
            Key::Relay => self.relay = raw.choice(&RELAY)?,
            Key::MaxConnections => self.max_connections = raw.integer(1, 100_000)?,
            Key::MaxConnectionsPerPeer => self.max_connections_per_peer = raw.integer(1, 16)?,
            Key::Api => self.api = raw.socket()?,
            Key::ApiToken => self.api_token = token(raw.text()?)?,
            Key::Web => self.web = raw.socket_or_off()?,
            Key::WebOrigins => self.web_origins = origins(raw.texts()?)?,
            Key::Http => self.http = raw.socket_or_off()?,
            Key::Follow => self.follow = raw.choice(&FOLLOW)?,
            Key::FollowAllow => self.follow_allow = allowed(raw.texts()?)?,
            Key::FollowCode => self.follow_code = code(raw.text()?)?,
            Key::FollowMaxThreads => self.follow_max_threads = raw.integer(1, 10_000)?,
            Key::FollowMaxMib => self.follow_max_mib = raw.integer(1, 1_000_000_000)?,
            Key::FollowMaxRecordsPerSecond => self.follow_max_records_per_second = raw.integer(1, 1_000_000)?,
            Key::FollowBodiesDays => {
                self.follow_bodies_days = raw.integer(0, spool_proto::wire::limits::MAX_BODIES_DAYS)?;
            }
            Key::Durability => self.durability = raw.choice(&DURABILITY)?,
            Key::CacheMib => self.cache_mib = raw.integer(8, 65_536)?,
            Key::MaxDocumentKib => self.max_document_kib = raw.integer(1, 1_024)?,
            Key::MaxTransactionKib => self.max_transaction_kib = raw.integer(1, 4_096)?,
            Key::MaxOperations => self.max_operations = raw.integer(1, 10_000)?,
            Key::MaxDepth => self.max_depth = raw.integer(1, 64)?,
            Key::MaxIndexes => self.max_indexes = raw.integer(0, 32)?,
            Key::QueryMemoryMib => self.query_memory_mib = raw.integer(1, 65_536)?,
            Key::TransactionMemoryMib => self.transaction_memory_mib = raw.integer(1, 65_536)?,
            Key::Home => self.home = raw.boolean()?,
            Key::Log => self.log = filter(raw.text()?)?,
            Key::LogFormat => self.log_format = raw.choice(&LOG_FORMAT)?,
        }
        Ok(())
    }

    /// What local writes and queries may use.
    pub fn database_limits(&self) -> spool_db::Limits {
        const KIB: usize = 1024;
        spool_db::Limits {
            document_bytes: self.max_document_kib as usize * KIB,
            transaction_bytes: self.max_transaction_kib as usize * KIB,
            transaction_operations: self.max_operations as usize,
            depth: self.max_depth as usize,
            indexes: self.max_indexes as usize,
            query_memory: self.query_memory_mib as usize * KIB * KIB,
            transaction_memory: self.transaction_memory_mib as usize * KIB * KIB,
        }
    }

    /// The value of one setting as it would be written.
    pub fn get(&self, key: Key) -> Raw {
        match key {
            Key::Name => Raw::Text(self.name.clone().unwrap_or_default()),
            Key::Listen => Raw::list(&self.listen),
            Key::Announce => Raw::list(&self.announce),
            Key::Bootstrap => Raw::list(&self.bootstrap),
            Key::Mdns => Raw::Boolean(self.mdns),
            Key::Dht => word(&DHT, self.dht),
            Key::Relay => word(&RELAY, self.relay),
            Key::MaxConnections => Raw::Integer(self.max_connections.into()),
            Key::MaxConnectionsPerPeer => Raw::Integer(self.max_connections_per_peer.into()),
            Key::Api => Raw::Text(self.api.to_string()),
            // It is a secret.
            Key::ApiToken => Raw::Text(self.api_token.as_ref().map(|_| "(set)".into()).unwrap_or_default()),
            Key::Web => address_or_off(self.web),
            Key::WebOrigins => Raw::list(&self.web_origins),
            Key::Http => address_or_off(self.http),
            Key::Follow => word(&FOLLOW, self.follow),
            Key::FollowAllow => Raw::list(&self.follow_allow),
            // It is a secret.
            Key::FollowCode => Raw::Text(self.follow_code.as_ref().map(|_| "(set)".into()).unwrap_or_default()),
            Key::FollowMaxThreads => Raw::Integer(self.follow_max_threads.into()),
            Key::FollowMaxMib => Raw::Integer(self.follow_max_mib.into()),
            Key::FollowMaxRecordsPerSecond => Raw::Integer(self.follow_max_records_per_second.into()),
            Key::FollowBodiesDays => Raw::Integer(self.follow_bodies_days.into()),
            Key::Durability => word(&DURABILITY, self.durability),
            Key::CacheMib => Raw::Integer(self.cache_mib.into()),
            Key::MaxDocumentKib => Raw::Integer(self.max_document_kib.into()),
            Key::MaxTransactionKib => Raw::Integer(self.max_transaction_kib.into()),
            Key::MaxOperations => Raw::Integer(self.max_operations.into()),
            Key::MaxDepth => Raw::Integer(self.max_depth.into()),
            Key::MaxIndexes => Raw::Integer(self.max_indexes.into()),
            Key::QueryMemoryMib => Raw::Integer(self.query_memory_mib.into()),
            Key::TransactionMemoryMib => Raw::Integer(self.transaction_memory_mib.into()),
            Key::Home => Raw::Boolean(self.home),
            Key::Log => Raw::Text(self.log.clone()),
            Key::LogFormat => word(&LOG_FORMAT, self.log_format),
        }
    }
}

fn address_or_off(address: Option<SocketAddr>) -> Raw {
    Raw::Text(address.map_or_else(|| OFF.into(), |address| address.to_string()))
}

fn word<T: Copy + PartialEq>(choices: &[(&'static str, T)], value: T) -> Raw {
    let found = choices.iter().find(|(_, choice)| *choice == value);
    Raw::Text(found.map(|(name, _)| String::from(*name)).expect("every variant is among its choices"))
}

/// Empty means none, so that a layer can take back what a lower one set.
fn name(text: String) -> Result<Option<String>, String> {
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("it has {} bytes, at most {MAX_NAME_BYTES} are allowed", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters".into());
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Empty means none.
fn token(text: String) -> Result<Option<Token>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if !(TOKEN_CHARACTERS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())) {
        let (least, most) = (TOKEN_CHARACTERS.start(), TOKEN_CHARACTERS.end());
        return Err(format!(
            "expected {least} to {most} letters, digits and signs without spaces, such as `openssl rand -hex 32` makes"
        ));
    }
    Ok(Some(Token::new(text)))
}

/// Empty means none.
fn code(text: String) -> Result<Option<Token>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if !CODE_BYTES.contains(&text.len()) || text.chars().any(char::is_control) {
        let (least, most) = (CODE_BYTES.start(), CODE_BYTES.end());
        return Err(format!("expected {least} to {most} bytes without control characters"));
    }
    Ok(Some(Token::new(text)))
}

fn allowed(texts: Vec<String>) -> Result<Vec<Allowed>, String> {
    let allowed = |text: String| {
        let peer = text.parse().map(Allowed::Peer).ok();
        peer.or_else(|| text.parse().map(Allowed::Identity).ok()).ok_or_else(|| {
            format!("`{}` is neither a peer id nor an identity key, see `spool id`", text.escape_debug())
        })
    };
    texts.into_iter().map(allowed).collect()
}

fn origins(texts: Vec<String>) -> Result<Vec<String>, String> {
    let is_origin = |text: &String| {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'))
    };
    match texts.iter().find(|text| *text != "null" && !is_origin(text)) {
        Some(wrong) => Err(format!("`{}` is not an origin like https://app.example.org", wrong.escape_debug())),
        None => Ok(texts),
    }
}

fn bootstrap(addresses: Vec<Multiaddr>) -> Result<Vec<Multiaddr>, String> {
    let nameless = addresses.iter().find(|address| !ends_in_peer(address));
    match nameless {
        Some(address) => {
            Err(format!("`{address}` lacks the peer id at its end: /p2p/12D3Koo..., see `spool id` of that node"))
        }
        None => Ok(addresses),
    }
}

fn ends_in_peer(address: &Multiaddr) -> bool {
    address.protocol_stack().last() == Some("p2p")
}

fn filter(text: String) -> Result<String, String> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(format!("it has {} bytes, at most {MAX_FILTER_BYTES} are allowed", text.len()));
    }
    let parsed = tracing_subscriber::filter::EnvFilter::try_new(&text);
    parsed.map(|_| text).map_err(|error| format!("expected a level or a filter like \"info,spool_net=debug\": {error}"))
}
