//! Stored records as callers see them.

use spool_proto::{
    LogId,
    clock::Time,
    event::Opened,
    record::{self, SealedRecord, VerifiedRecord},
    sync::LogState,
};
use spool_store::Store;

use super::{
    bodies,
    keyring::{Keyring, Keys},
};
use crate::model::{Author, Control, Entry, Error, Event};

/// What reading entries of one thread takes.
pub(super) struct Reader {
    pub(super) store: Store,
    pub(super) keyring: std::sync::Arc<Keyring>,
    pub(super) keys: std::sync::Arc<Keys>,
    /// Bodies up to so many bytes are opened.
    pub(super) max_body: usize,
}

/// What an entry needs to know of its log.
#[derive(Clone)]
pub(super) struct LogView {
    pub(super) log: LogId,
    pub(super) author: Option<Author>,
    pub(super) fork: Option<u64>,
    /// Time of the entry before, to tell an event that claims to be older.
    pub(super) last_time: Time,
}

impl LogView {
    pub(super) fn new(thread: &spool_proto::ThreadId, log: LogId, state: &LogState) -> Self {
        let author = state.owner.as_ref().and_then(|owner| owner.verify(thread, &log).ok());
        Self { log, author, fork: state.fork.map(|fork| fork.counter), last_time: Time::default() }
    }
}

impl Reader {
    /// Opens a stored record.
    pub(super) fn entry(&self, view: &mut LogView, sealed: SealedRecord) -> Result<Entry, Error> {
        let cid = sealed.cid();
        let size = sealed.bytes.len() as u64;
        let Some(log_keys) = self.keys.log(&sealed.key_id, &view.log) else { return Err(Error::Damaged(cid)) };
        let record =
            record::reopen(&self.keys.thread, &view.log, &log_keys, sealed).map_err(|_| Error::Damaged(cid))?;
        let forked = view.fork.is_some_and(|fork| record.counter() >= fork);
        let mut inert = forked || matches!(record.opened(), Opened::Inert(_));
        let event = record.opened().event().map(|event| {
            inert |= event.time <= view.last_time;
            view.last_time = view.last_time.max(event.time);
            Event {
                time: event.time,
                kind: event.kind,
                author: view.author,
                body: bodies::open(&self.store, &self.keyring, &self.keys, &log_keys, event, self.max_body),
            }
        });
        Ok(Entry {
            log: view.log,
            counter: record.counter(),
            cid,
            prev: record.prev().copied(),
            key_id: record.sealed().key_id,
            size,
            links: record.links().as_slice().to_vec(),
            control: control(&record),
            inert,
            event,
        })
    }
}

fn control(record: &VerifiedRecord) -> Option<Control> {
    Some(match record.control()? {
        record::Control::Admission(_) => Control::Admission,
        record::Control::Addresses(addresses) => Control::Addresses(addresses.clone()),
        record::Control::Rekey(rekey) => {
            Control::Rekey { key_id: rekey.key_id, recipients: rekey.recipients.len() as u32 }
        }
        record::Control::Retire => Control::Retire,
    })
}
