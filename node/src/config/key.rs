//! The names of all settings.

use std::fmt;
use std::str::FromStr;

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is documented once, in its `help`")]
pub enum Key {
    Name,
    Listen,
    Announce,
    Bootstrap,
    Mdns,
    Dht,
    Relay,
    MaxConnections,
    MaxConnectionsPerPeer,
    Api,
    ApiToken,
    Web,
    WebOrigins,
    Http,
    Follow,
    FollowAllow,
    FollowCode,
    FollowMaxThreads,
    FollowMaxMib,
    FollowMaxRecordsPerSecond,
    FollowBodiesDays,
    Durability,
    CacheMib,
    MaxDocumentKib,
    MaxTransactionKib,
    MaxOperations,
    MaxDepth,
    MaxIndexes,
    QueryMemoryMib,
    TransactionMemoryMib,
    Home,
    Log,
    LogFormat,
}

impl Key {
    /// All settings, in the order in which they are shown.
    pub const ALL: [Key; 33] = [
        Self::Name,
        Self::Listen,
        Self::Announce,
        Self::Bootstrap,
        Self::Mdns,
        Self::Dht,
        Self::Relay,
        Self::MaxConnections,
        Self::MaxConnectionsPerPeer,
        Self::Api,
        Self::ApiToken,
        Self::Web,
        Self::WebOrigins,
        Self::Http,
        Self::Follow,
        Self::FollowAllow,
        Self::FollowCode,
        Self::FollowMaxThreads,
        Self::FollowMaxMib,
        Self::FollowMaxRecordsPerSecond,
        Self::FollowBodiesDays,
        Self::Durability,
        Self::CacheMib,
        Self::MaxDocumentKib,
        Self::MaxTransactionKib,
        Self::MaxOperations,
        Self::MaxDepth,
        Self::MaxIndexes,
        Self::QueryMemoryMib,
        Self::TransactionMemoryMib,
        Self::Home,
        Self::Log,
        Self::LogFormat,
    ];

