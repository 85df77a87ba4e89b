//! Rules that cost nothing, and what `docs/data-model.md` says of them about all records at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use spool_proto::{Cid, LogId, clock::Time, event::CitedHead};

use super::oracle::{self, Placed};
use crate::{
    Change, Document, Stamp, Target,
    document::Size,
    judge::{Failure, Filtered, Judge, Verdict},
    projector::{Denial, Denied},
    source::{Event, Source},
};

/// Judges by a word: `yes`; `no`; `owner`, who has made a document and no other changes it; a number, which denies one of so many events, whichever, and says why in a way
/// that depends on all that it was given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words;

impl Judge for Words {
    fn verdict(&self, source: &str, writer: Option<&str>, event: &Value, instance: Option<&Value>) -> Verdict {
        let owner =
            |document: Option<&Value>| document.and_then(|document| document["owner"].as_str().map(str::to_owned));
        let denied_unless = |good: bool| if good { Verdict::Accepted } else { Verdict::Denied(None) };
        match source {
            "yes" => Verdict::Accepted,
            "no" => Verdict::Denied(None),
            "owner" => {
                let patch = &event["patch"];
                let of = if patch["type"] == "create" { owner(Some(&patch["json_patch"])) } else { owner(instance) };
                denied_unless(of.is_some() && of.as_deref() == writer)
            }
            number => {
                let Ok(number) = number.parse::<u64>() else {
                    return Verdict::Failed(Failure::Source(source.to_owned()));
                };
                let text = serde_json::json!([writer, event, instance]).to_string();
                let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
                let drawn = hash.iter().take(8).fold(0, |drawn: u64, byte| (drawn << 8) | u64::from(*byte));
                if drawn % number == 0 { Verdict::Denied(Some(text)) } else { Verdict::Accepted }
            }
        }
    }

    fn filter(&self, source: &str, reader: Option<&str>, instance: &Value) -> Filtered {
        match (source, instance) {
            ("owner", Value::Object(shown)) if instance["owner"].as_str() == reader => Filtered::Shown(shown.clone()),
            ("yes", Value::Object(shown)) => Filtered::Shown(shown.clone()),
            _ => Filtered::Hidden,
        }
    }
}

/// What a record is to those that cite it.
struct Node {
    cid: Cid,
    stamp: Option<Stamp>,
    /// What it brings into its past.
    heads: Vec<CitedHead>,
}

/// All records that count.
fn nodes(source: &dyn Source, now_millis: u64) -> BTreeMap<(LogId, u64), Node> {
    let ends: BTreeMap<LogId, u64> = source.logs().expect("the logs can be read").into_iter().collect();
    let mut nodes = BTreeMap::new();
    for (log, end) in &ends {
        let mut above = Time::default();
        for record in oracle::records(source, log, *end) {
            let stamp = record.stamp(log);
            let mut node = Node { cid: record.cid, stamp, heads: Vec::new() };
            match record.event {
                Event::Broken => {}
                Event::Sealed => break,
                Event::Open { time, .. } if time.is_ahead_of(now_millis) => break,
                Event::Open { time, heads, .. } => {
                    let is_void = time <= above || heads.iter().any(|head| oracle::is_later(source, &ends, head, time));
                    if !is_void {
                        node.heads = heads;
                    }
                    above = above.max(time);
                }
            }
            nodes.insert((*log, record.counter), node);
        }
    }
    nodes
}

/// All records that somebody had seen who wrote one.
fn past(nodes: &BTreeMap<(LogId, u64), Node>, record: (LogId, u64)) -> BTreeSet<(LogId, u64)> {
    let (mut found, mut left) = (BTreeSet::new(), vec![record]);
    while let Some((log, counter)) = left.pop() {
        let mut next = vec![(log, counter - 1)];
        let heads = nodes.get(&(log, counter)).map_or(&[][..], |node| &node.heads);
        next.extend(
            heads
                .iter()
                .filter(|head| nodes.get(&(head.log, head.counter)).is_some_and(|node| node.cid == head.cid))
                .map(|head| (head.log, head.counter)),
        );
        left.extend(next.into_iter().filter(|next| next.1 > 0 && found.insert(*next)));
    }
    found
}

/// What becomes of all events.
pub struct Outcome {
    /// Those that are folded in.
    pub events: BTreeMap<Stamp, Vec<Placed>>,
    /// Those that are denied, by log and counter.
    pub denied: Vec<Denied>,
    /// How many were judged.
    pub judged: usize,
}

