use std::{io, time::Duration};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use spool_proto::wire;

use super::budget::{Budget, Claim};
use crate::limits::{FRAME_STEP_BYTES, MAX_FRAME_BYTES};

/// Reads and writes frames. Clones share their budgets.
#[derive(Clone)]
pub(crate) struct Codec {
    patience: Patience,
    requests: Budget,
    responses: Budget,
}

/// How long a response is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Until it begins.
    pub(crate) silence: Duration,
    /// Where it pauses.
    pub(crate) pause: Duration,
}

/// A message and the memory that it takes.
pub(crate) struct Carried<T> {
    content: T,
    claim: Option<Claim>,
}

impl<T> std::fmt::Debug for Carried<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carried").finish_non_exhaustive()
    }
}

/// Why a request was not read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The sender announced more bytes than a frame may have.
    TooLarge,
    /// The bytes are not a request.
    Malformed(wire::Error),
    /// Too many bytes of requests are in memory already.
    Busy,
}

enum Frame {
    Complete(Bytes, Claim),
    TooLarge(usize),
    Busy,
}

/// The sender of a response stopped in the middle of it.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off in the middle")]
pub(crate) struct Stalled;

/// There was no response.
#[derive(Debug, thiserror::Error)]
#[error("no response")]
pub(crate) struct Silent;

impl Codec {
    pub(crate) fn new(patience: Patience) -> Self {
        let (requests, responses) = Default::default();
        Self { patience, requests, responses }
    }

    async fn read<T: AsyncRead + Unpin + Send>(
        &self,
        budget: &Budget,
        patience: Option<Patience>,
        io: &mut T,
    ) -> io::Result<Frame> {
        let length = match patience {
            None => read_length(io).await?,
            Some(Patience { silence, .. }) => tokio::time::timeout(silence, read_length(io))
                .await
                .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, Silent)))?,
        };
        let pause = patience.map(|patience| patience.pause);
        if length > MAX_FRAME_BYTES {
            return Ok(Frame::TooLarge(length));
        }
        let mut claim = budget.claim();
        let mut frame = Vec::new();
        while frame.len() < length {
            // A length is a claim: never allocate more than twice of what has really arrived.
            let step = frame.len().max(FRAME_STEP_BYTES).min(length - frame.len());
            if !claim.take(step) {
                // Read on all the same: a sender that is still writing would not see our answer.
                let rest = (length - frame.len()) as u64;
                drop((frame, claim));
                futures::io::copy(&mut io.take(rest), &mut futures::io::sink()).await?;
                return Ok(Frame::Busy);
            }
            let start = frame.len();
            frame.resize(start + step, 0);
            fill(io, &mut frame[start..], pause).await?;
        }
        Ok(Frame::Complete(frame.into(), claim))
    }

    async fn write<T: AsyncWrite + Unpin + Send>(&self, io: &mut T, frame: &[u8]) -> io::Result<()> {
        let mut length = Vec::with_capacity(5);
        let mut rest = frame.len();
        while rest >= 0x80 {
            length.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        length.push(rest as u8);
        io.write_all(&length).await?;
        io.write_all(frame).await?;
        io.flush().await?;
        Ok(())
    }
}

impl<T> Carried<T> {
    /// The content, and what holds its memory claimed until it is dropped.
    pub(crate) fn split(self) -> (T, Carried<()>) {
        (self.content, Carried { content: (), claim: self.claim })
    }
}

impl From<wire::Request> for Carried<Result<wire::Request, Fault>> {
    fn from(request: wire::Request) -> Self {
        Self { content: Ok(request), claim: None }
    }
}

