//! One total order of JSON values, and keys of bytes that follow it.
//!
//! Missing < null < false < true < numbers < strings < arrays < objects. Numbers compare by their mathematical value, whatever they are written as
//! (`1` and `1.0` are equal, and so are `0` and `-0.0`), strings by their bytes, arrays element by element, objects as the list of their fields by name.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

use crate::limits::{MAX_INDEX_ELEMENTS, MAX_INDEX_STRING_BYTES};

/// What kind of thing a value is. Queries compare only within a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// No value at all.
    Missing,
    /// `null`, which is a value.
    Null,
    /// `false` and `true`.
    Boolean,
    /// Integers and floats.
    Number,
    /// Text.
    String,
    /// A list.
    Array,
    /// A map.
    Object,
}

impl Class {
    /// The class of a value.
    pub fn of(value: Option<&Value>) -> Self {
        match value {
            None => Self::Missing,
            Some(Value::Null) => Self::Null,
            Some(Value::Bool(_)) => Self::Boolean,
            Some(Value::Number(_)) => Self::Number,
            Some(Value::String(_)) => Self::String,
            Some(Value::Array(_)) => Self::Array,
            Some(Value::Object(_)) => Self::Object,
        }
    }

    /// The first byte of every key of this class; `true` has the byte after that of `false`.
    fn tag(self) -> u8 {
        match self {
            Self::Missing => 0x10,
            Self::Null => 0x20,
            Self::Boolean => 0x30,
            Self::Number => 0x40,
            Self::String => 0x50,
            Self::Array => 0x60,
            Self::Object => 0x70,
        }
    }

    /// The smallest bytes that a key of this class may have.
    pub fn first(self) -> Vec<u8> {
        vec![self.tag()]
    }

    /// Bytes above every key of this class and below those of the next.
    pub fn end(self) -> Vec<u8> {
        vec![self.tag() + 0x0f]
    }
}

/// Set in the first byte of the key of an element of an array, so that these never mix with the keys of whole values.
const ELEMENT: u8 = 0x80;
/// The key under which arrays are found that have too many elements for one key each.
const MANY_ELEMENTS: [u8; 1] = [0xff];
/// After a zero byte within a string.
const ESCAPED: u8 = 0xff;
/// After the zero byte that ends a whole string.
const WHOLE: u8 = 0x01;
/// After the zero byte that ends a string that was cut: above the whole string of the same bytes.
const CUT: u8 = 0x02;
/// Integers up to this magnitude have a float of their own.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;
/// Bytes of the hash that stands for an array or object.
const HASH_BYTES: usize = 16;

/// The order of two values, either of which may be missing.
pub fn compare(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(Value::Bool(left)), Some(Value::Bool(right))) => left.cmp(right),
        (Some(Value::Number(left)), Some(Value::Number(right))) => compare_numbers(left, right),
        (Some(Value::String(left)), Some(Value::String(right))) => left.as_bytes().cmp(right.as_bytes()),
        (Some(Value::Array(left)), Some(Value::Array(right))) => compare_arrays(left, right),
        (Some(Value::Object(left)), Some(Value::Object(right))) => compare_objects(left, right),
        (left, right) => Class::of(left).cmp(&Class::of(right)),
    }
}

fn compare_arrays(left: &[Value], right: &[Value]) -> Ordering {
    let pairs = left.iter().zip(right).map(|(left, right)| compare(Some(left), Some(right)));
    pairs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn compare_objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Ordering {
    let (left, right) = (fields(left), fields(right));
    let pairs = left.iter().zip(&right).map(|((left_name, left), (right_name, right))| {
        left_name.as_bytes().cmp(right_name.as_bytes()).then_with(|| compare(Some(left), Some(right)))
    });
    pairs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| left.len().cmp(&right.len()))
}

/// Sorted here, because a feature of `serde_json` that any crate may switch on changes the order of its maps.
fn fields(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = map.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}