/// Judges all events that count, each by all that is in its past.
///
/// # Panics
///
/// If the source fails.
pub fn outcome(source: &dyn Source, now_millis: u64, judge: &dyn Judge, most: usize) -> Outcome {
    let nodes = nodes(source, now_millis);
    let mut outcome = Outcome { events: BTreeMap::new(), denied: Vec::new(), judged: 0 };
    for (stamp, changes) in oracle::events(source, now_millis) {
        let log = stamp.log_id().expect("a log");
        let past_of = |stamp: &Stamp| -> BTreeSet<Stamp> {
            let records = past(&nodes, (stamp.log_id().expect("a log"), stamp.counter));
            records.iter().filter_map(|record| nodes[record].stamp).filter(|before| before < stamp).collect()
        };
        let seen = past_of(&stamp);
        let history = |target: &Target| -> Vec<(Stamp, Vec<(u32, Change)>)> {
            let of = |changes: &Vec<Placed>| -> Vec<(u32, Change)> {
                changes
                    .iter()
                    .filter(|(of, ..)| of == target)
                    .map(|(_, index, change)| (*index, change.clone()))
                    .collect()
            };
            let events = outcome.events.iter().filter(|(stamp, _)| seen.contains(stamp));
            events.map(|(stamp, changes)| (*stamp, of(changes))).filter(|(_, changes)| !changes.is_empty()).collect()
        };
        let mut denial = None;
        let targets: BTreeSet<&Target> = changes.iter().map(|(target, ..)| target).collect();
        for target in targets {
            let definitions = history(&Target::new("_collections", target.collection.as_str()));
            let events = history(target);
            let deny = |reason: &str| Some(Denial { target: target.clone(), reason: Some(reason.to_owned()) });
            let definition = fold(&definitions);
            let rule = match definition.fields.get("validator").filter(|_| definition.is_alive()) {
                None | Some(Value::Null) => continue,
                Some(rule) => rule,
            };
            if !rule.is_string() {
                denial = deny("the rule of the collection cannot be used: define it anew");
                break;
            }
            if is_too_much(&events, most, &past_of) {
                denial = deny("its past brings together too much");
                break;
            }
            outcome.judged += 1;
            let before = fold(&events);
            let own = changes.iter().filter(|(of, ..)| of == target).map(|(_, index, change)| (*index, change.clone()));
            let after = fold(&[&events[..], &[(stamp, own.collect())]].concat());
            denial = verdict(judge, rule.as_str().unwrap_or_default(), (&stamp, target), &before, &after);
            if denial.is_some() {
                break;
            }
        }
        match denial {
            Some(denial) => outcome.denied.push(Denied { log, counter: stamp.counter, denial }),
            None => drop(outcome.events.insert(stamp, changes)),
        }
    }
    outcome.denied.sort();
    outcome
}

fn is_too_much(
    events: &[(Stamp, Vec<(u32, Change)>)],
    most: usize,
    past_of: &dyn Fn(&Stamp) -> BTreeSet<Stamp>,
) -> bool {
    let Some((last, _)) = events.last() else { return false };
    let seen = past_of(last);
    let first = events.iter().position(|(stamp, _)| stamp != last && !seen.contains(stamp));
    first.is_some_and(|first| events.len() - first > most)
}

fn fold(events: &[(Stamp, Vec<(u32, Change)>)]) -> Document {
    let mut document = Document::default();
    for (stamp, changes) in events {
        let mut size = Size::stored(crate::limits::MAX_DOCUMENT_BYTES);
        document.apply(*stamp, changes.iter().map(|(index, change)| (*index, change)), &mut size);
    }
    document
}

fn verdict(
    judge: &dyn Judge,
    rule: &str,
    (stamp, target): (&Stamp, &Target),
    before: &Document,
    after: &Document,
) -> Option<Denial> {
    let denied = |reason: Option<String>| Some(Denial { target: target.clone(), reason });
    let log = stamp.log_id().expect("a log");
    let writer = spool_proto::IdentityKey::from_bytes(log.public_key()).expect("a key").to_string();
    let instance = before.shown(&target.id).map(Value::Object);
    let shown = after.shown(&target.id);
    let (kind, patch) = match (&instance, shown) {
        (None, None) => return denied(Some("there is no such document".to_owned())),
        (None, Some(mut shown)) => {
            shown.remove("_mod");
            ("create", Value::Object(shown))
        }
        (Some(_), None) => ("delete", Value::Null),
        (Some(_), Some(_)) => {
            ("save", difference(&Value::Object(before.fields.clone()), &Value::Object(after.fields.clone())))
        }
    };
    let event = serde_json::json!({
        "_id": format!("{log}-{}", stamp.counter),
        "collection_name": target.collection,
        "timestamp": stamp.time.millis() * 1_000_000 + u64::from(stamp.time.counter()),
        "patch": {"instance_id": target.id, "json_patch": patch, "type": kind},
    });
    match judge.verdict(rule, Some(&writer), &event, instance.as_ref()) {
        Verdict::Accepted => None,
        Verdict::Denied(reason) => denied(reason),
        Verdict::Failed(failure) => denied(Some(failure.to_string())),
    }
}

/// A merge patch between two maps.
fn difference(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return after.clone() };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let entry = |name: &String| match (old.get(name), new.get(name)) {
        (Some(one), Some(two)) => difference(one, two),
        (_, two) => two.cloned().unwrap_or_default(),
    };
    changed.map(|name| (name.clone(), entry(name))).collect()
}
