//! Lines of a stream, none longer than a limit.

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// A reader of lines that knows where it is.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    number: u64,
    read: u64,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::with_capacity(BUFFER_BYTES, reader), limit, number: 0, read: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Whether a whole line can be had without waiting.
    pub(super) fn has_more(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    /// The next line without its end, `None` within for an empty one, and `None` at the end of the input.
    pub(super) async fn next(&mut self) -> Result<Option<Option<Bytes>>, String> {
        let mut line = Vec::new();
        loop {
            let buffer = self.reader.fill_buf().await.map_err(|error| format!("cannot read the input: {error}"))?;
            if buffer.is_empty() {
                if line.is_empty() {
                    return Ok(None);
                }
                break;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(buffer.len());
            if line.len() + taken > self.limit {
                return Err(format!("line {} has more than {} bytes", self.number + 1, self.limit));
            }
            line.extend_from_slice(&buffer[..taken]);
            let consumed = taken + usize::from(end.is_some());
            self.reader.consume(consumed);
            self.read += consumed as u64;
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let blank = line.iter().all(u8::is_ascii_whitespace);
        Ok(Some((!blank).then(|| line.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8], limit: usize) -> (Vec<Option<Bytes>>, Option<String>) {
        let mut lines = Lines::new(input, limit);
        let mut found = Vec::new();
        loop {
            match lines.next().await {
                Ok(Some(line)) => found.push(line),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    #[tokio::test]
    async fn lines_end_with_either_kind_of_break_or_with_the_input() {
        let (lines, error) = all(b"one\r\n\n  \ntwo", 10).await;
        assert_eq!(lines, [Some("one".into()), None, None, Some("two".into())]);
        assert_eq!(error, None);
    }

    #[tokio::test]
    async fn a_long_line_is_refused_before_it_is_kept() {
        let (lines, error) =
            all(&[b"short\n", vec![b'x'; 3 * BUFFER_BYTES].as_slice()].concat(), BUFFER_BYTES + 7).await;
        assert_eq!(lines, [Some("short".into())]);
        assert_eq!(error.unwrap(), format!("line 2 has more than {} bytes", BUFFER_BYTES + 7));
    }

    #[tokio::test]
    async fn it_knows_its_place() {
        let mut lines = Lines::new(&b"a\nbb\nccc"[..], 10);
        lines.next().await.unwrap();
        lines.next().await.unwrap();
        assert_eq!((lines.number(), lines.read(), lines.has_more()), (2, 5, false));
    }
}
