//! Every bound of the network, with its unit and its reason.

use std::time::Duration;

use spool_proto::wire;

// Queues of the swarm task.

/// Commands that wait for the task. A full queue means "busy": the sender drops or retries, it never waits.
pub const COMMAND_QUEUE: usize = 1_024;
/// Events that wait for the consumer; each may hold a frame of 2 MiB. While it is full the swarm is not polled, and peers
/// feel it as back-pressure.
pub const EVENT_QUEUE: usize = 128;
/// Events of the task that wait for room in the event queue; beyond, it takes no commands either.
pub const MAX_OUTBOX: usize = 1_024;
/// Commands handled in a row before the swarm gets a turn, so that a busy engine cannot starve the network.
pub const COMMANDS_IN_A_ROW: usize = 64;
/// Between two rounds of housekeeping: expiry of verdicts and bans, announcements, bootstrap.
pub const TICK: Duration = Duration::from_secs(1);
/// Dials whose callers wait for the outcome: half of [`MAX_PENDING_OUTGOING`], so that nothing else keeps them out.
pub const MAX_WAITING_DIALS: usize = 64;
/// Dials to peers that the node looks for by itself; beyond, they are left out, since it looks again. What remains is for the hash table.
pub const MAX_OWN_DIALS: usize = 56;

// Connections.

/// Connections with one peer: two when both dial at once, the same again while one of them is upgraded from a relay.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Established connections that others opened; about 100 KiB each when idle.
pub const MAX_INCOMING: u32 = 512;
/// Established connections that this node opened.
pub const MAX_OUTGOING: u32 = 512;
/// Handshakes under way that others began: bounds what half-open connections cost.
pub const MAX_PENDING_INCOMING: u32 = 128;
/// Dials under way.
pub const MAX_PENDING_OUTGOING: u32 = 128;
/// One attempt at one address, handshakes included.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one peer that are dialled at once: all that are kept, so that dead ones never delay a live one.
pub const DIAL_CONCURRENCY: u8 = 16;
/// Addresses of one peer that are dialled or handed on.
pub const MAX_ADDRESSES: usize = 16;
/// Bytes of one address in binary form.
pub const MAX_ADDRESS_BYTES: usize = 512;
/// Until a connection without requests closes. Above the interval at which quiet threads are synchronized, because only
/// requests under way and gossip meshes hold a connection otherwise.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Yamux streams of one connection: those of the exchange, and a few for every other protocol.
pub const MAX_YAMUX_STREAMS: usize = 256;
/// Characters that are kept of the software name a peer gives itself.
pub const MAX_AGENT_CHARACTERS: usize = 64;

// Requests and responses.

/// From opening the stream to the last byte of the answer; the largest block, of a megabyte, takes as long at 96 kbit/s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// From the last byte of a request to the first of its answer, which may have to wait for others on a slow link.
pub const MAX_SILENCE: Duration = Duration::from_secs(30);
/// How long a response that has begun may pause; at most half of the request timeout. Longer than lost packets take to be
/// sent again a few times, and short enough that another source is asked while a person still waits.
pub const MAX_RESPONSE_PAUSE: Duration = Duration::from_secs(10);
/// Bytes of a request or response.
pub const MAX_FRAME_BYTES: usize = wire::limits::MAX_FRAME_BYTES;
/// Exchange streams of one connection, both directions together.
pub const MAX_STREAMS_PER_CONNECTION: usize = 64;
/// Requests under way to one peer; more wait. Leaves room on the one connection for as many of the peer's own, and more.
pub const MAX_OUTBOUND_PER_PEER: usize = 24;
/// Requests under way to all peers; more wait.
pub const MAX_OUTBOUND: usize = 512;
/// Requests to all peers that wait until others have been answered; beyond, the node itself is busy.
pub const MAX_WAITING_REQUESTS: usize = 4_096;
/// Unanswered requests of one peer; above, it is told that this node is busy.
pub const MAX_INBOUND_PER_PEER: usize = 32;
/// Unanswered requests of all peers.
pub const MAX_INBOUND: usize = 256;
/// Bytes of all requests that are being read or wait for an answer, and the same again for responses being read.
pub const MAX_FRAMES_BYTES: usize = 64 * 1024 * 1024;
/// Frames up to this many bytes do not count against [`MAX_FRAMES_BYTES`], so that those who fill it with large ones cannot
/// keep others from proving access or comparing edges.
pub const SMALL_FRAME_BYTES: usize = 16 * 1024;
/// Bytes allocated ahead of what has arrived of a frame, at first; afterwards as much as has arrived.
pub const FRAME_STEP_BYTES: usize = 4 * 1024;

// Gossip.