#[derive(Clone, Copy)]
enum Numeric {
    /// Every u64 and i64.
    Integer(i128),
    Float(f64),
}

fn numeric(number: &Number) -> Numeric {
    if let Some(integer) = number.as_u64() {
        return Numeric::Integer(integer.into());
    }
    if let Some(integer) = number.as_i64() {
        return Numeric::Integer(integer.into());
    }
    Numeric::Float(number.as_f64().unwrap_or(0.0))
}

fn compare_numbers(left: &Number, right: &Number) -> Ordering {
    match (numeric(left), numeric(right)) {
        (Numeric::Integer(left), Numeric::Integer(right)) => left.cmp(&right),
        // Never NaN: JSON has none.
        (Numeric::Float(left), Numeric::Float(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
        (Numeric::Integer(left), Numeric::Float(right)) => compare_mixed(left, right),
        (Numeric::Float(left), Numeric::Integer(right)) => compare_mixed(right, left).reverse(),
    }
}

fn compare_mixed(integer: i128, float: f64) -> Ordering {
    // The conversion saturates far beyond all integers that there are, so that only the part after the point is left to look at.
    let whole = float.trunc() as i128;
    integer.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

/// The key of a value in an index: where [`compare`] says less, the key is less or equal; where it says equal, the key is equal. No key is a prefix of
/// another, so that an id can follow it.
///
/// Not every two values have two keys: integers beyond 2⁵³ are rounded, strings are cut after [`MAX_INDEX_STRING_BYTES`], arrays and objects are hashed
/// (their keys have no order among themselves). Whoever looks something up checks what was found.
pub fn index_key(value: Option<&Value>) -> Vec<u8> {
    let tag = Class::of(value).tag();
    match value {
        None | Some(Value::Null) => vec![tag],
        Some(Value::Bool(truth)) => vec![tag + u8::from(*truth)],
        Some(Value::Number(number)) => number_key(tag, number),
        Some(Value::String(text)) => string_key(tag, text),
        Some(value @ (Value::Array(_) | Value::Object(_))) => hash_key(tag, value),
    }
}

/// The key of an element of an array.
pub fn element_key(element: &Value) -> Vec<u8> {
    let mut key = index_key(Some(element));
    key[0] |= ELEMENT;
    key
}

/// The key of arrays with more than [`MAX_INDEX_ELEMENTS`] distinct elements: whoever looks for an element looks here too.
pub fn many_elements_key() -> Vec<u8> {
    MANY_ELEMENTS.to_vec()
}

/// All keys of a document in an index, sorted: that of the value at the index's path, be it missing, and those of its elements if it is an array.
pub fn index_entries(value: Option<&Value>) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    if let Some(Value::Array(elements)) = value {
        let mut distinct: std::collections::BTreeSet<Vec<u8>> = std::collections::BTreeSet::new();
        for element in elements {
            distinct.insert(element_key(element));
            if distinct.len() > MAX_INDEX_ELEMENTS {
                return vec![index_key(value), many_elements_key()];
            }
        }
        keys.extend(distinct);
    }
    // Keys of whole values are below those of elements.
    keys.insert(0, index_key(value));
    keys
}

/// The smallest bytes above everything that begins with `prefix`.
pub fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return bytes;
        }
    }
    // Above every key, because no key begins with so many of the highest byte.
    vec![u8::MAX; 4]
}

/// What of a key orders documents: all keys with this prefix have to be sorted by their values.
pub fn key_group(key: &[u8]) -> &[u8] {
    let hashed = [Class::Array.tag(), Class::Object.tag()];
    match key.first() {
        Some(tag) if hashed.contains(tag) => &key[..1],
        _ => key,
    }
}

/// Whether values with this key are equal to each other, so that documents with it are in order already.
pub fn is_exact(key: &[u8]) -> bool {
    let Some((&tag, rest)) = key.split_first() else { return false };
    if tag == Class::Array.tag() || tag == Class::Object.tag() {
        return false;
    }
    if tag == Class::Number.tag() {
        return key_number(rest).is_some_and(|number| number.abs() < EXACT_FLOAT);
    }
    tag != Class::String.tag() || rest.last() == Some(&WHOLE)
}

