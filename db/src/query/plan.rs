//! How a query is answered.
//!
//! Conditions that every match has to meet, or of which it has to meet one, become ranges of indexes. How many entries these have is counted, up to the number from
//! which on reading all documents is faster; the range with the fewest is used. Without a useful one, an index on the first path to sort by is walked in its
//! order, and without that all documents are read. Whatever is read is held against the whole filter again, because keys of indexes are not exact.
//!
//! An index that the query names is used whatever it costs. It has to be of use: a condition or the first path to sort by has to be on its path.

use std::cmp::Ordering;
use std::fmt;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::limits::{MIN_INDEX_ENTRIES, SCAN_ADVANTAGE};
use crate::order::Class;
use crate::path::Path;
use crate::query::candidates::{Candidate, Range, candidates, everything};
use crate::query::filter::{Filter, Operator};
use crate::query::sorter::Order;
use crate::query::{Documents, Error, ID, Query};

/// An index of a collection. It has the entries [`index_entries`](crate::order::index_entries) of every document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// Where in a document the value is.
    pub path: Path,
    /// Whether no two documents have the same value.
    pub unique: bool,
    /// Whether it has the entries of all documents yet; it is not used before.
    pub built: bool,
}

/// How one query is answered over one collection.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) query: Query,
    pub(crate) order: Order,
    pub(crate) access: Access,
    pub(crate) sorting: Sorting,
}

/// Where documents are looked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Access {
    /// The document of an id.
    Id(String),
    /// Those with entries in these ranges, of which the first number says how many were counted.
    Index { entries: Option<usize>, ranges: Vec<Range> },
    /// All of them, in the order of their ids.
    Scan,
}

/// How they come into their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sorting {
    /// They are read in it.
    AsRead,
    /// They are read in the order of the first path; those with the same key are sorted.
    ByGroup,
    /// The ids of all are read and sorted before the documents.
    ById,
    /// The values to sort by of all are.
    InMemory,
}

impl Plan {
    /// Decides how to answer a query.
    ///
    /// # Errors
    ///
    /// The query is beyond its bounds, names an index that cannot serve it, or entries of an index could not be counted.
    pub fn new<D: Documents>(query: Query, indexes: &[Index], documents: &D) -> Result<Self, Error<D::Error>> {
        query.check()?;
        let order = Order::of(&query);
        let (access, sorting) = match &query.index {
            Some(name) => explicit(name, &query.filter, &order, indexes)?,
            None => chosen(&query, &order, indexes, documents)?,
        };
        Ok(Self { query, order, access, sorting })
    }

    /// The query that it answers.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Whether documents are found through an index or by id, so that not all have to be read.
    pub fn uses_index(&self) -> bool {
        self.access != Access::Scan
    }

    /// What it does, for programs. People read its `Display`.
    pub fn explain(&self) -> Value {
        let access = match &self.access {
            Access::Id(id) => json!({ "id": id }),
            Access::Scan => json!("scan"),
            Access::Index { entries, ranges } => {
                let ranges: Vec<_> =
                    ranges.iter().map(|range| json!({ "index": range.index, "bounds": range.bounds })).collect();
                json!({ "ranges": ranges, "entries": entries })
            }
        };
        let checks = (!self.query.filter.is_everything()).then(|| self.query.filter.to_string());
        json!({ "access": access, "checks": checks, "sort": self.sorting.name() })
    }
}

impl Sorting {
    fn name(self) -> &'static str {
        match self {
            Self::AsRead => "as read",
            Self::ByGroup => "as read, equal keys in memory",
            Self::ById => "ids in memory",
            Self::InMemory => "in memory",
        }
    }
}

fn explicit<E: std::error::Error>(
    name: &str,
    filter: &Filter,
    order: &Order,
    indexes: &[Index],
) -> Result<(Access, Sorting), Error<E>> {
    let Some(index) = indexes.iter().find(|index| index.name == name) else {
        let known = indexes.iter().map(|index| index.name.clone()).collect();
        return Err(Error::NoIndex { name: name.to_owned(), known });
    };
    if !index.built {
        return Err(Error::NotBuilt { name: name.to_owned() });
    }
    let found = candidates(filter, &[index]);
    // One range is as good as can be said without counting, and can be in the order that is asked for.
    let candidate = found.into_iter().min_by_key(|candidate| (!candidate.is_point, candidate.ranges.len()));
    let candidate = candidate.or_else(|| is_sorted_by(order, index).then(|| everything(index)));
    let candidate =
        candidate.ok_or_else(|| Error::Unserving { name: name.to_owned(), path: index.path.to_string() })?;
    Ok(read(candidate, None, order))
}

