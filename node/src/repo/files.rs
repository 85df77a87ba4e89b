//! Small files that are whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Error;

/// Bytes of the files that are read whole; all are far smaller.
const MAX_SMALL_FILE_BYTES: u64 = 4096;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The owner of the repository (0600).
    Private,
    /// Whoever the directory lets in (0644).
    Shared,
}

/// A file under construction: written beside its place, moved there when it is whole and on disk, removed when dropped before.
pub(crate) struct Partial {
    file: File,
    temporary: PathBuf,
    place: PathBuf,
    finished: bool,
}

impl Partial {
    /// Starts a file that will be at `place`.
    pub(crate) fn create(place: &Path, private: bool) -> io::Result<Self> {
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let temporary = place.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o644 });
        #[cfg(not(unix))]
        let _ = private;
        let file = options.open(&temporary)?;
        Ok(Self { file, temporary, place: place.into(), finished: false })
    }

    /// Syncs the file and moves it to its place, over what was there.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.place)?;
        self.finished = true;
        sync_parent(&self.place)
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a whole file: after a crash there is the old content or the new.
pub(super) fn write(path: &Path, content: &[u8], access: Access) -> Result<(), Error> {
    let written = Partial::create(path, access == Access::Private)
        .and_then(|mut partial| partial.write_all(content).map(|()| partial))
        .and_then(Partial::finish);
    written.map_err(Error::io("write", path))
}

/// Reads a small text file without its last line break.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_SMALL_FILE_BYTES as usize + 1));
    file.take(MAX_SMALL_FILE_BYTES + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > MAX_SMALL_FILE_BYTES {
        let message = format!("it has more than {MAX_SMALL_FILE_BYTES} bytes");
        return Err(Error::Damaged { path: path.into(), message });
    }
    let end = text.trim_end().len();
    text.truncate(end);
    Ok(text)
}

/// A rename is durable only once its directory is.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if cfg!(unix) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent)?.sync_all()
        }
        Some(_) | None => Ok(()),
    }
}
