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

/// Ends the name of a file under construction.
const PART: &str = ".part";

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
        let begin = Self::begin(place).ok_or(io::ErrorKind::InvalidInput)?;
        let temporary = place.with_file_name(format!("{begin}{}{PART}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o644 });
        #[cfg(not(unix))]
        let _ = private;
        let file = options.open(&temporary)?;
        Ok(Self { file, temporary, place: place.into(), finished: false })
    }

    /// How the names begin of all that were to be at `place`.
    fn begin(place: &Path) -> Option<String> {
        Some(format!(".{}.", place.file_name()?.to_string_lossy()))
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

/// Writes a whole file in place of one with a secret, whose old content is overwritten then: as far as the file system writes in place, nothing of it is left.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), Error> {
    let old = OpenOptions::new().write(true).open(path).ok();
    write(path, content, Access::Private)?;
    if let Some(old) = old {
        // What was to be is done. A file that has another name besides is somebody's copy.
        let _ = overwrite(old);
    }
    Ok(())
}

fn overwrite(mut old: File) -> io::Result<()> {
    let data = old.metadata()?;
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&data) > 0 {
        return Ok(());
    }
    io::copy(&mut io::repeat(0).take(data.len()), &mut old)?;
    old.sync_all()
}

/// Removes a file with a secret, durably, and overwrites it then as [`replace`] does.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let old = OpenOptions::new().write(true).open(path).ok();
    fs::remove_file(path).and_then(|()| sync_parent(path)).map_err(Error::io("remove", path))?;
    if let Some(old) = old {
        let _ = overwrite(old);
    }
    Ok(())
}

/// Removes what processes that were killed have left of a file with a secret that they were writing. Nobody writes it meanwhile.
pub(super) fn remove_unfinished(path: &Path) -> Result<(), Error> {
    let (Some(directory), Some(begin)) = (path.parent(), Partial::begin(path)) else { return Ok(()) };
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(&begin) && name.ends_with(PART)) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Reads a small file; none where there is none.
pub(super) fn read_bytes(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(Error::io("read", path))?,
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SMALL_FILE_BYTES as usize + 1));
    file.take(MAX_SMALL_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(Some(bytes))
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
