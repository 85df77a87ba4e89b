//! Followers in the interface's messages.

use spool_proto::wire::Role;

use super::pb;
use super::thread::{texts, unix_millis};
use crate::model::{FollowedThread, FollowerInfo, LogStanding, PeerStanding, ThreadStanding};

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

impl From<ThreadStanding> for pb::ThreadStatus {
    fn from(standing: ThreadStanding) -> Self {
        Self {
            thread: standing.thread.to_string(),
            followers: standing.followers,
            durable: standing.durable,
            logs: standing.logs.into_iter().map(Into::into).collect(),
            peers: standing.peers.into_iter().map(Into::into).collect(),
            missing_blocks: standing.missing_blocks,
            followed: standing.followed.map(Into::into),
        }
    }
}

impl From<LogStanding> for pb::LogStatus {
    fn from(log: LogStanding) -> Self {
        Self {
            log: log.log.to_string(),
            own: log.own,
            head: log.head,
            newest: log.newest,
            durable: log.durable,
            pulled_from: texts(&log.pulled_from),
            forked: log.forked,
            retired: log.retired,
        }
    }
}

impl From<PeerStanding> for pb::PeerStatus {
    fn from(peer: PeerStanding) -> Self {
        use pb::peer_status as status;
        let role = match peer.role {
            Role::Follower => status::Role::Follower,
            Role::Reader => status::Role::Reader,
            Role::Writer => status::Role::Writer,
        };
        let trouble = |trouble: spool_proto::sync::Trouble| status::Trouble {
            reason: trouble.name().into(),
            message: trouble.to_string(),
        };
        Self {
            peer_id: peer.peer.to_string(),
            role: role.into(),
            asked: peer.asked,
            gone_ms: peer.gone.map(unix_millis),
            connected: peer.connected,
            last_contact_ms: peer.last_contact.map(unix_millis),
            heads: peer.heads.iter().map(|(log, counter)| (log.to_string(), *counter)).collect(),
            bodies_days: peer.bodies_days,
            full: peer.is_full,
            trouble: peer.trouble.map(trouble),
        }
    }
}
