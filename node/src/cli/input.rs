//! What a command reads: a file, or standard input.

use std::io::Read as _;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::exit::Failure;
use crate::api::PIECE_BYTES;

/// The name under which standard input stands among files.
pub(super) const STDIN: &str = "-";

/// Something to read, and how much of it there is where that is known.
pub(super) struct Input {
    pub(super) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) size: Option<u64>,
}

impl Input {
    pub(super) fn stdin() -> Self {
        Self { reader: Box::new(tokio::io::stdin()), size: stdin_size() }
    }

    /// A file, or standard input by the name of `-`.
    pub(super) async fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new(STDIN) {
            return Ok(Self::stdin());
        }
        let file = tokio::fs::File::open(path).await.map_err(|error| cannot_read(path, &error))?;
        let metadata = file.metadata().await.map_err(|error| cannot_read(path, &error))?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!("{} is a directory", path.display())));
        }
        Ok(Self { reader: Box::new(file), size: metadata.is_file().then_some(metadata.len()) })
    }
}

/// As much as fits into one message; empty at the end.
pub(super) async fn piece(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    while piece.len() < PIECE_BYTES
        && (&mut *reader).take((PIECE_BYTES - piece.len()) as u64).read_buf(&mut piece).await? > 0
    {}
    Ok(piece.freeze())
}

/// The same for readers that block.
pub(super) fn open_blocking(path: &Path) -> Result<(Box<dyn std::io::Read + Send>, Option<u64>), Failure> {
    if path == Path::new(STDIN) {
        return Ok((Box::new(std::io::stdin()), stdin_size()));
    }
    let file = std::fs::File::open(path).map_err(|error| cannot_read(path, &error))?;
    let metadata = file.metadata().map_err(|error| cannot_read(path, &error))?;
    if metadata.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", path.display())));
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// A whole text of at most `limit` bytes, from a file or from standard input by the name of `-`.
pub(super) fn read_text(path: &Path, limit: usize) -> Result<String, Failure> {
    let (reader, _) = open_blocking(path)?;
    let mut bytes = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > limit {
        return Err(Failure::usage(format!("{} has more than {limit} bytes", shown(path))));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is not text in UTF-8", shown(path))))
}

/// A file that cannot be read.
pub(super) fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot read {}: {error}", shown(path)))
}

fn shown(path: &Path) -> String {
    if path == Path::new(STDIN) { "standard input".into() } else { path.display().to_string() }
}

/// Bytes on standard input, where it is a file.
fn stdin_size() -> Option<u64> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
        let metadata = std::fs::File::from(stdin).metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }
    #[cfg(not(unix))]
    None
}