/// Whether a string with this key may contain `part`. Only cut strings have to be looked at again.
pub fn key_may_contain(key: &[u8], part: &str) -> bool {
    let Some((&tag, rest)) = key.split_first() else { return true };
    if tag != Class::String.tag() || rest.last() != Some(&WHOLE) {
        return true;
    }
    let mut text = Vec::with_capacity(rest.len());
    let mut bytes = rest[..rest.len().saturating_sub(2)].iter();
    while let Some(&byte) = bytes.next() {
        text.push(byte);
        if byte == 0 {
            bytes.next();
        }
    }
    std::str::from_utf8(&text).map_or(true, |text| text.contains(part))
}

fn number_key(tag: u8, number: &Number) -> Vec<u8> {
    let float = match numeric(number) {
        // Rounds to the nearest, which keeps the order.
        Numeric::Integer(integer) => integer as f64,
        // Zero has one sign.
        Numeric::Float(float) => float + 0.0,
    };
    let bits = float.to_bits();
    // Positive floats are ordered as their bits; negative ones in reverse.
    let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    let mut key = vec![tag];
    key.extend(ordered.to_be_bytes());
    key
}

fn key_number(rest: &[u8]) -> Option<f64> {
    let ordered = u64::from_be_bytes(rest.try_into().ok()?);
    Some(f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered }))
}

fn string_key(tag: u8, text: &str) -> Vec<u8> {
    let kept = &text.as_bytes()[..text.len().min(MAX_INDEX_STRING_BYTES)];
    let mut key = Vec::with_capacity(kept.len() + 3);
    key.push(tag);
    for &byte in kept {
        key.push(byte);
        if byte == 0 {
            key.push(ESCAPED);
        }
    }
    key.extend([0, if kept.len() < text.len() { CUT } else { WHOLE }]);
    key
}

fn hash_key(tag: u8, value: &Value) -> Vec<u8> {
    let mut key = vec![tag];
    key.extend(hash(value));
    key
}

/// A name that values share if [`compare`] says that they are equal, and no others.
pub(crate) fn hash(value: &Value) -> [u8; HASH_BYTES] {
    let mut bytes = Vec::new();
    write_canonical(value, &mut bytes);
    let mut name = [0; HASH_BYTES];
    name.copy_from_slice(&Sha256::digest(&bytes)[..HASH_BYTES]);
    name
}

/// Bytes that are the same for values that compare as equal, and for no others.
fn write_canonical(value: &Value, bytes: &mut Vec<u8>) {
    bytes.push(Class::of(Some(value)).tag());
    match value {
        Value::Null => {}
        Value::Bool(truth) => bytes.push(u8::from(*truth)),
        Value::Number(number) => match numeric(number) {
            Numeric::Float(float) if float.fract() != 0.0 || float.abs() >= 2.0_f64.powi(64) => {
                bytes.push(1);
                bytes.extend(float.to_be_bytes());
            }
            Numeric::Float(float) => write_integer(float as i128, bytes),
            Numeric::Integer(integer) => write_integer(integer, bytes),
        },
        Value::String(text) => write_text(text, bytes),
        Value::Array(elements) => {
            write_length(elements.len(), bytes);
            elements.iter().for_each(|element| write_canonical(element, bytes));
        }
        Value::Object(map) => {
            write_length(map.len(), bytes);
            for (name, value) in fields(map) {
                write_text(name, bytes);
                write_canonical(value, bytes);
            }
        }
    }
}

fn write_integer(integer: i128, bytes: &mut Vec<u8>) {
    bytes.push(0);
    bytes.extend(integer.to_be_bytes());
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    write_length(text.len(), bytes);
    bytes.extend(text.as_bytes());
}

fn write_length(length: usize, bytes: &mut Vec<u8>) {
    bytes.extend((length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests;
