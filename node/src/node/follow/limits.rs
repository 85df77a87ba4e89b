//! Every bound of following, with its unit and its reason.

use std::time::Duration;

/// Invitations that wait for an answer; whoever sends more is told that the node is busy.
pub(in crate::node) const INVITATIONS: usize = 16;
/// Identities and nodes that one followed thread is known to be followed for.
pub(in crate::node) const INVITERS: usize = 16;
/// Followers of one thread: with this node's own addresses all of them fit into an announcement.
pub(in crate::node) const FOLLOWERS: usize = 12;
/// Addresses that are kept of a follower, beside the one that its user gave.
pub(in crate::node) const FOLLOWER_ADDRESSES: usize = 4;
/// Own addresses in the announcement of a log whose thread has followers.
pub(in crate::node) const OWN_ADDRESSES: usize = 4;
/// How often it is written how much followed threads use.
pub(in crate::node) const AGREEMENTS_INTERVAL: Duration = Duration::from_secs(10);
/// Notices that could not be delivered yet; beyond, the oldest are dropped.
pub(in crate::node) const NOTICES: usize = 128;
/// Addresses that a notice keeps.
pub(in crate::node) const NOTICE_ADDRESSES: usize = 2;
/// Bytes of one of them: all notices together are one setting of the store.
pub(in crate::node) const NOTICE_ADDRESS_BYTES: usize = 128;
/// How soon a notice is tried again, doubled each time.
pub(in crate::node) const NOTICE_INTERVAL: Duration = Duration::from_secs(15);
/// The longest such wait.
pub(in crate::node) const MAX_NOTICE_WAIT: Duration = Duration::from_secs(3_600);
/// After which a notice is not told any more.
pub(in crate::node) const NOTICE_AGE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Peers of one thread of which it is known how far they have come; whoever was heard of longest ago makes room, followers last.
pub(in crate::node) const STANDINGS: usize = 64;
/// Peers of one thread that are remembered although they do not follow it and have said nothing: enough to find the others by.
pub(in crate::node) const REMEMBERED_PEERS: usize = 8;
/// Bytes of what one peer has of one thread, as it is stored: the most logs that a thread can have.
pub(in crate::node) const STANDING_BYTES: usize = 256 * 1024;
/// How often it is noted what followers have, and written what all have.
pub(in crate::node) const STANDINGS_INTERVAL: Duration = Duration::from_secs(10);
/// How often those who wait for followers look by themselves: that a peer agrees is no event.
pub(in crate::node) const DURABLE_LOOK: Duration = Duration::from_millis(500);
/// How often bodies are looked for that came too long ago.
pub(in crate::node) const RETENTION_INTERVAL: Duration = Duration::from_secs(3_600);
/// Marks of one log within the time for which bodies are kept: so much more exact than a part of it age is not known.
pub(in crate::node) const MARKS_IN_RETENTION: u32 = 32;
/// The least time between two marks of a log.
pub(in crate::node) const LEAST_MARK_INTERVAL: Duration = Duration::from_secs(3_600);
/// Records of one log whose bodies are dropped in one step: bounds the memory that it takes.
pub(in crate::node) const EXPIRED_RECORDS: u64 = 65_536;
/// Blocks that are dropped in one commit, so that other commits never wait long.
pub(in crate::node) const DROPPED_BLOCKS: usize = 1_024;
/// How often it is tried to drop blocks of a thread to which records keep coming, before that is left to the next time.
pub(in crate::node) const DROP_TRIES: usize = 4;
/// What a wrong code counts towards the 100 points of a ban: a few slips are forgiven, a search is not.
pub(in crate::node) const WRONG_CODE_POINTS: u32 = 10;
/// What an invitation counts that no correct peer sends.
pub(in crate::node) const INVALID_INVITATION_POINTS: u32 = 25;