impl From<wire::Response> for Carried<wire::Response> {
    fn from(response: wire::Response) -> Self {
        Self { content: response, claim: None }
    }
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Carried<Result<wire::Request, Fault>>;
    type Response = Carried<wire::Response>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        Ok(match self.read(&self.requests, None, io).await? {
            Frame::Complete(frame, claim) => {
                let content = wire::Request::decode(frame).map_err(Fault::Malformed);
                Carried { content, claim: Some(claim) }
            }
            Frame::TooLarge(_) => Carried { content: Err(Fault::TooLarge), claim: None },
            Frame::Busy => Carried { content: Err(Fault::Busy), claim: None },
        })
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        let malformed = |error: wire::Error| io::Error::new(io::ErrorKind::InvalidData, error);
        match self.read(&self.responses, Some(self.patience), io).await? {
            Frame::Complete(frame, claim) => {
                let content = wire::Response::decode(frame).map_err(malformed)?;
                Ok(Carried { content, claim: Some(claim) })
            }
            Frame::TooLarge(actual) => Err(malformed(wire::Error::TooLarge { actual, limit: MAX_FRAME_BYTES })),
            Frame::Busy => Err(io::ErrorKind::OutOfMemory.into()),
        }
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Self::Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let Ok(request) = request.content else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let frame = request.encode().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.write(io, &frame).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Self::Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let kind = response.content.kind();
        let frame = match response.content.encode() {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(kind, %error, "response cannot be sent");
                let refusal = wire::Response::Refusal(wire::Refusal::Internal);
                refusal.encode().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?
            }
        };
        self.write(io, &frame).await
    }
}

/// Reads as many bytes as `buffer` holds. With a `pause`, whoever sends nothing for so long has stalled.
async fn fill<T: AsyncRead + Unpin + Send>(io: &mut T, buffer: &mut [u8], pause: Option<Duration>) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = io.read(&mut buffer[filled..]);
        let count = match pause {
            None => read.await?,
            Some(pause) => match tokio::time::timeout(pause, read).await {
                Ok(count) => count?,
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, Stalled)),
            },
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
    }
    Ok(())
}

/// Reads an unsigned varint of at most 35 bits in its shortest form.
async fn read_length<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<usize> {
    let mut length = 0;
    for position in 0..5 {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        let [byte] = byte;
        if position > 0 && byte == 0 {
            break;
        }
        length |= usize::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            return Ok(length);
        }
    }
    // Longer than any frame, and so is what comes after it.
    Ok(usize::MAX)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    const PATIENCE: Patience = Patience { silence: Duration::from_secs(1), pause: Duration::from_secs(1) };

    fn read(bytes: &[u8]) -> io::Result<Frame> {
        let codec = Codec::new(PATIENCE);
        block_on(codec.read(&codec.requests, None, &mut Cursor::new(bytes)))
    }

    #[test]
    fn what_is_written_is_read() {
        for size in [0, 1, 127, 128, 300_000, MAX_FRAME_BYTES] {
            let codec = Codec::new(PATIENCE);
            let frame = vec![7; size];
            let mut bytes = Vec::new();
            block_on(codec.write(&mut Cursor::new(&mut bytes), &frame)).unwrap();
            let Ok(Frame::Complete(read, _)) = block_on(codec.read(&codec.requests, None, &mut Cursor::new(&bytes)))
            else {
                panic!("{size} bytes were not read");
            };
            assert_eq!(read, frame);
        }
    }

    #[test]
    fn a_length_beyond_the_frame_is_refused_before_anything_is_read() {
        // 2^28 and no body behind it.
        assert!(matches!(read(&[0x80, 0x80, 0x80, 0x80, 0x01]), Ok(Frame::TooLarge(0x1000_0000))));
        assert!(matches!(read(&[0xff; 16]), Ok(Frame::TooLarge(usize::MAX))));
        assert!(matches!(read(&[0x81, 0x00]), Ok(Frame::TooLarge(usize::MAX))), "not the shortest form");
    }

    #[test]
    fn half_a_frame_is_an_error_of_the_stream() {
        assert_eq!(read(&[10, 1, 2]).map(|_| ()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read(&[]).map(|_| ()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_large_frame_is_read_away_when_memory_is_short() {
        let codec = Codec::new(PATIENCE);
        let mut others = codec.requests.claim();
        assert!(others.take(crate::limits::MAX_FRAMES_BYTES));
        let mut bytes = Vec::new();
        block_on(codec.write(&mut Cursor::new(&mut bytes), &vec![7; 300_000])).unwrap();
        let mut stream = Cursor::new(&bytes);
        assert!(matches!(block_on(codec.read(&codec.requests, None, &mut stream)), Ok(Frame::Busy)));
        assert_eq!(stream.position(), bytes.len() as u64);
        let small = wire::Request::Proofs(Vec::new()).encode().unwrap();
        let mut bytes = Vec::new();
        block_on(codec.write(&mut Cursor::new(&mut bytes), &small)).unwrap();
        assert!(matches!(
            block_on(codec.read(&codec.requests, None, &mut Cursor::new(&bytes))),
            Ok(Frame::Complete(..))
        ));
    }
}
