//! Documents on their way into transactions.

use serde_json::{Map, Value};
use spool_db::limits::{MAX_OPERATIONS, MAX_TRANSACTION_BYTES, PACKED_TRANSACTION_BYTES, TRANSACTION_HEAD_BYTES};
use spool_db::operation::Error;
use spool_db::query::ID;
use spool_db::{Change, Operation, Target, Transaction};

use crate::api::pb;
use crate::api::pb::write;

/// Documents in one transaction, unless told otherwise: enough to share the cost of an event, few enough that one bad document takes few along.
pub(super) const DEFAULT_DOCUMENTS: u64 = 100;
/// Documents in one transaction at most: each takes at least one operation.
pub(super) const MAX_DOCUMENTS: u64 = MAX_OPERATIONS as u64;
/// Bytes of an operation beyond its collection, id, path and value.
const OPERATION_BYTES: usize = 16;
/// What stands for an id that the daemon will choose: as long as those are.
const ID_TO_COME: &str = "00000000000000000000000000";

/// What to do with documents that come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are new: what exists is refused.
    Create,
    /// They take the place of what exists.
    Save,
}

/// What a write takes of a transaction, at most: a document that is saved over another one may become an operation for each of its values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    operations: usize,
    bytes: usize,
}

/// A document as a write, with its weight. What would be refused by every node is refused here, where its place is known.
pub(super) fn write(
    collection: &str,
    mode: Mode,
    mut fields: Map<String, Value>,
) -> Result<(pb::Write, Weight), String> {
    let id = match fields.remove(ID) {
        None => String::new(),
        Some(Value::String(id)) if !id.is_empty() => id,
        Some(_) => return Err("_id has to be a string that is not empty".into()),
    };
    let json = serde_json::to_string(&fields).map_err(|error| error.to_string())?;
    let target = Target::new(collection, if id.is_empty() { ID_TO_COME } else { &id });
    let each = OPERATION_BYTES + target.collection.len() + target.id.len();
    let mut weight = Weight { operations: 1, bytes: each };
    if mode == Mode::Save {
        fields.iter().for_each(|(name, value)| weigh(name.len(), value, each, &mut weight));
    }
    let operation = Operation::Change(target, Change::Create(fields));
    let encoded = Transaction { reverts: None, operations: vec![operation] }.encode();
    let bytes = encoded.map_err(|error| match error {
        Error::TooLarge(bytes) => {
            format!("the document has {bytes} bytes, more than the {MAX_TRANSACTION_BYTES} of a transaction")
        }
        other => other.to_string(),
    })?;
    let change = match mode {
        Mode::Create => write::Change::Create(json),
        Mode::Save => write::Change::Save(json),
    };
    let write = pb::Write { collection: collection.to_owned(), id, if_version: None, change: Some(change) };
    weight.bytes += bytes.len();
    Ok((write, weight))
}

/// Adds an operation for each value at the end of a path, which it repeats.
fn weigh(path: usize, value: &Value, each: usize, weight: &mut Weight) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| weigh(path + name.len() + 1, value, each, weight));
        }
        _ => {
            weight.operations += 1;
            weight.bytes += each + path;
        }
    }
}

/// Which documents of the input are in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The line of the first one.
    pub(super) first: u64,
    /// The line of the last one.
    pub(super) last: u64,
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "line {}", self.first)
        } else {
            write!(f, "lines {}-{}", self.first, self.last)
        }
    }
}

/// A transaction in the making, cut where it would have too many documents or bytes.
#[derive(Debug)]
pub(super) struct Batch {
    most: usize,
    writes: Vec<pb::Write>,
    weight: Weight,
    span: Span,
}

