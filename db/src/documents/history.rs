//! What the view keeps for each event of a document: where it stands, and as value one of
//!
//! - nothing: what the event changes is in its record;
//! - 1 ‖ the document as the event left it, every [`CHECKPOINT_EVENTS`](crate::limits::CHECKPOINT_EVENTS) events;
//! - 2 ‖ what the event changes of the document, if that is little: folding it again then takes neither a look into the log nor the opening of a record.

use crate::{
    Document,
    documents::events::ByTarget,
    limits::INLINE_CHANGES_BYTES,
    operation::{Change, Operation, Target},
    projector::Error,
};

const STATE: u8 = 1;
const CHANGES: u8 = 2;

/// The value of an event after which the document is kept.
pub(crate) fn state(document: &Document) -> Vec<u8> {
    [&[STATE], &document.to_bytes()[..]].concat()
}

/// The document in a value, if it has one.
pub(crate) fn kept(value: &[u8]) -> Option<&[u8]> {
    value.split_first().filter(|(kind, _)| **kind == STATE).map(|(_, state)| state)
}

/// The document that is kept in a value.
pub(crate) fn read_kept(state: &[u8]) -> Result<Document, Error> {
    Document::from_bytes(state).map_err(|_| Error::Damaged("a kept document"))
}

/// The value of an event that changes a document so.
pub(crate) fn changes(transaction: &ByTarget, target: &Target) -> Vec<u8> {
    // Documents are mostly made once and changed often: what makes one is rarely folded again.
    if transaction.changes(target).any(|(_, change)| matches!(change, Change::Create(_))) {
        return Vec::new();
    }
    let operations: Vec<_> = transaction.operations(target).collect();
    let mut value = Little(vec![CHANGES]);
    match serde_ipld_dagcbor::to_writer(&mut value, &operations) {
        Ok(()) => value.0,
        // Too much, which is found out without looking at the rest.
        Err(_) => Vec::new(),
    }
}

/// Takes no more than [`INLINE_CHANGES_BYTES`].
struct Little(Vec<u8>);

impl std::io::Write for Little {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > INLINE_CHANGES_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The changes in a value, with their positions in the transaction; none if it has none.
pub(crate) fn read_changes(value: &[u8]) -> Result<Option<Vec<(u32, Change)>>, Error> {
    let Some((&CHANGES, changes)) = value.split_first() else { return Ok(None) };
    let damaged = || Error::Damaged("an event in the history of a document");
    let changes: Vec<(u32, Operation)> = serde_ipld_dagcbor::from_slice(changes).map_err(|_| damaged())?;
    let changes = changes.into_iter().map(|(index, operation)| match operation {
        Operation::Change(_, change) => Ok((index, change)),
        Operation::Unknown(_) => Err(damaged()),
    });
    changes.collect::<Result<_, _>>().map(Some)
}
