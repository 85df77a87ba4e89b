//! Entries and objects in the interface's messages.

use super::pb;
use super::thread::texts;
use crate::model::{Body, Control, Entry, Event, EventKind, LogItem, Object};

impl From<LogItem> for pb::ReadLogResponse {
    fn from(item: LogItem) -> Self {
        use pb::read_log_response::{CaughtUp, Step};
        let step = match item {
            LogItem::Entry(entry) => Step::Entry((*entry).into()),
            LogItem::CaughtUp => Step::CaughtUp(CaughtUp {}),
        };
        Self { step: Some(step) }
    }
}

impl From<Entry> for pb::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            log: entry.log.to_string(),
            counter: entry.counter,
            cid: entry.cid.to_string(),
            prev: entry.prev.map(|cid| cid.to_string()),
            key_id: entry.key_id.to_string(),
            size: entry.size,
            links: texts(&entry.links),
            control: entry.control.map(Into::into),
            inert: entry.inert,
            event: entry.event.map(Into::into),
        }
    }
}

impl From<Event> for pb::Event {
    fn from(event: Event) -> Self {
        let kind = match event.kind {
            EventKind::Application => pb::EventKind::Application,
            EventKind::Invite => pb::EventKind::Invite,
            EventKind::Join => pb::EventKind::Join,
            EventKind::AccessControl => pb::EventKind::AccessControl,
            EventKind::Snapshot => pb::EventKind::Snapshot,
            EventKind::Control => pb::EventKind::Control,
        };
        Self {
            time: event.time.as_u64(),
            kind: kind.into(),
            author: event.author.map(Into::into),
            body: body(event.body),
        }
    }
}

fn body(body: Body) -> Option<pb::Body> {
    use pb::body::{Broken, Large, Missing, State};
    let (cid, size, state) = match body {
        Body::None => return None,
        Body::Open { cid, bytes } => (cid, bytes.len() as u64, State::Open(bytes)),
        Body::Large { cid, size } => (cid, size, State::Large(Large {})),
        Body::Missing { cid, size } => (Some(cid), size, State::Missing(Missing {})),
        Body::SealedTo { recipient, cid, size } => (cid, size, State::SealedTo(recipient.to_string())),
        Body::Broken { cid } => (cid, 0, State::Broken(Broken {})),
    };
    Some(pb::Body { cid: cid.map(|cid| cid.to_string()), size, state: Some(state) })
}

impl From<Control> for pb::Control {
    fn from(control: Control) -> Self {
        use pb::control::{Addresses, Admission, Item, Rekey, Retire};
        let item = match control {
            Control::Admission => Item::Admission(Admission {}),
            Control::Addresses(addresses) => Item::Addresses(Addresses { addresses: texts(&addresses) }),
            Control::Rekey { key_id, recipients } => Item::Rekey(Rekey { key_id: key_id.to_string(), recipients }),
            Control::Retire => Item::Retire(Retire {}),
        };
        Self { item: Some(item) }
    }
}

impl From<Object> for pb::Object {
    fn from(object: Object) -> Self {
        use pb::object::{Block, Kind, Record};
        let kind = match object {
            Object::Record { thread, entry } => {
                Kind::Record(Record { thread: thread.to_string(), entry: Some((*entry).into()) })
            }
            Object::Block { thread, record, size, body } => Kind::Block(Block {
                thread: thread.to_string(),
                log: record.map(|(log, _, _)| log.to_string()),
                counter: record.map(|(_, counter, _)| counter),
                record: record.map(|(_, _, cid)| cid.to_string()),
                size,
                body,
            }),
        };
        Self { kind: Some(kind), raw: None }
    }
}
