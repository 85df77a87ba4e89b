//! Objects by CID.

use std::fmt;

use bytes::Bytes;
use futures::stream::BoxStream;
use spool_proto::{Cid, LogId, ThreadId};

use super::{Entry, Error};

/// What a CID names.
#[derive(Debug, Clone)]
pub enum Object {
    /// A record.
    Record {
        /// The thread that it is in.
        thread: ThreadId,
        /// The record, its event opened where the node can.
        entry: Box<Entry>,
    },
    /// A block of a body: a body's only block, a manifest or a chunk.
    Block {
        /// The thread that refers to it.
        thread: ThreadId,
        /// The record that links to it directly or through a manifest, where that is known.
        record: Option<(LogId, u64, Cid)>,
        /// Bytes of the sealed block.
        size: u64,
        /// Bytes of the plaintext, where this CID stands for a whole body that this node can open (then `cat` reads it).
        body: Option<u64>,
    },
}

/// An opened body, as a stream of pieces. Each piece is verified before it is handed out.
pub struct Content {
    /// Bytes of the plaintext.
    pub size: u64,
    /// The plaintext in order, in pieces of at most a chunk (1,048,000 bytes).
    pub pieces: BoxStream<'static, Result<Bytes, Error>>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("size", &self.size).finish_non_exhaustive()
    }
}
