//! Threads, logs and keys in the interface's messages.

use std::time::{SystemTime, UNIX_EPOCH};

use spool_proto::id::Variant;
use spool_proto::key_set::Scope;

use super::pb;
use crate::model::{Author, EpochInfo, ForkInfo, LogInfo, Receipt, Shared, ThreadDetail, ThreadInfo};

pub(super) fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

pub(super) fn unix_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn scope(scope: Scope) -> pb::Scope {
    match scope {
        Scope::Follow => pb::Scope::Follow,
        Scope::Read => pb::Scope::Read,
    }
}

impl From<ThreadInfo> for pb::Thread {
    fn from(info: ThreadInfo) -> Self {
        let variant = match info.id.variant() {
            Variant::Raw => pb::Variant::Raw,
            Variant::AccessControlled => pb::Variant::AccessControlled,
        };
        Self {
            id: info.id.to_string(),
            name: info.name,
            scope: scope(info.scope).into(),
            own_log: info.own_log.map(|log| log.to_string()),
            logs: info.logs,
            records: info.records,
            inert: info.inert,
            forks: info.forks,
            missing_blocks: info.missing_blocks,
            peers: info.peers,
            added_ms: unix_millis(info.added),
            variant: variant.into(),
        }
    }
}

impl From<ThreadDetail> for pb::ThreadDetail {
    fn from(detail: ThreadDetail) -> Self {
        Self {
            peers: texts(&detail.peers),
            addresses: texts(&detail.addresses),
            logs: detail.logs.into_iter().map(Into::into).collect(),
            thread: Some(detail.info.into()),
        }
    }
}

impl From<LogInfo> for pb::Log {
    fn from(log: LogInfo) -> Self {
        Self {
            id: log.id.to_string(),
            own: log.own,
            head: log.head.map(|(counter, cid)| pb::Head { counter, cid: cid.to_string() }),
            time: log.time.map(|time| time.as_u64()),
            author: log.author.map(Into::into),
            fork: log.fork.map(Into::into),
            retired: log.retired,
            addresses: texts(&log.addresses),
        }
    }
}

impl From<Author> for pb::Author {
    fn from(author: Author) -> Self {
        Self { identity: author.key.to_string(), via: author.via.map(|node| node.to_string()) }
    }
}

impl From<ForkInfo> for pb::Fork {
    fn from(fork: ForkInfo) -> Self {
        let evidence = fork.evidence.iter().map(ToString::to_string).collect();
        Self { counter: fork.counter, evidence, inert: fork.inert }
    }
}

impl From<Shared> for pb::ShareThreadResponse {
    fn from(shared: Shared) -> Self {
        let addresses = texts(&shared.addresses);
        Self { ticket: shared.ticket, scope: scope(shared.scope).into(), addresses }
    }
}

impl From<EpochInfo> for pb::Epoch {
    fn from(epoch: EpochInfo) -> Self {
        Self {
            index: epoch.index,
            key_id: epoch.key_id.to_string(),
            read: epoch.read,
            admission: epoch.admission,
            current: epoch.current,
        }
    }
}

impl From<Receipt> for pb::Receipt {
    fn from(receipt: Receipt) -> Self {
        Self {
            thread: receipt.thread.to_string(),
            log: receipt.log.to_string(),
            counter: receipt.counter,
            cid: receipt.cid.to_string(),
            time: receipt.time.as_u64(),
            body: receipt.body.map(|cid| cid.to_string()),
            size: receipt.size,
        }
    }
}
