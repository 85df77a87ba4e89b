//! Requests as what the node is asked.

use spool_db::{
    Target,
    documents::Kind as ChangeKind,
    history::{Order, Page, Scope},
    operation::check_target,
    query::Options,
};
use spool_proto::clock::Time;

use super::{id, pb, values};
use crate::{
    api::limits::{MAX_WRITES, VERSIONS_BYTES, VERSIONS_PER_PAGE},
    model::{Cursor, DefinitionChange, DocumentChange, DocumentWrite, Error, Point, WatchQuery},
};

pub(super) fn target(collection: String, id: String) -> Result<Target, Error> {
    let target = Target { collection, id };
    check_target(&target).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(target)
}

pub(super) fn point(point: pb::Point) -> Result<Point, Error> {
    use pb::point::Point as Asked;
    match point.point.ok_or_else(|| values::missing("point"))? {
        Asked::Time(time) => Ok(Point::Time(Time::from_u64(time))),
        // All that happened in this millisecond.
        Asked::UnixMs(millis) => Ok(Point::Time(Time::from_u64((millis.min(u64::MAX >> 16) << 16) | 0xffff))),
        Asked::Tag(name) => Ok(Point::Tag(name)),
        Asked::Version(version) => Ok(Point::Version(values::version("version", &version)?)),
    }
}

/// What a query may hold; the node's own limit holds as well.
pub(super) fn memory(bytes: Option<u64>) -> Options {
    Options { memory: bytes.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)) }
}

pub(super) fn part(part: Option<pb::Part>) -> Result<Scope, Error> {
    let pb::Part { collection, id } = part.unwrap_or_default();
    match (collection, id) {
        (None, None) => Ok(Scope::Database),
        (Some(collection), None) => Ok(Scope::Collection(collection)),
        (Some(collection), Some(id)) => Ok(Scope::Document(target(collection, id)?)),
        (None, Some(_)) => Err(Error::Invalid("a document is named together with its collection".into())),
    }
}

pub(super) fn definition(request: pb::DefineCollectionRequest) -> Result<DefinitionChange, Error> {
    use pb::define_collection_request::SchemaChange;
    let schema = match &request.schema_change {
        None | Some(SchemaChange::NoSchema(false)) => None,
        Some(SchemaChange::NoSchema(true)) => Some(None),
        Some(SchemaChange::Schema(text)) => Some(Some(values::schema(text)?)),
    };
    Ok(DefinitionChange {
        schema,
        add_indexes: request.add_indexes.into_iter().map(|index| (index.path, index.unique)).collect(),
        remove_indexes: request.remove_indexes,
        add_keep_both: request.add_keep_both,
        remove_keep_both: request.remove_keep_both,
        must_be_new: request.must_be_new,
        validator: request.validator,
        filter: request.filter,
    })
}

pub(super) fn writes(writes: Vec<pb::Write>) -> Result<Vec<DocumentWrite>, Error> {
    if writes.len() > MAX_WRITES {
        return Err(Error::Invalid(format!("{} writes; one transaction has at most {MAX_WRITES}", writes.len())));
    }
    writes.into_iter().map(write).collect()
}

pub(super) fn write(write: pb::Write) -> Result<DocumentWrite, Error> {
    use pb::write::Change;
    let at = |field: &str, change: pb::PathValue| {
        Ok::<_, Error>((values::path(field, &change.path)?, values::value(field, &change.value)?))
    };
    let change = match write.change.ok_or_else(|| values::missing("change"))? {
        Change::Create(fields) => DocumentChange::Create(values::object("create", &fields)?),
        Change::Save(fields) => DocumentChange::Save(values::object("save", &fields)?),
        Change::Merge(fields) => DocumentChange::Merge(values::object("merge", &fields)?),
        Change::Set(change) => at("set", change).map(|(path, value)| DocumentChange::Set(path, value))?,
        Change::Unset(path) => DocumentChange::Unset(values::path("unset", &path)?),
        Change::Increment(pb::PathValue { path, value }) => {
            DocumentChange::Increment(values::path("increment", &path)?, values::number("increment", &value)?)
        }
        Change::Add(change) => at("add", change).map(|(path, value)| DocumentChange::Add(path, value))?,
        Change::Remove(change) => at("remove", change).map(|(path, value)| DocumentChange::Remove(path, value))?,
        Change::Resolve(change) => at("resolve", change).map(|(path, value)| DocumentChange::Resolve(path, value))?,
        Change::Delete(_) => DocumentChange::Delete,
        Change::Undelete(_) => DocumentChange::Undelete,
    };
    let if_version = write.if_version.map(|version| values::version("if_version", &version)).transpose()?;
    let id = Some(write.id).filter(|id| !id.is_empty());
    Ok(DocumentWrite { collection: write.collection, id, if_version, change })
}

pub(super) fn watch(request: pb::WatchRequest) -> Result<WatchQuery, Error> {
    if request.id.is_some() && (request.collection.is_none() || request.thread.is_none()) {
        return Err(Error::Invalid("a document is named together with its thread and collection".into()));
    }
    let kinds = request.kinds.into_iter().map(|kind| match pb::ChangeKind::try_from(kind) {
        Ok(pb::ChangeKind::Create) => Ok(ChangeKind::Create),
        Ok(pb::ChangeKind::Save) => Ok(ChangeKind::Save),
        Ok(pb::ChangeKind::Delete) => Ok(ChangeKind::Delete),
        Ok(pb::ChangeKind::Unspecified) | Err(_) => {
            Err(Error::Invalid(format!("`kinds` has {kind}, which is not a kind of change")))
        }
    });
    Ok(WatchQuery {
        thread: request.thread.map(|thread| id("thread", &thread)).transpose()?,
        collection: request.collection,
        id: request.id,
        kinds: kinds.collect::<Result<_, _>>()?,
        after: request.after.iter().map(|cursor| id::<Cursor>("after", cursor)).collect::<Result<_, _>>()?,
        from_start: request.from_start,
    })
}

pub(super) fn page(request: &pb::ListVersionsRequest) -> Result<Page, Error> {
    let order = if request.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
    let after = request.after.as_ref().map(|after| values::stamp("after", after)).transpose()?;
    let asked = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let count = if asked == 0 { VERSIONS_PER_PAGE } else { asked.min(VERSIONS_PER_PAGE) };
    Ok(Page { order, after, count, bytes: VERSIONS_BYTES })
}
