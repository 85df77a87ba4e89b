//! What the node answers, as messages.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use spool_db::{
    Change,
    collection::Rule,
    conflicts::{Conflict, ConflictKind},
    database::Receipt,
    documents::{self, Kind},
    history::{Tag, Version},
    projector::{Held, Why},
};

use super::{pb, values};
use crate::model::{
    CollectionInfo, Committed, DatabaseState, DocumentInfo, Folded, Restored, Reverted, WatchItem, WatchStep,
};

impl From<CollectionInfo> for pb::Collection {
    fn from(info: CollectionInfo) -> Self {
        let CollectionInfo { definition, indexes, documents } = info;
        let ready = |path: &str| indexes.iter().any(|index| index.name == path && index.built);
        let index = |index: spool_db::collection::Index| {
            let path = index.path.to_string();
            pb::Index { ready: ready(&path), path, unique: index.unique }
        };
        let source = |rule: Option<Rule>| match rule {
            Some(Rule::Source(source)) => Some(source),
            // It is among the problems.
            Some(Rule::Unusable) | None => None,
        };
        Self {
            validator: source(definition.validator),
            filter: source(definition.filter),
            name: definition.name,
            documents,
            schema: definition.schema.map(|schema| schema.to_string()),
            indexes: definition.indexes.into_iter().map(index).collect(),
            keep_both: definition.keep_both.iter().map(ToString::to_string).collect(),
            problems: definition.problems,
        }
    }
}

impl From<DocumentInfo> for pb::Document {
    fn from(info: DocumentInfo) -> Self {
        Self {
            collection: info.target.collection,
            id: info.target.id,
            json: Value::Object(info.fields).to_string(),
            version: info.version.to_string(),
            conflicts: info.conflicts.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Receipt> for pb::Place {
    fn from(receipt: Receipt) -> Self {
        Self { log: receipt.log.to_string(), counter: receipt.counter, time: receipt.time.as_u64() }
    }
}

impl From<Committed> for pb::CommitResponse {
    fn from(committed: Committed) -> Self {
        Self { ids: committed.ids, place: committed.receipt.map(Into::into) }
    }
}

impl From<WatchItem> for pb::WatchResponse {
    fn from(item: WatchItem) -> Self {
        use pb::watch_response::{CaughtUp, Lagged, Step};
        let step = match item.step {
            WatchStep::Change(change) => Step::Change(changed(*change, &item.cursor.thread.to_string())),
            WatchStep::Lagged => Step::Lagged(Lagged {}),
            WatchStep::CaughtUp => Step::CaughtUp(CaughtUp {}),
        };
        Self { cursor: item.cursor.to_string(), step: Some(step) }
    }
}

fn changed(change: documents::Change, thread: &str) -> pb::watch_response::Change {
    let kind = match change.kind {
        Kind::Create => pb::ChangeKind::Create,
        Kind::Save => pb::ChangeKind::Save,
        Kind::Delete => pb::ChangeKind::Delete,
    };
    let by = change.last.and_then(|stamp| {
        let log = stamp.log_id()?.to_string();
        Some(pb::watch_response::Event { log, counter: stamp.counter, time: stamp.time.as_u64() })
    });
    pb::watch_response::Change {
        thread: thread.to_owned(),
        kind: kind.into(),
        json: change.shown().map(|fields| Value::Object(fields).to_string()),
        collection: change.target.collection,
        id: change.target.id,
        by,
    }
}

pub(super) fn versions(versions: Vec<Version>) -> pb::ListVersionsResponse {
    let next = versions.last().map(|last| values::stamp_text(&last.stamp));
    pb::ListVersionsResponse { versions: versions.into_iter().map(Into::into).collect(), next }
}

impl From<Version> for pb::Version {
    fn from(version: Version) -> Self {
        Self {
            version: version.id.to_string(),
            time: version.stamp.time.as_u64(),
            log: version.stamp.log_id().map(|log| log.to_string()).unwrap_or_default(),
            counter: version.stamp.counter,
            author: version.author.map(Into::into),
            changes: version.changes.iter().map(|change| told(change).to_string()).collect(),
            exists: version.existence == spool_db::document::Existence::Alive,
        }
    }
}

/// A change as a version tells of it. The names are those of the fields of `Write`, where there is one.
fn told(change: &Change) -> Value {
    let at = |kind: &str, path: &spool_db::Path, value: &Value| json!({ kind: path.to_string(), "value": value });
    match change {
        Change::Create(fields) => json!({ "create": fields }),
        Change::Set(path, value) => at("set", path, value),
        Change::Replace(path, value) => at("replace", path, value),
        Change::Unset(path) => json!({ "unset": path.to_string() }),
        Change::Increment(path, by) => at("increment", path, &Value::Number(by.clone())),
        Change::Add(path, value) => at("add", path, value),
        Change::Remove(path, value, _) => at("remove", path, value),
        Change::Keep(path, value, _) => at("keep", path, value),
        Change::Delete => json!({ "delete": true }),
        Change::Undelete => json!({ "undelete": true }),
    }
}

impl From<Reverted> for pb::RevertResponse {
    fn from(reverted: Reverted) -> Self {
        use pb::revert_response::Changed;
        let documents = reverted.documents.into_iter();
        Self {
            counter: reverted.counter,
            documents: documents.map(|target| Changed { collection: target.collection, id: target.id }).collect(),
            place: reverted.receipt.map(Into::into),
        }
    }
}

impl From<Restored> for pb::RestoreResponse {
    fn from(restored: Restored) -> Self {
        let Restored { documents, transactions, done } = restored;
        Self { documents, transactions, done }
    }
}

impl From<Tag> for pb::Tag {
    fn from(tag: Tag) -> Self {
        Self { name: tag.name, time: tag.time.as_u64() }
    }
}

impl From<Conflict> for pb::Conflict {
    fn from(conflict: Conflict) -> Self {
        use pb::conflict::{Duplicate, KeptBoth, Kind, Schema};
        let kind = match conflict.kind {
            ConflictKind::KeptBoth { path, values } => Kind::KeptBoth(KeptBoth {
                path: path.to_string(),
                values: values.iter().map(ToString::to_string).collect(),
            }),
            ConflictKind::Schema { path, message } => Kind::Schema(Schema { path, message }),
            ConflictKind::Duplicate { path, value, others } => {
                Kind::Duplicate(Duplicate { path: path.to_string(), value: value.to_string(), others })
            }
        };
        Self { collection: conflict.target.collection, id: conflict.target.id, kind: Some(kind) }
    }
}

impl From<DatabaseState> for pb::GetHashResponse {
    fn from(state: DatabaseState) -> Self {
        Self {
            hash: HEXLOWER.encode(&state.hash),
            held: state.held.into_iter().map(Into::into).collect(),
            folding: state.is_folding,
            documents: state.documents,
        }
    }
}

impl From<Held> for pb::Held {
    fn from(held: Held) -> Self {
        use pb::held::{NoBody, NoJudge, NoKey, Why as Told};
        let why = match held.why {
            Why::Ahead(time) => Told::Ahead(time.as_u64()),
            Why::Key => Told::NoKey(NoKey {}),
            Why::Body => Told::NoBody(NoBody {}),
            Why::Past { until_millis } => Told::Past(until_millis),
            Why::Judge => Told::NoJudge(NoJudge {}),
        };
        Self { log: held.log.to_string(), counter: held.counter, why: Some(why) }
    }
}

impl From<Folded> for pb::RebuildResponse {
    fn from(folded: Folded) -> Self {
        Self { events: folded.records, total: folded.total, done: folded.done }
    }
}
