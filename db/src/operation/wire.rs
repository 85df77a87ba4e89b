//! The encoding of transactions: DAG-CBOR arrays, each operation with the number of its kind first.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, IgnoredAny, SeqAccess, Visitor},
    ser::{Error as _, SerializeTuple as _},
};

use super::{Change, Decoded, Error, MAGIC, Operation, Reverts, Target, Transaction, VERSION};
use crate::limits::MAX_OPERATIONS;

/// The beginning of every transaction: an array of four, and the text [`MAGIC`].
const PREFIX: &[u8] = b"\x84\x68spool/db";

/// Whether an event's body is meant as a transaction, of whatever version.
pub(super) fn is_meant(body: &[u8]) -> bool {
    body.starts_with(PREFIX)
}

pub(super) struct Envelope<'a>(pub(super) &'a Transaction);

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reverts = self.0.reverts.map(|reverts| match reverts {
            Reverts::Undo(counter) => (0u64, counter),
            Reverts::Redo(counter) => (1, counter),
        });
        (MAGIC, VERSION, reverts, &self.0.operations).serialize(serializer)
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Decoded, Error> {
    serde_ipld_dagcbor::from_slice::<Form>(body).map(|form| form.0).map_err(|error| Error::Malformed(error.to_string()))
}

struct Form(Decoded);

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Form;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a transaction")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Form, A::Error> {
                let _: String = field(&mut fields)?;
                let version: u64 = field(&mut fields)?;
                if version != VERSION {
                    while fields.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Form(Decoded::Newer(version)));
                }
                let reverts = match field::<A, Option<(u64, u64)>>(&mut fields)? {
                    None => None,
                    Some((0, counter)) => Some(Reverts::Undo(counter)),
                    Some((1, counter)) => Some(Reverts::Redo(counter)),
                    Some((other, _)) => return Err(A::Error::custom(format_args!("reverts by {other}"))),
                };
                let Operations(operations) = field(&mut fields)?;
                Ok(Form(Decoded::Transaction(Transaction { reverts, operations })))
            }
        }
        deserializer.deserialize_seq(Fields)
    }
}

fn field<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::custom("a field is missing"))
}

/// Stops at the limit: what follows is not kept.
struct Operations(Vec<Operation>);

impl<'de> Deserialize<'de> for Operations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Operations;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a list of operations")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Operations, A::Error> {
                let mut operations = Vec::new();
                while let Some(operation) = list.next_element()? {
                    if operations.len() >= MAX_OPERATIONS {
                        return Err(A::Error::custom("too many operations"));
                    }
                    operations.push(operation);
                }
                Ok(Operations(operations))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (target, change) = match self {
            Operation::Change(target, change) => (target, change),
            Operation::Unknown(kind) => {
                return Err(S::Error::custom(format_args!("operation {kind} is not known")));
            }
        };
        let Target { collection, id } = target;
        match change {
            Change::Create(fields) => (0u64, collection, id, fields).serialize(serializer),
            Change::Set(path, value) => (1u64, collection, id, path, value).serialize(serializer),
            Change::Replace(path, value) => (2u64, collection, id, path, value).serialize(serializer),
            Change::Unset(path) => (3u64, collection, id, path).serialize(serializer),
            Change::Increment(path, by) => (4u64, collection, id, path, by).serialize(serializer),
            Change::Add(path, value) => (5u64, collection, id, path, value).serialize(serializer),
            Change::Remove(path, value, observed) => {
                let mut tuple = serializer.serialize_tuple(7)?;
                tuple.serialize_element(&6u64)?;
                tuple.serialize_element(collection)?;
                tuple.serialize_element(id)?;
                tuple.serialize_element(path)?;
                tuple.serialize_element(value)?;
                tuple.serialize_element(&observed.dots)?;
                tuple.serialize_element(&observed.plain)?;
                tuple.end()
            }
            Change::Keep(path, value, seen) => (7u64, collection, id, path, value, seen).serialize(serializer),
            Change::Delete => (8u64, collection, id).serialize(serializer),
            Change::Undelete => (9u64, collection, id).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Operation;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an operation: an array that begins with its kind")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Operation, A::Error> {
                let kind: u64 = field(&mut fields)?;
                if kind > 9 {
                    while fields.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Operation::Unknown(kind));
                }
                let target = Target { collection: field(&mut fields)?, id: field(&mut fields)? };
                let change = change(kind, &mut fields)?;
                if fields.next_element::<IgnoredAny>()?.is_some() {
                    return Err(A::Error::custom(format_args!("too many fields in operation {kind}")));
                }
                Ok(Operation::Change(target, change))
            }
        }
        deserializer.deserialize_seq(Fields)
    }
}

fn change<'de, A: SeqAccess<'de>>(kind: u64, fields: &mut A) -> Result<Change, A::Error> {
    if kind == 0 {
        return Ok(Change::Create(field(fields)?));
    }
    if kind == 8 || kind == 9 {
        return Ok(if kind == 8 { Change::Delete } else { Change::Undelete });
    }
    let path = field(fields)?;
    Ok(match kind {
        1 => Change::Set(path, field(fields)?),
        2 => Change::Replace(path, field(fields)?),
        3 => Change::Unset(path),
        4 => Change::Increment(path, field(fields)?),
        5 => Change::Add(path, field(fields)?),
        6 => Change::Remove(path, field(fields)?, super::Observed { dots: field(fields)?, plain: field(fields)? }),
        _ => Change::Keep(path, field(fields)?, field(fields)?),
    })
}