    /// The name in the file and, behind `--`, of the flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Listen => "listen",
            Self::Announce => "announce",
            Self::Bootstrap => "bootstrap",
            Self::Mdns => "mdns",
            Self::Dht => "dht",
            Self::Relay => "relay",
            Self::MaxConnections => "max-connections",
            Self::MaxConnectionsPerPeer => "max-connections-per-peer",
            Self::Api => "api",
            Self::ApiToken => "api-token",
            Self::Web => "web",
            Self::WebOrigins => "web-origins",
            Self::Http => "http",
            Self::Follow => "follow",
            Self::FollowAllow => "follow-allow",
            Self::FollowCode => "follow-code",
            Self::FollowMaxThreads => "follow-max-threads",
            Self::FollowMaxMib => "follow-max-mib",
            Self::FollowMaxRecordsPerSecond => "follow-max-records-per-second",
            Self::FollowBodiesDays => "follow-bodies-days",
            Self::Durability => "durability",
            Self::CacheMib => "cache-mib",
            Self::MaxDocumentKib => "max-document-kib",
            Self::MaxTransactionKib => "max-transaction-kib",
            Self::MaxOperations => "max-operations",
            Self::MaxDepth => "max-depth",
            Self::MaxIndexes => "max-indexes",
            Self::QueryMemoryMib => "query-memory-mib",
            Self::TransactionMemoryMib => "transaction-memory-mib",
            Self::Home => "home",
            Self::Log => "log",
            Self::LogFormat => "log-format",
        }
    }

    /// The environment variable.
    pub fn variable(self) -> String {
        format!("SPOOL_{}", self.name().to_ascii_uppercase().replace('-', "_"))
    }

    /// What `threadsd`, the reference daemon of Textile Threads, calls it.
    pub fn name_of_threadsd(self) -> Option<&'static str> {
        match self {
            Self::Listen => Some("hostAddr"),
            Self::Announce => Some("announceAddr"),
            Self::Api => Some("apiAddr"),
            Self::Web => Some("apiProxyAddr"),
            Self::MaxConnections => Some("connHighWater"),
            _ => None,
        }
    }

    /// Its variable there.
    pub fn variable_of_threadsd(self) -> Option<String> {
        self.name_of_threadsd().map(|name| format!("THRDS_{}", name.to_ascii_uppercase()))
    }

    /// What it is for, as in the configuration that `spool init` writes.
    pub fn help(self) -> &'static str {
        match self {
            Self::Name => "What this installation is called in `spool id`; nobody else sees it. At most 64 bytes.",
            Self::Listen => {
                "Addresses to listen on for other nodes. For IPv6 add \"/ip6/::/tcp/4006\" and \"/ip6/::/udp/4006/quic-v1\"."
            }
            Self::Announce => {
                "Addresses to tell others in place of those that were found out, e.g. \"/dns4/spool.example.org/tcp/4006\"."
            }
            Self::Bootstrap => {
                "Peers to dial at start, each with its peer id: \"/ip4/192.0.2.7/tcp/4006/p2p/12D3Koo...\"."
            }
            Self::Mdns => "Find other nodes on the local network.",
            Self::Dht => {
                "Part in the distributed hash table: \"auto\" (a client until reachable from outside), \"client\", \"server\" or \"off\"."
            }
            Self::Relay => "\"client\" (be reachable through relays), \"server\" (also relay for others) or \"off\".",
            Self::MaxConnections => "Connections that others open, 1 to 100000; this node opens as many at the most.",
            Self::MaxConnectionsPerPeer => "Connections with one peer, 1 to 16.",
            Self::Api => {
                "Where the gRPC interface listens. Port 0 takes a free one; the commands find it through the repository."
            }
            Self::ApiToken => {
                "What callers show beside what is in the file `api-token`: at least 16 characters. Needed to let `api` and `web` listen on addresses that are not loopback."
            }
            Self::Web => {
                "Where the interfaces listen for browsers (grpc-web, and its websockets, as in Textile Threads), or \"off\". Port 0 takes a free one."
            }
            Self::WebOrigins => {
                "Pages that may call through `web` beside those of this machine, as browsers write them: \"https://app.example.org\"."
            }
            Self::Http => {
                "Where metrics, health and readiness are served for operators, or \"off\". Port 0 takes a free one. They hold no secret, so another address than loopback needs no token."
            }
            Self::Follow => {
                "For whom this node follows threads when it is invited to: \"off\" (nobody), \"allow\" (those of `follow-allow`), \"code\" (them, and whoever shows `follow-code`) or \"open\" (everybody)."
            }
            Self::FollowAllow => "Peer ids and identity keys for whom this node follows threads.",
            Self::FollowCode => "What others show to have this node follow their threads: at least 8 characters.",
            Self::FollowMaxThreads => "Threads that this node follows for one identity, 1 to 10000.",
            Self::FollowMaxMib => "MiB that the threads of one identity may use here, 1 to 1000000000.",
            Self::FollowMaxRecordsPerSecond => {
                "Records that the threads of one identity may bring in one second, on average, 1 to 1000000."
            }
            Self::FollowBodiesDays => {
                "Days after which bodies of newly followed threads are dropped, 0 to 36525; 0 keeps them."
            }
            Self::Durability => {
                "\"sync\": an append is answered after fsync. \"relaxed\": before; a power cut can take the last events."
            }
            Self::CacheMib => "Cache of the store in MiB, 8 to 65536.",
            Self::MaxDocumentKib => "KiB of one document as it is written here, 1 to 1024.",
            Self::MaxTransactionKib => "KiB of one transaction as it is written here, 1 to 4096.",
            Self::MaxOperations => "Operations of one transaction as it is written here, 1 to 10000.",
            Self::MaxDepth => "Maps and lists within one another in a document as it is written here, 1 to 64.",
            Self::MaxIndexes => "Indexes of one collection as it is defined here, 0 to 32.",
            Self::QueryMemoryMib => "MiB that one query may hold in memory to sort, 1 to 65536.",
            Self::TransactionMemoryMib => {
                "MiB of documents, as they are stored, that one transaction may change here, 1 to 65536."
            }
            Self::Home => {
                "Keep your threads with their keys, and your devices, in a thread that only your recovery phrase opens, for `spool recover`."
            }
            Self::Log => {
                "What is logged: error, warn, info, debug, trace, or per module as in \"info,spool_net=debug\"."
            }
            Self::LogFormat => "\"text\" or \"json\" (one object a line).",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Key {
    type Err = super::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|key| key.name() == text);
        known.ok_or_else(|| super::Error::UnknownKey { key: text.chars().take(64).collect() })
    }
}
