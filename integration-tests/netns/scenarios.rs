//! What happens to nodes on real networks.

mod crowd;
mod discovery;
mod nat;
mod partition;
mod slow;
mod soak;

/// Nobody is looked for in the hash table or on the local network: peers are known from tickets.
const KNOWN_PEERS: [&str; 4] = ["--mdns", "false", "--dht", "off"];
