//! What a document knows of a field beyond the value that shows.

use std::collections::{BTreeMap, btree_map::Entry};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{operation::Observed, stamp::Dot};

/// Beside a field's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Mark {
    /// It is a set, with the operations that added each element.
    Set(Set),
    /// Values that were set without having seen each other, in the order of their operations. The last one shows.
    Values(Vec<(Dot, Value)>),
}

impl Mark {
    /// The value that shows.
    pub(super) fn shown(&self) -> Value {
        match self {
            Mark::Set(set) => Value::Array(set.0.values().map(|element| element.value.clone()).collect()),
            Mark::Values(values) => values.last().map_or(Value::Null, |(_, value)| value.clone()),
        }
    }
}

/// A set whose elements know who added them, by their encodings.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Set(BTreeMap<Vec<u8>, Element>);

/// One element, and why it is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Element {
    #[serde(rename = "v")]
    value: Value,
    /// Operations that added it.
    #[serde(rename = "d")]
    dots: Vec<Dot>,
    /// It was in an array that was set as a whole.
    #[serde(rename = "p")]
    plain: bool,
}

impl Set {
    /// The elements of an array, each once.
    pub(super) fn plain(items: &[Value]) -> Self {
        let element = |value: &Value| Element { value: value.clone(), dots: Vec::new(), plain: true };
        Self(items.iter().map(|item| (key(item), element(item))).collect())
    }

    /// The element that shows at a position.
    pub(super) fn at(&self, position: usize) -> Option<&Value> {
        self.0.values().nth(position).map(|element| &element.value)
    }

    pub(super) fn add(&mut self, value: &Value, dot: Dot) {
        let new = || Element { value: value.clone(), dots: Vec::new(), plain: false };
        self.0.entry(key(value)).or_insert_with(new).dots.push(dot);
    }

    pub(super) fn remove(&mut self, value: &Value, observed: &Observed) {
        let Entry::Occupied(mut entry) = self.0.entry(key(value)) else { return };
        let element = entry.get_mut();
        element.dots.retain(|dot| !observed.dots.contains(dot));
        element.plain &= !observed.plain;
        if element.dots.is_empty() && !element.plain {
            entry.remove();
        }
    }

    pub(super) fn observed(&self, value: &Value) -> Observed {
        let Some(element) = self.0.get(&key(value)) else { return Observed::default() };
        Observed { dots: element.dots.clone(), plain: element.plain }
    }
}

/// What elements are compared and sorted by.
fn key(value: &Value) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("JSON values have a dag-cbor form")
}

impl Serialize for Set {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.values())
    }
}

impl<'de> Deserialize<'de> for Set {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let elements: Vec<Element> = Vec::deserialize(deserializer)?;
        Ok(Self(elements.into_iter().map(|element| (key(&element.value), element)).collect()))
    }
}