/// Topics of this node, one for each thread. Beyond, threads live on pushes and edges.
pub const MAX_TOPICS: usize = 2_048;
/// Topics that a peer may have: twice ours, so that a later version can raise its own.
pub const MAX_PEER_TOPICS: usize = 2 * MAX_TOPICS;
/// Bytes of one subscription on the wire: 52 characters of topic, and 8 for keys, lengths and the flag.
const SUBSCRIPTION_BYTES: usize = 60;
/// Bytes of subscriptions and control in one gossip frame: all subscriptions of a peer, which come in one frame.
pub const MAX_CONTROL_BYTES: usize = MAX_PEER_TOPICS * SUBSCRIPTION_BYTES + 16 * 1024;
/// Bytes of one published message, sealed.
pub const MAX_GOSSIP_BYTES: usize = wire::limits::MAX_GOSSIP_BYTES + wire::limits::MIN_SEALED_BYTES;
/// Bytes of one gossip frame. libp2p-gossipsub compares it with its whole read buffer, which runs up to 8 KiB ahead of the
/// frame, hence the margin of 16 KiB.
pub const MAX_GOSSIP_FRAME_BYTES: usize = MAX_CONTROL_BYTES + 16 * 1024;
/// Message ids in one lazy announcement: 2,000 are 68 KB, a quarter of what control may take.
pub const MAX_IHAVE_IDS: usize = 2_000;
/// Lazy announcements a peer may send a second. Each is for one topic, so the default of ten would be ten threads.
pub const MAX_IHAVE_A_SECOND: usize = 256;
/// Messages that wait to be sent to one peer; beyond, they are dropped and the peer pulls.
pub const GOSSIP_SEND_QUEUE: usize = 1_024;
/// Messages that wait for a verdict.
pub const MAX_UNJUDGED: usize = 4_096;
/// Bytes of messages that wait for a verdict.
pub const MAX_UNJUDGED_BYTES: usize = 64 * 1024 * 1024;
/// How long a verdict is waited for: as long as gossipsub keeps the message, five heartbeats of a second.
pub const JUDGE_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that one peer may send a second, in the long run: forty logs in full burst, at 20 ms each.
pub const GOSSIP_MESSAGES_A_SECOND: f64 = 2_000.0;
/// Messages that one peer may send at once.
pub const GOSSIP_MESSAGES_BURST: f64 = 4_000.0;
/// Bytes of messages that one peer may send a second, in the long run.
pub const GOSSIP_BYTES_A_SECOND: f64 = 16.0 * 1024.0 * 1024.0;
/// Bytes of messages that one peer may send at once.
pub const GOSSIP_BYTES_BURST: f64 = 64.0 * 1024.0 * 1024.0;

// Scores.

/// Points at which a peer is disconnected and blocked.
pub const BAN_POINTS: f64 = 100.0;
/// In which points halve: a rare mistake is forgotten, a habit is not.
pub const POINTS_HALF_LIFE: Duration = Duration::from_secs(10 * 60);
/// How long a peer stays blocked.
pub const BAN_TIME: Duration = Duration::from_secs(10 * 60);
/// Peers whose points are remembered; beyond, those with the fewest are forgotten.
pub const MAX_SCORED_PEERS: usize = 4_096;
/// Peers that are blocked at once; beyond, the longest blocked are let go.
pub const MAX_BLOCKED_PEERS: usize = 4_096;

// Discovery.

/// Between two looks at whether bootstrap peers or relays are to be dialled again.
pub const BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(30);
/// Connected peers below which bootstrap peers are dialled again. With more, a quiet connection to one may close: dialling
/// it again would only keep it from closing.
pub const FEW_PEERS: usize = 4;
/// Addresses of bootstrap peers and relays in the configuration.
pub const MAX_BOOTSTRAP: usize = 64;
/// Connected peers up to which those found on the local network are dialled unasked.
pub const MAX_LOCAL_DIALS: usize = 64;
/// Keys that this node announces, one for each thread.
pub const MAX_PROVIDED: usize = 65_536;
/// Announcements under way: each asks some twenty peers, and a node with many threads has many after it starts.
pub const ANNOUNCEMENTS_IN_FLIGHT: usize = 8;
/// Peers in the routing table up to which each new one makes this node announce everything again: in a small network every
/// node should hold every announcement, and Kademlia repeats them only twice a day.
pub const SMALL_NETWORK: usize = 20;
/// Lookups of providers under way.
pub const LOOKUPS_IN_FLIGHT: usize = 32;
/// Lookups that wait; beyond, one is answered with nothing at once.
pub const MAX_WAITING_LOOKUPS: usize = 1_024;
/// Providers of one lookup that are dialled.
pub const MAX_PROVIDER_DIALS: usize = 16;
/// Keys whose providers this node keeps for others.
pub const MAX_STORED_KEYS: usize = 65_536;
/// Providers kept for one key.
pub const MAX_PROVIDERS_PER_KEY: usize = 20;
/// How long an announcement is kept for others; they repeat it four times in that time.
pub const PROVIDER_TTL: Duration = Duration::from_secs(48 * 60 * 60);

// Relay.

/// Bytes that one relayed connection may carry: enough to synchronize until a direct connection is made.
pub const RELAY_CIRCUIT_BYTES: u64 = 64 * 1024 * 1024;
/// How long one relayed connection may last.
pub const RELAY_CIRCUIT_TIME: Duration = Duration::from_secs(10 * 60);
