//! Answers found by looking at everything.

use std::cmp::Ordering;

use serde_json::{Map, Value};
use spool_db::order::compare;
use spool_db::query::{Document, Query, filter};

use crate::memory::Memory;

/// The answer, or nothing if the place to begin after is not known.
pub(crate) fn answer(query: &Query, memory: &Memory) -> Option<Vec<Document>> {
    let all: Vec<Map<String, Value>> = memory.documents.keys().filter_map(|id| memory.fields(id)).collect();
    let place = all.iter().find(|fields| query.after.as_deref() == Some(id(fields))).cloned();
    let after = match &query.after {
        Some(after) if place.is_none() && query.sort.iter().all(|sort| sort.path.to_string() == "_id") => {
            Some(Map::from_iter([("_id".to_owned(), after.clone().into())]))
        }
        // Sorting by id first, no other path matters.
        Some(after) if place.is_none() && query.sort[0].path.to_string() == "_id" => {
            Some(Map::from_iter([("_id".to_owned(), after.clone().into())]))
        }
        Some(_) => Some(place?),
        None => None,
    };
    let mut found: Vec<_> = all.into_iter().filter(|fields| filter::matches(&query.filter, fields)).collect();
    found.sort_by(|left, right| order(query, left, right));
    let found =
        found.into_iter().filter(|fields| after.as_ref().is_none_or(|after| order(query, fields, after).is_gt()));
    let found = found.skip(query.skip).take(query.limit.unwrap_or(usize::MAX));
    Some(found.map(|fields| Document { id: id(&fields).to_owned(), fields: kept(query, fields) }).collect())
}

fn id(fields: &Map<String, Value>) -> &str {
    fields["_id"].as_str().unwrap()
}

fn order(query: &Query, left: &Map<String, Value>, right: &Map<String, Value>) -> Ordering {
    for sort in &query.sort {
        let order = compare(sort.path.get(left), sort.path.get(right));
        let order = if sort.descending { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    let order = id(left).cmp(id(right));
    if query.sort.last().is_some_and(|sort| sort.descending) { order.reverse() } else { order }
}

/// For fields that are not nested.
fn kept(query: &Query, mut fields: Map<String, Value>) -> Map<String, Value> {
    if !query.fields.is_empty() {
        fields.retain(|name, _| name == "_id" || query.fields.iter().any(|path| path.to_string() == *name));
    }
    fields
}
