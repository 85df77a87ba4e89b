//! Results as JSON: the shapes that `--json` prints. Fields are never left out; what is not known is `null`.

use serde::Serialize;

use super::format::{point, rfc3339};
use crate::api::pb;

/// The words of the interface's enums.
pub(super) fn scope(scope: i32) -> &'static str {
    match pb::Scope::try_from(scope) {
        Ok(pb::Scope::Read) => "read",
        Ok(pb::Scope::Follow) => "follow",
        Ok(pb::Scope::Unspecified) | Err(_) => "unknown",
    }
}

fn variant(variant: i32) -> &'static str {
    match pb::Variant::try_from(variant) {
        Ok(pb::Variant::Raw) => "raw",
        Ok(pb::Variant::AccessControlled) => "access-controlled",
        Ok(pb::Variant::Unspecified) | Err(_) => "unknown",
    }
}

#[derive(Serialize)]
pub(super) struct Thread {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) variant: &'static str,
    pub(super) scope: &'static str,
    pub(super) own_log: Option<String>,
    pub(super) logs: u64,
    pub(super) records: u64,
    pub(super) inert: u64,
    pub(super) forks: u64,
    pub(super) missing_blocks: u64,
    pub(super) peers: u64,
    pub(super) added: String,
}

impl From<pb::Thread> for Thread {
    fn from(thread: pb::Thread) -> Self {
        Self {
            id: thread.id,
            name: thread.name,
            variant: variant(thread.variant),
            scope: scope(thread.scope),
            own_log: thread.own_log,
            logs: thread.logs,
            records: thread.records,
            inert: thread.inert,
            forks: thread.forks,
            missing_blocks: thread.missing_blocks,
            peers: thread.peers,
            added: rfc3339(thread.added_ms),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ThreadDetail {
    pub(super) thread: Thread,
    pub(super) logs: Vec<Log>,
    /// Connected now, and proved access.
    pub(super) peers: Vec<String>,
    pub(super) addresses: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Log {
    pub(super) id: String,
    pub(super) own: bool,
    pub(super) counter: u64,
    pub(super) head: Option<String>,
    pub(super) time: Option<String>,
    pub(super) author: Option<Author>,
    pub(super) fork: Option<Fork>,
    pub(super) retired: bool,
    pub(super) addresses: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Author {
    pub(super) identity: String,
    pub(super) via: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Fork {
    pub(super) counter: u64,
    pub(super) evidence: Vec<String>,
    pub(super) inert: u64,
}

impl From<pb::ThreadDetail> for ThreadDetail {
    fn from(detail: pb::ThreadDetail) -> Self {
        Self {
            thread: detail.thread.unwrap_or_default().into(),
            logs: detail.logs.into_iter().map(Into::into).collect(),
            peers: detail.peers,
            addresses: detail.addresses,
        }
    }
}

impl From<pb::Log> for Log {
    fn from(log: pb::Log) -> Self {
        let fork = |fork: pb::Fork| Fork { counter: fork.counter, evidence: fork.evidence, inert: fork.inert };
        Self {
            id: log.id,
            own: log.own,
            counter: log.head.as_ref().map_or(0, |head| head.counter),
            head: log.head.map(|head| head.cid),
            time: log.time.map(|time| rfc3339(time >> 16)),
            author: log.author.map(Into::into),
            fork: log.fork.map(fork),
            retired: log.retired,
            addresses: log.addresses,
        }
    }
}

impl From<pb::Author> for Author {
    fn from(author: pb::Author) -> Self {
        Self { identity: author.identity, via: author.via }
    }
}

#[derive(Serialize)]
pub(super) struct Receipt {
    pub(super) thread: String,
    pub(super) log: String,
    pub(super) counter: u64,
    pub(super) cid: String,
    pub(super) time: String,
    pub(super) point: String,
    pub(super) body: Option<String>,
    pub(super) size: u64,
}

impl From<pb::Receipt> for Receipt {
    fn from(receipt: pb::Receipt) -> Self {
        Self {
            thread: receipt.thread,
            log: receipt.log,
            counter: receipt.counter,
            cid: receipt.cid,
            time: rfc3339(receipt.time >> 16),
            point: point(receipt.time),
            body: receipt.body,
            size: receipt.size,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Entry {
    pub(super) log: String,
    pub(super) counter: u64,
    pub(super) cid: String,
    pub(super) prev: Option<String>,
    pub(super) key_id: String,
    pub(super) size: u64,
    pub(super) links: Vec<String>,
    pub(super) control: Option<Control>,
    pub(super) inert: bool,
    /// Whether this node cannot see the event; then all that follows is `null`.
    pub(super) sealed: bool,
    pub(super) time: Option<String>,
    pub(super) point: Option<String>,
    pub(super) kind: Option<&'static str>,
    pub(super) author: Option<Author>,
    pub(super) body: Option<Body>,
}

#[derive(Serialize)]
#[serde(tag = "item", rename_all = "kebab-case")]
pub(super) enum Control {
    Admission,
    Addresses { addresses: Vec<String> },
    Rekey { key_id: String, recipients: u32 },
    Retire,
    Unknown,
}

/// A body is `text` where it is UTF-8, else `base64`; both are `null` unless the state is `open`.
#[derive(Serialize)]
pub(super) struct Body {
    pub(super) state: &'static str,
    pub(super) cid: Option<String>,
    pub(super) size: u64,
    pub(super) recipient: Option<String>,
    #[serde(flatten)]
    pub(super) content: Content,
}

#[derive(Default, Serialize)]
pub(super) struct Content {
    pub(super) text: Option<String>,
    pub(super) base64: Option<String>,
}

impl Content {
    pub(super) fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { text: Some(text.into()), base64: None },
            Err(_) => Self { text: None, base64: Some(data_encoding::BASE64.encode(bytes)) },
        }
    }
}

pub(super) fn kind(kind: i32) -> &'static str {
    match pb::EventKind::try_from(kind) {
        Ok(pb::EventKind::Application) => "application",
        Ok(pb::EventKind::Invite) => "invite",
        Ok(pb::EventKind::Join) => "join",
        Ok(pb::EventKind::AccessControl) => "access-control",
        Ok(pb::EventKind::Snapshot) => "snapshot",
        Ok(pb::EventKind::Control) => "control",
        Err(_) => "unknown",
    }
}

impl From<pb::Entry> for Entry {
    fn from(entry: pb::Entry) -> Self {
        let sealed = entry.event.is_none();
        let event = entry.event.unwrap_or_default();
        Self {
            log: entry.log,
            counter: entry.counter,
            cid: entry.cid,
            prev: entry.prev,
            key_id: entry.key_id,
            size: entry.size,
            links: entry.links,
            control: entry.control.map(Into::into),
            inert: entry.inert,
            sealed,
            time: (!sealed).then(|| rfc3339(event.time >> 16)),
            point: (!sealed).then(|| point(event.time)),
            kind: (!sealed).then(|| kind(event.kind)),
            author: event.author.map(Into::into),
            body: event.body.map(Into::into),
        }
    }
}

impl From<pb::Body> for Body {
    fn from(body: pb::Body) -> Self {
        use pb::body::State;
        let (state, recipient, content) = match body.state {
            Some(State::Open(bytes)) => ("open", None, Content::of(&bytes)),
            Some(State::Large(_)) => ("large", None, Content::default()),
            Some(State::Missing(_)) => ("missing", None, Content::default()),
            Some(State::SealedTo(recipient)) => ("sealed-to", Some(recipient), Content::default()),
            Some(State::Broken(_)) => ("broken", None, Content::default()),
            None => ("unknown", None, Content::default()),
        };
        Self { state, cid: body.cid, size: body.size, recipient, content }
    }
}

impl From<pb::Control> for Control {
    fn from(control: pb::Control) -> Self {
        use pb::control::Item;
        match control.item {
            Some(Item::Admission(_)) => Self::Admission,
            Some(Item::Addresses(item)) => Self::Addresses { addresses: item.addresses },
            Some(Item::Rekey(item)) => Self::Rekey { key_id: item.key_id, recipients: item.recipients },
            Some(Item::Retire(_)) => Self::Retire,
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_readable_entry_shows_its_event() {
        let body = pb::Body { cid: None, size: 5, state: Some(pb::body::State::Open("hello".into())) };
        let event = pb::Event { time: 1_517_966_773_840 << 16, body: Some(body), ..pb::Event::default() };
        let entry = pb::Entry { log: "12D3".into(), counter: 1, event: Some(event), ..pb::Entry::default() };
        let value = serde_json::to_value(Entry::from(entry)).unwrap();
        assert_eq!(value["sealed"], json!(false));
        assert_eq!(value["time"], json!("2018-02-07T01:26:13.840Z"));
        assert_eq!(value["point"], json!(format!("time:{}", 1_517_966_773_840_u64 << 16)));
        assert_eq!(value["kind"], json!("application"));
        assert_eq!(
            value["body"],
            json!({ "state": "open", "cid": null, "size": 5, "recipient": null, "text": "hello", "base64": null })
        );
    }

    #[test]
    fn a_sealed_entry_has_the_same_fields_and_nothing_in_them() {
        let control = pb::Control { item: Some(pb::control::Item::Rekey(pb::control::Rekey::default())) };
        let entry = pb::Entry { counter: 7, control: Some(control), ..pb::Entry::default() };
        let value = serde_json::to_value(Entry::from(entry)).unwrap();
        assert_eq!(value["sealed"], json!(true));
        assert_eq!([&value["time"], &value["point"], &value["kind"]], [&json!(null); 3]);
        assert_eq!([&value["author"], &value["body"]], [&json!(null); 2]);
        assert_eq!(value["control"], json!({ "item": "rekey", "key_id": "", "recipients": 0 }));
    }

    #[test]
    fn a_body_that_is_not_text_is_base64() {
        let content = serde_json::to_value(Content::of(&[0xff, 0x00])).unwrap();
        assert_eq!(content, json!({ "text": null, "base64": "/wA=" }));
    }
}
