//! Parts of indexes that have an entry of every document that a filter matches.

use serde_json::Value;

use crate::order::{Class, element_key, index_key, many_elements_key, successor};
use crate::path::Path;
use crate::query::filter::{Filter, Operator};
use crate::query::plan::{Index, has_ordered_keys};

/// A part of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    /// The index's name.
    pub(crate) index: String,
    /// The smallest key.
    pub(crate) from: Vec<u8>,
    /// Above the largest key.
    pub(crate) until: Vec<u8>,
    /// A text that the keys, of strings, have to contain.
    pub(crate) part: Option<String>,
    /// For people: the conditions that it serves.
    pub(crate) bounds: String,
}

/// Ranges that together have an entry of every match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) ranges: Vec<Range>,
    /// The path of the one index that all ranges are of.
    pub(crate) path: Option<Path>,
    /// Whether it is one range over whole values, in which every document has at most one entry.
    pub(crate) is_value: bool,
    /// Whether that range is of one key.
    pub(crate) is_point: bool,
}

impl Candidate {
    /// Whether it is one range over the whole values of this index.
    pub(crate) fn is_range_of(&self, index: &str) -> bool {
        self.is_value && self.ranges.iter().all(|range| range.index == index) && !self.ranges.is_empty()
    }

    fn nothing() -> Self {
        Self { ranges: Vec::new(), path: None, is_value: true, is_point: true }
    }
}

/// Bounds of whole values: the smallest key, and what is above the largest.
struct Bounds {
    from: Vec<u8>,
    until: Vec<u8>,
}

/// Every way to find the matches of a filter through indexes, each of which is enough.
pub(crate) fn candidates(filter: &Filter, indexes: &[&Index]) -> Vec<Candidate> {
    let mut required = Vec::new();
    flatten(filter, &mut required);
    let mut found: Vec<Candidate> = indexes.iter().filter_map(|index| values(&required, index)).collect();
    for filter in required {
        match filter {
            Filter::Contains { path, value } => {
                found.extend(
                    indexes.iter().filter(|index| index.path == *path).map(|index| contains(filter, value, index)),
                );
            }
            Filter::Any(filters) => found.extend(union(filters, indexes)),
            _ => {}
        }
    }
    found
}

/// The whole of an index.
pub(crate) fn everything(index: &Index) -> Candidate {
    let range = Range {
        index: index.name.clone(),
        from: Class::Missing.first(),
        until: Class::Object.end(),
        part: None,
        bounds: "all".to_owned(),
    };
    Candidate { ranges: vec![range], path: Some(index.path.clone()), is_value: true, is_point: false }
}

/// The conditions all of which have to hold.
fn flatten<'a>(filter: &'a Filter, required: &mut Vec<&'a Filter>) {
    match filter {
        Filter::All(filters) => filters.iter().for_each(|filter| flatten(filter, required)),
        Filter::Any(filters) if filters.len() == 1 => flatten(&filters[0], required),
        other => required.push(other),
    }
}

/// Where all conditions on an index's path meet.
fn values(required: &[&Filter], index: &Index) -> Option<Candidate> {
    let conditions: Vec<_> =
        required.iter().filter_map(|filter| Some((filter, bounds(filter, &index.path)?))).collect();
    let from = conditions.iter().map(|(_, bounds)| &bounds.from).max()?.clone();
    let until = conditions.iter().map(|(_, bounds)| &bounds.until).min()?.clone();
    if from >= until {
        return Some(Candidate::nothing());
    }
    let written: Vec<String> = conditions.iter().map(|(filter, _)| filter.to_string()).collect();
    let is_point = until == successor(&from) && from != Class::Array.first() && from != Class::Object.first();
    let range = Range { index: index.name.clone(), from, until, part: None, bounds: written.join(" and ") };
    Some(Candidate { ranges: vec![range], path: Some(index.path.clone()), is_value: true, is_point })
}

/// Where values at the path have to be for the condition to hold.
fn bounds(filter: &Filter, at: &Path) -> Option<Bounds> {
    match filter {
        Filter::Compare { path, operator, value } if path == at => {
            let class = Class::of(Some(value));
            let key = index_key(Some(value));
            let (first, end) = (class.first(), class.end());
            match operator {
                Operator::NotEqual => None,
                Operator::Equal => Some(Bounds { until: successor(&key), from: key }),
                _ if !has_ordered_keys(class) => Some(Bounds { from: first, until: end }),
                // Keys are not exact: values that differ may share one.
                Operator::Less | Operator::AtMost => Some(Bounds { from: first, until: successor(&key) }),
                Operator::Greater | Operator::AtLeast => Some(Bounds { from: key, until: end }),
            }
        }
        Filter::Exists { path, exists: true } if path == at => {
            Some(Bounds { from: Class::Null.first(), until: Class::Object.end() })
        }
        Filter::Exists { path, exists: false } if path == at => {
            let key = index_key(None);
            Some(Bounds { until: successor(&key), from: key })
        }
        _ => None,
    }
}

/// Arrays with the element, arrays with too many elements to tell, and strings with the part.
fn contains(filter: &Filter, value: &Value, index: &Index) -> Candidate {
    let range = |from: Vec<u8>, until: Vec<u8>, part: Option<&str>| Range {
        index: index.name.clone(),
        from,
        until,
        part: part.map(str::to_owned),
        bounds: filter.to_string(),
    };
    let (element, many) = (element_key(value), many_elements_key());
    let mut ranges =
        vec![range(element.clone(), successor(&element), None), range(many.clone(), successor(&many), None)];
    if let Value::String(part) = value {
        ranges.push(range(Class::String.first(), Class::String.end(), Some(part)));
    }
    Candidate { ranges, path: Some(index.path.clone()), is_value: false, is_point: false }
}

/// One candidate of each of several conditions of which one has to hold.
fn union(filters: &[Filter], indexes: &[&Index]) -> Option<Candidate> {
    let mut ranges: Vec<Range> = Vec::new();
    for filter in filters {
        // Points before ranges, and of these the ones with the fewest parts: what nothing was counted for is judged by its form.
        let best = candidates(filter, indexes)
            .into_iter()
            .min_by_key(|candidate| (!candidate.is_point, candidate.ranges.len()))?;
        for range in best.ranges {
            if !ranges.contains(&range) {
                ranges.push(range);
            }
        }
    }
    Some(if ranges.is_empty() {
        Candidate::nothing()
    } else {
        Candidate { ranges, path: None, is_value: false, is_point: false }
    })
}
