//! Large bodies: read in pieces, cut into chunks, stored block by block, then appended as one event.

use bytes::{Bytes, BytesMut};
use fastcdc::v2020::{FastCDC, Normalization};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use spool_proto::{
    ThreadId,
    body::{Block, Chunker, seal_body},
    event::Kind,
    limits::{AVERAGE_CHUNK_BYTES, MAX_CHUNK_BYTES, MAX_SINGLE_BODY_BYTES, MIN_CHUNK_BYTES},
};
use tokio::sync::oneshot;

use super::{
    Node,
    append::{Pending, refused},
    bodies,
    call::Call,
    limits::STORE_BYTES,
};
use crate::model::{AppendOptions, BoxError, Error, Receipt};

impl Node {
    /// Appends one event whose body is what `content` yields, of any size. An error in it aborts with nothing appended; blocks that were stored by
    /// then stay until the thread is removed, and are used again if the same file is added.
    ///
    /// # Errors
    ///
    /// [`Error::NoReadKey`], [`Error::ThreadNotFound`], [`Error::Storage`].
    pub async fn add(
        &self,
        thread: &ThreadId,
        content: BoxStream<'static, Result<Bytes, BoxError>>,
        options: AppendOptions,
    ) -> Result<Receipt, Error> {
        self.append_content(thread, content, options).await?.await
    }

    /// As [`append`](Self::append), for a body of any size.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub(super) async fn append_any(
        &self,
        thread: &ThreadId,
        body: Bytes,
        options: AppendOptions,
    ) -> Result<Pending, Error> {
        if body.len() <= MAX_SINGLE_BODY_BYTES {
            return self.append(thread, body, options).await;
        }
        self.append_content(thread, stream::once(async move { Ok(body) }).boxed(), options).await
    }

    async fn append_content(
        &self,
        thread: &ThreadId,
        mut content: BoxStream<'static, Result<Bytes, BoxError>>,
        options: AppendOptions,
    ) -> Result<Pending, Error> {
        let keys = self.thread_keys(thread)?;
        let own = keys.writing(&options).ok_or_else(|| Error::NoReadKey(thread.clone()))?;
        let protection = bodies::protection(options.audience);
        let mut buffer = BytesMut::new();
        while buffer.len() <= MAX_SINGLE_BODY_BYTES {
            let Some(piece) = content.next().await else {
                let size = buffer.len() as u64;
                let sealed = seal_body(&buffer, &protection, &own, thread).map_err(|error| invalid(&error))?;
                return self.queue(&own, Kind::Application, sealed, size, (thread, options)).await;
            };
            buffer.extend_from_slice(&piece.map_err(|error| unreadable(&error))?);
        }
        let public = matches!(protection, spool_proto::body::Protection::Public);
        let epoch = keys.state.keys.current().ok_or_else(|| Error::NoReadKey(thread.clone()))?;
        let no_key = || Error::NoReadKey(thread.clone());
        let secret = epoch.chunk_secret(public).ok_or_else(no_key)?;
        let seed = epoch.gear_seed(public).ok_or_else(no_key)?;
        let mut chunker = Chunker::new(protection, &own, thread, secret);
        let mut store = Stored { node: self, thread, blocks: Vec::new(), bytes: 0 };
        let mut size = 0;
        let mut ended = false;
        while !ended || !buffer.is_empty() {
            // A cut depends on what follows up to the largest chunk, so that much has to be here unless it is the end.
            while !ended && buffer.len() < 4 * MAX_CHUNK_BYTES {
                match content.next().await {
                    Some(piece) => buffer.extend_from_slice(&piece.map_err(|error| unreadable(&error))?),
                    None => ended = true,
                }
            }
            let keep = if ended { 0 } else { MAX_CHUNK_BYTES };
            for chunk in cut(&mut buffer, keep, seed) {
                size += chunk.len() as u64;
                for block in chunker.chunk(&chunk).map_err(|error| invalid(&error))? {
                    store.add(block).await?;
                }
            }
        }
        let sealed = chunker.finish().map_err(|error| invalid(&error))?;
        store.flush().await?;
        self.queue(&own, Kind::Application, sealed, size, (thread, options)).await
    }
}

/// Cuts chunks off the front of the buffer while more than `keep` bytes are left behind each.
fn cut(buffer: &mut BytesMut, keep: usize, seed: u64) -> Vec<Bytes> {
    let mut sizes = Vec::new();
    let mut left = buffer.len();
    let chunks = FastCDC::with_level_and_seed(
        buffer,
        MIN_CHUNK_BYTES,
        AVERAGE_CHUNK_BYTES,
        MAX_CHUNK_BYTES,
        Normalization::Level1,
        seed,
    );
    for chunk in chunks {
        if left < keep || left == 0 {
            break;
        }
        sizes.push(chunk.length);
        left -= chunk.length;
    }
    sizes.into_iter().map(|size| buffer.split_to(size).freeze()).collect()
}

/// Blocks on their way to the store, a few megabytes at a time.
struct Stored<'a> {
    node: &'a Node,
    thread: &'a ThreadId,
    blocks: Vec<Block>,
    bytes: usize,
}

impl Stored<'_> {
    async fn add(&mut self, block: Block) -> Result<(), Error> {
        self.bytes += block.1.len();
        self.blocks.push(block);
        if self.bytes < STORE_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let (answer, done) = oneshot::channel();
        let blocks = std::mem::take(&mut self.blocks);
        self.node.call(Call::Store { thread: self.thread.clone(), blocks, answer }).await?;
        let stored = done.await.map_err(|_| Error::Stopping)?;
        stored.map(drop).map_err(|error| refused(self.thread, error))
    }
}

fn invalid(error: &spool_proto::body::Error) -> Error {
    Error::Invalid(error.to_string())
}

fn unreadable(error: &BoxError) -> Error {
    Error::Invalid(format!("the content could not be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cutting a stream gives the same chunks however it was delivered.
    #[test]
    fn cuts_do_not_depend_on_pieces() {
        let mut state = 1u64;
        let data: Vec<u8> = (0..9_000_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            })
            .collect();
        let mut whole = BytesMut::from(data.as_slice());
        let at_once = cut(&mut whole, 0, 7);
        let mut buffer = BytesMut::new();
        let mut pieces = Vec::new();
        for piece in data.chunks(777_777) {
            buffer.extend_from_slice(piece);
            pieces.extend(cut(&mut buffer, MAX_CHUNK_BYTES, 7));
        }
        pieces.extend(cut(&mut buffer, 0, 7));
        assert!(at_once.len() > 10);
        assert_eq!(at_once, pieces);
        assert_ne!(at_once, cut(&mut BytesMut::from(data.as_slice()), 0, 8));
    }
}
