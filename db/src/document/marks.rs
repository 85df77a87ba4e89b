//! What a document knows of a field beyond the value that shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
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
            Mark::Set(set) => Value::Array(set.0.iter().map(|element| element.value.clone()).collect()),
            Mark::Values(values) => values.last().map_or(Value::Null, |(_, value)| value.clone()),
        }
    }
}

/// A set whose elements know who added them. Sorted by the encoding of the elements.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Set(Vec<Element>);

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
        let elements = items.iter().map(|item| (key(item), item));
        let elements: BTreeMap<ByteBuf, &Value> = elements.collect();
        let element = |value: &Value| Element { value: value.clone(), dots: Vec::new(), plain: true };
        Self(elements.into_values().map(element).collect())
    }

    fn find(&self, value: &Value) -> Result<usize, usize> {
        let wanted = key(value);
        self.0.binary_search_by_key(&wanted, |element| key(&element.value))
    }

    pub(super) fn add(&mut self, value: &Value, dot: Dot) {
        let at = self.find(value).unwrap_or_else(|at| {
            self.0.insert(at, Element { value: value.clone(), dots: Vec::new(), plain: false });
            at
        });
        self.0[at].dots.push(dot);
    }

    pub(super) fn remove(&mut self, value: &Value, observed: &Observed) {
        let Ok(at) = self.find(value) else { return };
        let element = &mut self.0[at];
        element.dots.retain(|dot| !observed.dots.contains(dot));
        element.plain &= !observed.plain;
        if element.dots.is_empty() && !element.plain {
            self.0.remove(at);
        }
    }

    pub(super) fn observed(&self, value: &Value) -> Observed {
        let Ok(at) = self.find(value) else { return Observed::default() };
        Observed { dots: self.0[at].dots.clone(), plain: self.0[at].plain }
    }
}

/// What elements are compared and sorted by.
fn key(value: &Value) -> ByteBuf {
    ByteBuf::from(serde_ipld_dagcbor::to_vec(value).expect("JSON values have a dag-cbor form"))
}

impl Serialize for Set {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Set {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}
