//! What the rules of `docs/data-model.md` say of all records at once: without batches, cursors, kept states, or anything that was done before.

use std::collections::BTreeMap;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use spool_proto::{LogId, clock::Time, event::CitedHead};

use crate::{
    Change, Document, Operation, Stamp, Target, Transaction,
    document::Size,
    limits::MAX_DOCUMENT_BYTES,
    operation::Decoded,
    source::{Body, Event, Page, Record, Source},
};

/// A change, the document that it is of, and its position in its event.
pub type Placed = (Target, u32, Change);

/// All documents that were ever written to.
pub type Documents = BTreeMap<Target, Document>;

/// All events that count and are not held back at a time, with their changes. Those that the database does not understand have none.
///
/// # Panics
///
/// If the source fails.
pub fn events(source: &dyn Source, now_millis: u64) -> BTreeMap<Stamp, Vec<Placed>> {
    let ends: BTreeMap<LogId, u64> = source.logs().expect("the logs can be read").into_iter().collect();
    let mut events = BTreeMap::new();
    for (log, end) in &ends {
        let mut above = Time::default();
        for record in records(source, log, *end) {
            let stamp = record.stamp(log);
            match record.event {
                Event::Broken => {}
                Event::Sealed => break,
                Event::Open { time, .. } if time.is_ahead_of(now_millis) => break,
                Event::Open { time, heads, body } => {
                    if time > above && !heads.iter().any(|head| is_later(source, &ends, head, time)) {
                        events.extend(stamp.zip(changes(body)));
                    }
                    above = above.max(time);
                }
            }
        }
    }
    events
}

pub(super) fn records(source: &dyn Source, log: &LogId, end: u64) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    while (records.len() as u64) < end {
        let page = Page { count: usize::MAX, bytes: usize::MAX };
        let next = source.records(log, records.len() as u64, end, page).expect("the records can be read");
        assert!(!next.is_empty(), "a log has all records up to its end");
        records.extend(next);
    }
    records
}

/// Whether an event cites a record that counts and is not before it.
pub(super) fn is_later(source: &dyn Source, ends: &BTreeMap<LogId, u64>, head: &CitedHead, time: Time) -> bool {
    let counts = ends.get(&head.log).is_some_and(|end| head.counter <= *end);
    counts && source.time_of(head).expect("the records can be read").is_some_and(|cited| cited >= time)
}

/// Nothing if the body has not arrived.
fn changes(body: Body) -> Option<Vec<Placed>> {
    let bytes: Bytes = match body {
        Body::Here(bytes) => bytes,
        Body::None => return Some(Vec::new()),
        Body::Missing => return None,
    };
    let Ok(Decoded::Transaction(transaction)) = Transaction::decode(&bytes) else { return Some(Vec::new()) };
    let changes = (0..).zip(transaction.operations).filter_map(|(index, operation)| match operation {
        Operation::Change(target, change) => Some((target, index, change)),
        Operation::Unknown(_) => None,
    });
    Some(changes.collect())
}

/// All documents after each event.
pub fn prefixes(events: &BTreeMap<Stamp, Vec<Placed>>) -> Vec<(Stamp, Documents)> {
    let mut documents = Documents::new();
    let mut prefixes = Vec::new();
    for (stamp, changes) in events {
        apply(&mut documents, *stamp, changes);
        prefixes.push((*stamp, documents.clone()));
    }
    prefixes
}

/// All documents after all events.
pub fn documents(events: &BTreeMap<Stamp, Vec<Placed>>) -> Documents {
    let mut documents = Documents::new();
    events.iter().for_each(|(stamp, changes)| apply(&mut documents, *stamp, changes));
    documents
}

fn apply(documents: &mut Documents, stamp: Stamp, changes: &[Placed]) {
    let mut by_target: BTreeMap<&Target, Vec<(u32, &Change)>> = BTreeMap::new();
    for (target, index, change) in changes {
        by_target.entry(target).or_default().push((*index, change));
    }
    for (target, changes) in by_target {
        // As if it were as large as permitted, so that its true size is looked at each time.
        let mut size = Size::stored(MAX_DOCUMENT_BYTES);
        documents.entry(target.clone()).or_default().apply(stamp, changes, &mut size);
    }
}

/// The hash of a database that has these documents.
pub fn hash(documents: &Documents) -> [u8; 32] {
    let key = |target: &Target| [&[1], target.collection.as_bytes(), &[0], target.id.as_bytes(), &[0]].concat();
    let stored: BTreeMap<_, _> =
        documents.iter().map(|(target, document)| (key(target), document.to_bytes())).collect();
    let mut hash = Sha256::new_with_prefix(b"spool/1 documents");
    for bytes in stored.iter().flat_map(|(key, document)| [key, document]) {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}
