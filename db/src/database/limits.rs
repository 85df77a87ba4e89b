//! What this node permits itself.

use std::fmt;

use crate::limits::{
    MAX_DEPTH, MAX_DOCUMENT_BYTES, MAX_INDEXES, MAX_OPERATIONS, MAX_TRANSACTION_BYTES, QUERY_MEMORY_BYTES,
    TRANSACTION_MEMORY_BYTES,
};

/// What local writes and queries may use. What other peers write is merged whatever it is here.
///
/// The bounds of a document, a transaction, of depth and indexes are part of what merging means: beyond the constants in [`crate::limits`] an event has no effect
/// on any peer. So a node may permit itself less, and more counts as these constants. Memory is a node's own affair and has no such bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a document in its stored form that a local write may leave, at most [`MAX_DOCUMENT_BYTES`]. One that others have made larger may still be made smaller.
    pub document_bytes: usize,
    /// Bytes of one transaction, at most [`MAX_TRANSACTION_BYTES`].
    pub transaction_bytes: usize,
    /// Operations of one transaction, at most [`MAX_OPERATIONS`].
    pub transaction_operations: usize,
    /// Nesting of values, and names of paths, at most [`MAX_DEPTH`].
    pub depth: usize,
    /// Indexes of one collection, at most [`MAX_INDEXES`].
    pub indexes: usize,
    /// Bytes that one query may hold in memory, whatever its options say.
    pub query_memory: usize,
    /// Bytes of the documents that one transaction may change, in their stored form from before: it holds all of them until it ends.
    pub transaction_memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: MAX_DOCUMENT_BYTES,
            transaction_bytes: MAX_TRANSACTION_BYTES,
            transaction_operations: MAX_OPERATIONS,
            depth: MAX_DEPTH,
            indexes: MAX_INDEXES,
            query_memory: QUERY_MEMORY_BYTES,
            transaction_memory: TRANSACTION_MEMORY_BYTES,
        }
    }
}

impl Limits {
    /// These, but none beyond what has an effect.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            document_bytes: self.document_bytes.min(MAX_DOCUMENT_BYTES),
            transaction_bytes: self.transaction_bytes.min(MAX_TRANSACTION_BYTES),
            transaction_operations: self.transaction_operations.min(MAX_OPERATIONS),
            depth: self.depth.min(MAX_DEPTH),
            indexes: self.indexes.min(MAX_INDEXES),
            query_memory: self.query_memory,
            transaction_memory: self.transaction_memory,
        }
    }
}

/// Which limit a transaction has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Limits::document_bytes`].
    DocumentBytes,
    /// [`Limits::transaction_bytes`].
    TransactionBytes,
    /// [`Limits::transaction_operations`].
    TransactionOperations,
    /// [`Limits::depth`].
    Depth,
    /// [`Limits::indexes`].
    Indexes,
    /// [`Limits::transaction_memory`].
    TransactionMemory,
    /// Documents that one transaction relies on: [`MAX_SEEN`](crate::limits::MAX_SEEN).
    Seen,
}

impl Limit {
    /// Its name where it is configured.
    pub fn name(self) -> &'static str {
        match self {
            Limit::DocumentBytes => "document_bytes",
            Limit::TransactionBytes => "transaction_bytes",
            Limit::TransactionOperations => "transaction_operations",
            Limit::Depth => "depth",
            Limit::Indexes => "indexes",
            Limit::TransactionMemory => "transaction_memory",
            Limit::Seen => "seen",
        }
    }

    /// As the end of a sentence: what there is too much of.
    pub(crate) fn met(self, permitted: usize) -> impl fmt::Display {
        let (text, advice) = match self {
            Limit::DocumentBytes => ("the document would be larger than", "bytes"),
            Limit::TransactionBytes => ("the transaction would be larger than", "bytes: split it"),
            Limit::TransactionOperations => ("the transaction would have more than", "operations: split it"),
            Limit::Depth => ("a value or a path is deeper than", "levels"),
            Limit::Indexes => ("the collection would have more than", "indexes"),
            Limit::TransactionMemory => {
                ("the documents that the transaction changes have more than", "bytes: split it")
            }
            Limit::Seen => ("the transaction would rely on more than", "documents: read less in it"),
        };
        format!("{text} {permitted} {advice}")
    }
}
