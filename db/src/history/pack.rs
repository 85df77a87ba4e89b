//! Operations in transactions that fit events.

use serde_json::Value;

use crate::{
    limits::{MAX_OPERATIONS, MAX_TRANSACTION_BYTES, TRANSACTION_HEAD_BYTES},
    operation::{Change, Operation, Target, Transaction},
    path::Path,
};

/// Bytes of the operations of one transaction.
const ROOM: usize = MAX_TRANSACTION_BYTES - TRANSACTION_HEAD_BYTES;

/// A transaction in the making.
#[derive(Default)]
pub(super) struct Packer {
    operations: Vec<Operation>,
    bytes: usize,
    full: Vec<Transaction>,
}

impl Packer {
    /// Adds the changes of a document. They stay in one transaction if they fit one.
    pub(super) fn push(&mut self, target: &Target, changes: Vec<Change>) {
        let mut operations = Vec::new();
        changes.into_iter().for_each(|change| split(target, change, &mut operations));
        let all: usize = operations.iter().map(|(_, bytes)| bytes).sum();
        if all <= ROOM && operations.len() <= MAX_OPERATIONS && !self.has_room(operations.len(), all) {
            self.close();
        }
        for (operation, bytes) in operations {
            if !self.has_room(1, bytes) {
                self.close();
            }
            self.operations.push(operation);
            self.bytes += bytes;
        }
    }

    fn has_room(&self, count: usize, bytes: usize) -> bool {
        self.operations.len() + count <= MAX_OPERATIONS && self.bytes + bytes <= ROOM
    }

    fn close(&mut self) {
        self.bytes = 0;
        let operations = std::mem::take(&mut self.operations);
        if !operations.is_empty() {
            self.full.push(Transaction { reverts: None, operations });
        }
    }

    /// Transactions that nothing more fits into; all that there is, if nothing more comes.
    pub(super) fn take(&mut self, is_end: bool) -> Vec<Transaction> {
        if is_end {
            self.close();
        }
        std::mem::take(&mut self.full)
    }
}

/// A document can be larger than an event: what many events have built up is set piece by piece.
fn split(target: &Target, change: Change, operations: &mut Vec<(Operation, usize)>) {
    let operation = Operation::Change(target.clone(), change);
    let bytes = operation.bytes();
    let Operation::Change(_, change) = &operation else { return };
    match change {
        _ if bytes <= ROOM => operations.push((operation, bytes)),
        Change::Create(fields) => {
            split(target, Change::Create(serde_json::Map::new()), operations);
            fields.iter().for_each(|(name, value)| set(target, Path::new([name.as_str()]), value, operations));
        }
        Change::Set(path, Value::Object(fields)) => {
            fields.iter().for_each(|(name, value)| set(target, path.child(name), value, operations));
        }
        Change::Replace(path, Value::Object(fields)) => {
            split(target, Change::Replace(path.clone(), Value::Object(serde_json::Map::new())), operations);
            fields.iter().for_each(|(name, value)| set(target, path.child(name), value, operations));
        }
        // Only additions to a set make an array larger than an event, and sets are sorted whatever the order of additions.
        Change::Set(path, Value::Array(items)) => {
            set(target, path.clone(), &Value::Array(Vec::new()), operations);
            items.iter().for_each(|item| split(target, Change::Add(path.clone(), item.clone()), operations));
        }
        // One value, as large as it came.
        _ => operations.push((operation, bytes)),
    }
}

fn set(target: &Target, path: Path, value: &Value, operations: &mut Vec<(Operation, usize)>) {
    split(target, Change::Set(path, value.clone()), operations);
}
