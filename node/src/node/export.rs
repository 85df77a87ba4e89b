//! A thread as an archive, see [`archive`](super::archive).

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::{Cid, LogId, ThreadId, block};
use spool_store::{Store, store::Page};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Node,
    archive::{Index, IndexedLog, count},
    limits::{ARCHIVE_BLOCKS, PIECE_BYTES, PIECES, READ_BYTES, READ_RECORDS},
    threads::storage,
};
use crate::{car, model::Error};

type Piece = Result<Bytes, Error>;

/// One look at the store.
const PAGE: Page = Page { bytes: READ_BYTES, count: READ_RECORDS };

impl Node {
    /// The thread's records, and the blocks of bodies that are here, as a CAR of version 1, in pieces. What comes to the thread meanwhile is not in it.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`]; as the last piece, what went wrong on the way.
    pub async fn export(&self, thread: &ThreadId) -> Result<BoxStream<'static, Piece>, Error> {
        self.thread_keys(thread)?;
        let (sender, pieces) = mpsc::channel(PIECES);
        let (store, thread) = (self.store().clone(), thread.clone());
        tokio::task::spawn_blocking(move || {
            let mut out = Pieces { filled: BytesMut::with_capacity(PIECE_BYTES), sender };
            let ended = write(&store, &thread, &mut out).and_then(|()| out.flush().map_err(gone));
            if let Err(error) = ended {
                // The caller may have gone, which is an error of its own here.
                let _ = out.sender.blocking_send(Err(error));
            }
        });
        Ok(ReceiverStream::new(pieces).boxed())
    }
}

/// Whoever asked has gone: the work ends.
fn gone(_: io::Error) -> Error {
    Error::Stopping
}

/// Collects what is written into pieces, and waits while nobody takes them.
struct Pieces {
    filled: BytesMut,
    sender: mpsc::Sender<Piece>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.filled.extend_from_slice(bytes);
        if self.filled.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.filled.is_empty() {
            let piece = self.filled.split_to(self.filled.len().min(PIECE_BYTES)).freeze();
            self.sender.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }
}

fn write(store: &Store, thread: &ThreadId, out: &mut Pieces) -> Result<(), Error> {
    let (index, heads) = index(store, thread)?;
    let blocks = store.blocks_of(thread, ARCHIVE_BLOCKS + 1).map_err(storage)?;
    if blocks.len() > ARCHIVE_BLOCKS {
        return Err(Error::TooLarge {
            what: "the list of blocks",
            size: blocks.len() as u64,
            limit: ARCHIVE_BLOCKS as u64,
        });
    }
    let index = Index { blocks: blocks.len() as u64, ..index };
    let bytes = index.encode();
    let cid = car::index_cid(&bytes);
    let roots: Vec<Cid> = std::iter::once(cid).chain(heads).collect();
    out.write_all(&car::header(&roots)).and_then(|()| car::write(out, &cid, &bytes)).map_err(gone)?;
    for log in &index.logs {
        each_record(store, thread, log.log, active(log), &mut |_, bytes| {
            car::write(out, &block::cid(bytes), bytes).map_err(gone)
        })?;
        if log.fork > 0 {
            each_inert(store, thread, log.log, log.fork, &mut |_, bytes| {
                car::write(out, &block::cid(bytes), bytes).map_err(gone)
            })?;
        }
    }
    for cid in blocks {
        let bytes = store.block(&cid).map_err(storage)?.ok_or(Error::BodyMissing(cid))?;
        car::write(out, &cid, &bytes).map_err(gone)?;
    }
    Ok(())
}

fn active(log: &IndexedLog) -> u64 {
    super::archive::total(&log.records).unwrap_or(0)
}

/// What is here now of every log, and their heads.
fn index(store: &Store, thread: &ThreadId) -> Result<(Index, Vec<Cid>), Error> {
    let (mut logs, mut heads) = (Vec::new(), Vec::new());
    for (log, state) in store.log_states(thread).map_err(storage)? {
        let fork = match state.fork {
            Some(fork) if is_proven(store, thread, &log, fork.counter)? => fork.counter,
            _ => 0,
        };
        let mut indexed = IndexedLog { log, records: Vec::new(), fork, inert: Vec::new() };
        // Not the head that the state names: right after a fork was found it may not name one.
        let (mut seen, mut head) = (0, None);
        each_record(store, thread, log, state.active_counter(), &mut |key, bytes| {
            count(&mut indexed.records, key, 1);
            seen += 1;
            head = (seen == state.active_counter()).then(|| block::cid(bytes));
            Ok(())
        })?;
        if seen != state.active_counter() {
            return Err(Error::Storage(format!("a record of log {log} is missing on this node's disk").into()));
        }
        if indexed.fork > 0 {
            each_inert(store, thread, log, indexed.fork, &mut |key, _| {
                count(&mut indexed.inert, key, 1);
                Ok(())
            })?;
        }
        heads.extend(head);
        logs.push(indexed);
    }
    Ok((Index { thread: thread.clone(), logs, blocks: 0 }, heads))
}

/// Whether both records that prove a fork are here: right after it was found one may be on its way to the disk.
fn is_proven(store: &Store, thread: &ThreadId, log: &LogId, fork: u64) -> Result<bool, Error> {
    let proof = store.inert(thread, log, fork, None, Page { count: 2, ..PAGE }).map_err(storage)?.records;
    Ok(proof.len() == 2 && proof.iter().all(|record| record.counter == fork))
}

type Visit<'a> = dyn FnMut(spool_proto::KeyId, &[u8]) -> Result<(), Error> + 'a;

fn each_record(store: &Store, thread: &ThreadId, log: LogId, until: u64, visit: &mut Visit<'_>) -> Result<(), Error> {
    let mut after = 0;
    while let Some(run) = store.records(thread, &log, after, until, PAGE).map_err(storage)? {
        for record in &run.records {
            visit(run.key_id, record)?;
        }
        after += run.records.len() as u64;
    }
    Ok(())
}

fn each_inert(store: &Store, thread: &ThreadId, log: LogId, fork: u64, visit: &mut Visit<'_>) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = store.inert(thread, &log, fork, after, PAGE).map_err(storage)?;
        for record in &page.records {
            visit(record.sealed.key_id, &record.sealed.bytes)?;
            after = Some((record.counter, record.cid));
        }
        if !page.more || page.records.is_empty() {
            return Ok(());
        }
    }
}