impl Batch {
    pub(super) fn new(most: usize) -> Self {
        let weight = Weight { operations: 0, bytes: TRANSACTION_HEAD_BYTES };
        Self { most, writes: Vec::new(), weight, span: Span { first: 0, last: 0 } }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Whether a write of this weight has to wait for the next one. One that is too heavy for any goes alone: it is for the daemon to refuse.
    pub(super) fn is_full_for(&self, weight: Weight) -> bool {
        !self.is_empty()
            && (self.writes.len() >= self.most
                || self.weight.operations + weight.operations > MAX_OPERATIONS
                || self.weight.bytes + weight.bytes > PACKED_TRANSACTION_BYTES)
    }

    pub(super) fn push(&mut self, line: u64, write: pb::Write, weight: Weight) {
        if self.is_empty() {
            self.span.first = line;
        }
        self.span.last = line;
        self.weight.operations += weight.operations;
        self.weight.bytes += weight.bytes;
        self.writes.push(write);
    }

    /// What has gathered; what comes next begins anew.
    pub(super) fn take(&mut self) -> (Vec<pb::Write>, Span) {
        let Self { writes, span, .. } = std::mem::replace(self, Self::new(self.most));
        (writes, span)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> Result<(pb::Write, Weight), String> {
        write("films", Mode::Create, value.as_object().unwrap().clone())
    }

    #[test]
    fn an_id_goes_beside_the_fields() {
        let (write, _) = written(&json!({"_id": "brazil", "year": 1985})).unwrap();
        assert_eq!(
            (write.id.as_str(), write.change),
            ("brazil", Some(write::Change::Create("{\"year\":1985}".into())))
        );
        let (write, _) = super::write("films", Mode::Save, Map::new()).unwrap();
        assert_eq!((write.id.as_str(), write.change), ("", Some(write::Change::Save("{}".into()))));
    }

    #[test]
    fn what_every_node_would_refuse_is_refused_before_it_is_sent() {
        for (value, message) in [
            (json!({"_id": 7}), "_id has to be a string"),
            (json!({"_id": ""}), "_id has to be a string"),
            (json!({"_id": "a\nb"}), "cannot be the id"),
            (json!({"_mod": 7}), "_mod is not for writing"),
            (json!({"a": "x".repeat(5_000_000)}), "the document has 50000"),
            (json!({"a": (0..70).fold(json!(1), |inner, _| json!([inner]))}), "at most 64 deep"),
        ] {
            let error = written(&value).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        assert!(write("no such name", Mode::Create, Map::new()).unwrap_err().contains("name of a collection"));
    }

    #[test]
    fn batches_are_cut_by_documents_and_by_bytes() {
        let weight = |operations, bytes| Weight { operations, bytes };
        let mut batch = Batch::new(3);
        for line in 1..=3 {
            assert!(!batch.is_full_for(weight(1, 100)));
            batch.push(line, pb::Write::default(), weight(1, 100));
        }
        assert!(batch.is_full_for(weight(1, 100)));
        let (writes, span) = batch.take();
        assert_eq!((writes.len(), span.to_string()), (3, "lines 1-3".to_owned()));
        assert!(!batch.is_full_for(weight(1, PACKED_TRANSACTION_BYTES + 1)), "a large document goes alone");
        batch.push(4, pb::Write::default(), weight(1, PACKED_TRANSACTION_BYTES - 1000));
        assert!(!batch.is_full_for(weight(1, 500)));
        assert!(batch.is_full_for(weight(1, 1000)));
        assert!(batch.is_full_for(weight(MAX_OPERATIONS, 1)));
        assert_eq!(batch.take().1.to_string(), "line 4");
    }

    /// Numbers can be larger in a transaction than as text, so it is not the text that is measured.
    #[test]
    fn batches_that_are_full_fit_a_transaction() {
        let document = json!({"values": vec![0.1; 5000]}).as_object().unwrap().clone();
        let (mut batch, mut count) = (Batch::new(1000), 0);
        let weight = write("films", Mode::Create, document.clone()).unwrap().1;
        while !batch.is_full_for(weight) {
            batch.push(0, pb::Write::default(), weight);
            count += 1;
        }
        let operation = Operation::Change(Target::new("films", ID_TO_COME), Change::Create(document));
        let transaction = |count| Transaction { reverts: None, operations: vec![operation.clone(); count] };
        let bytes = |count| transaction(count).encode().unwrap().len();
        assert!(count > 1 && bytes(count) <= PACKED_TRANSACTION_BYTES);
        assert!(bytes(count + 1) > PACKED_TRANSACTION_BYTES);
    }

    /// What is saved over another document may become one operation for each value, with the id and the path in each.
    #[test]
    fn what_is_saved_weighs_as_much_as_it_may_become() {
        let document = json!({"a": 1, "b": {"c": 2, "d": {"e": [3]}}, "f": {}}).as_object().unwrap().clone();
        let weight = write("films", Mode::Save, document).unwrap().1;
        let set = |path: &str, value| {
            Operation::Change(
                Target::new("films", ID_TO_COME),
                Change::Set(spool_db::Path::parse(path).unwrap(), value),
            )
        };
        let operations = vec![set("a", json!(1)), set("b.c", json!(2)), set("b.d.e", json!([3]))];
        assert!(weight.operations >= operations.len());
        let transaction = Transaction { reverts: None, operations };
        assert!(weight.bytes >= transaction.encode().unwrap().len() - TRANSACTION_HEAD_BYTES);
    }
}
