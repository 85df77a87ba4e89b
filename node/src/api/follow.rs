//! Followers in the interface's messages.

use super::pb;
use super::thread::{texts, unix_millis};
use crate::model::{FollowedThread, FollowerInfo};

impl From<FollowerInfo> for pb::Follower {
    fn from(follower: FollowerInfo) -> Self {
        Self {
            thread: follower.thread.to_string(),
            peer_id: follower.peer.to_string(),
            addresses: texts(&follower.addresses),
            bodies_days: follower.bodies_days,
            since_ms: unix_millis(follower.since),
            gone_ms: follower.gone.map(unix_millis),
        }
    }
}

impl From<FollowedThread> for pb::Followed {
    fn from(followed: FollowedThread) -> Self {
        let inviters = followed.inviters.iter().map(|(identity, peer)| pb::followed::Inviter {
            identity: identity.to_string(),
            peer_id: peer.to_string(),
        });
        Self {
            thread: followed.thread.to_string(),
            inviters: inviters.collect(),
            since_ms: unix_millis(followed.since),
            bodies_days: followed.bodies_days,
            used_bytes: followed.used_bytes,
            quota_used: followed.quota_used,
            quota: followed.quota,
            full: followed.is_full,
        }
    }
}
