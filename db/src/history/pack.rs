//! Operations in transactions that fit events.

use serde_json::Value;

use crate::{
    limits::{MAX_TRANSACTION_BYTES, TRANSACTION_HEAD_BYTES},
    operation::{Change, Operation, Target, Transaction},
    path::Path,
};

/// A transaction in the making.
pub(super) struct Packer {
    /// Operations of one transaction, and their bytes.
    most: usize,
    room: usize,
    operations: Vec<Operation>,
    bytes: usize,
    full: Vec<Transaction>,
}

impl Packer {
    /// Makes transactions of at most so many operations and bytes.
    pub(super) fn new(operations: usize, bytes: usize) -> Self {
        let room = bytes.saturating_sub(TRANSACTION_HEAD_BYTES);
        Self { most: operations, room, operations: Vec::new(), bytes: 0, full: Vec::new() }
    }

    /// Adds the changes of a document. They stay in one transaction if they fit one.
    pub(super) fn push(&mut self, target: &Target, changes: Vec<Change>) {
        let mut operations = Vec::new();
        changes.into_iter().for_each(|change| split(target, change, self.room, &mut operations));
        let all: usize = operations.iter().map(|(_, bytes)| bytes).sum();
        if all <= self.room && operations.len() <= self.most && !self.has_room(operations.len(), all) {
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
        self.operations.len() + count <= self.most && self.bytes + bytes <= self.room
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
fn split(target: &Target, change: Change, room: usize, operations: &mut Vec<(Operation, usize)>) {
    let operation = Operation::Change(target.clone(), change);
    let bytes = operation.bytes();
    let Operation::Change(_, change) = &operation else { return };
    match change {
        _ if bytes <= room => operations.push((operation, bytes)),
        Change::Create(fields) => {
            split(target, Change::Create(serde_json::Map::new()), room, operations);
            fields.iter().for_each(|(name, value)| set(target, Path::new([name.as_str()]), value, room, operations));
        }
        Change::Set(path, Value::Object(fields)) => {
            fields.iter().for_each(|(name, value)| set(target, path.child(name), value, room, operations));
        }
        Change::Replace(path, Value::Object(fields)) => {
            split(target, Change::Replace(path.clone(), Value::Object(serde_json::Map::new())), room, operations);
            fields.iter().for_each(|(name, value)| set(target, path.child(name), value, room, operations));
        }
        // Only additions to a set make an array larger than an event, and sets are sorted whatever the order of additions.
        Change::Set(path, Value::Array(items)) if bytes > MAX_TRANSACTION_BYTES - TRANSACTION_HEAD_BYTES => {
            set(target, path.clone(), &Value::Array(Vec::new()), room, operations);
            items.iter().for_each(|item| split(target, Change::Add(path.clone(), item.clone()), room, operations));
        }
        // One value, as large as it came.
        _ => operations.push((operation, bytes)),
    }
}

fn set(target: &Target, path: Path, value: &Value, room: usize, operations: &mut Vec<(Operation, usize)>) {
    split(target, Change::Set(path, value.clone()), room, operations);
}