fn chosen<D: Documents>(
    query: &Query,
    order: &Order,
    indexes: &[Index],
    documents: &D,
) -> Result<(Access, Sorting), Error<D::Error>> {
    if query.limit == Some(0) {
        return Ok((Access::Index { entries: Some(0), ranges: Vec::new() }, Sorting::AsRead));
    }
    if let Some(id) = required_id(&query.filter) {
        return Ok((Access::Id(id.to_owned()), Sorting::AsRead));
    }
    let built: Vec<&Index> = indexes.iter().filter(|index| index.built).collect();
    let found = candidates(&query.filter, &built);
    // Walking an index in the order that is asked for pays off in any case, over whatever part of it the filter leaves.
    let sorted = built.iter().find(|index| is_sorted_by(order, index)).map(|index| {
        let bounded = found.iter().find(|candidate| candidate.is_range_of(&index.name)).cloned();
        bounded.unwrap_or_else(|| everything(index))
    });
    if let Some((entries, candidate)) = fewest(found, documents).map_err(Error::Documents)? {
        return Ok(read(candidate, Some(entries), order));
    }
    Ok(match sorted {
        Some(candidate) => read(candidate, None, order),
        None if order.keys.is_empty() => (Access::Scan, Sorting::AsRead),
        None => (Access::Scan, Sorting::InMemory),
    })
}

/// The candidate with the fewest entries, unless a scan is expected to be faster than any.
fn fewest<D: Documents>(found: Vec<Candidate>, documents: &D) -> Result<Option<(usize, Candidate)>, D::Error> {
    if found.is_empty() {
        return Ok(None);
    }
    let all = usize::try_from(documents.count()?).unwrap_or(usize::MAX);
    let mut most = MIN_INDEX_ENTRIES.max(all / SCAN_ADVANTAGE);
    let mut best = None;
    for candidate in found {
        let entries = count(&candidate, most, documents)?;
        if entries < most {
            most = entries;
            best = Some((entries, candidate));
        }
    }
    Ok(best)
}

/// The entries of a candidate, counted up to `most`.
fn count<D: Documents>(candidate: &Candidate, most: usize, documents: &D) -> Result<usize, D::Error> {
    let mut entries = 0;
    for range in &candidate.ranges {
        documents.index(&range.index, &range.from, &range.until, false, &mut |_, _| {
            entries += 1;
            if entries < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if entries >= most {
            break;
        }
    }
    Ok(entries)
}

/// How a candidate is read so that its documents come in order.
fn read(candidate: Candidate, entries: Option<usize>, order: &Order) -> (Access, Sorting) {
    let is_one = candidate.ranges.len() <= 1 && candidate.is_value;
    let sorting = match order.keys.first() {
        // All entries of a point have the same key, so that they are ordered by id.
        None if candidate.is_point && is_one => Sorting::AsRead,
        None => Sorting::ById,
        Some(sort) if is_one && candidate.path.as_ref() == Some(&sort.path) => Sorting::ByGroup,
        Some(_) => Sorting::InMemory,
    };
    (Access::Index { entries, ranges: candidate.ranges }, sorting)
}

fn is_sorted_by(order: &Order, index: &Index) -> bool {
    order.keys.first().is_some_and(|sort| sort.path == index.path)
}

/// The id that every match has to have.
fn required_id(filter: &Filter) -> Option<&str> {
    match filter {
        Filter::All(filters) => filters.iter().find_map(required_id),
        Filter::Any(filters) => match filters.as_slice() {
            [filter] => required_id(filter),
            _ => None,
        },
        Filter::Compare { path, operator: Operator::Equal, value: Value::String(id) } if path.names() == [ID] => {
            Some(id)
        }
        _ => None,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            Access::Id(id) => writeln!(f, "reads the document {id:?}")?,
            Access::Scan => writeln!(f, "reads all documents, by id")?,
            Access::Index { ranges, .. } if ranges.is_empty() => {
                writeln!(f, "reads nothing, because nothing can match")?;
            }
            Access::Index { entries, ranges } => {
                for range in ranges {
                    writeln!(f, "reads the index {:?}: {}", range.index, range.bounds)?;
                }
                if let Some(entries) = entries {
                    writeln!(f, "  {entries} entries")?;
                }
            }
        }
        if !self.query.filter.is_everything() {
            writeln!(f, "checks: {}", self.query.filter)?;
        }
        match self.sorting {
            Sorting::AsRead => f.write_str("sorts nothing: read in order")?,
            Sorting::ByGroup => f.write_str("sorts only documents with the same key: read in order")?,
            Sorting::ById => f.write_str("sorts ids in memory, before reading documents")?,
            Sorting::InMemory => f.write_str("sorts in memory")?,
        }
        if let (Sorting::InMemory, Some(limit)) = (self.sorting, self.query.limit) {
            write!(f, ", the first {}", limit.saturating_add(self.query.skip))?;
        }
        Ok(())
    }
}

/// Classes whose keys are ordered as their values are.
pub(crate) fn has_ordered_keys(class: Class) -> bool {
    class.cmp(&Class::Array) == Ordering::Less
}
