//! A copy of a repository that can be put back: the state of one moment, while the node goes on.
//!
//! ```text
//! DIR/             0700
//!   identity, node.key, repo.key, device, config.toml
//!   store/               a checkpoint of the database; on the file system of the repository its files are shared and cost no room
//!   backup.json    0600  every file with its size and SHA-256; written last
//! ```
//!
//! It has no `version`, so that no daemon takes it for a repository and goes on writing where the backup ended: see [`restore`](super::restore).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spool_proto::vault::State;

use super::create::{make_dir, refuse_unclear};
use super::files::{self, Access};
use super::open::{LAYOUT, LAYOUT_OPEN};
use super::secret::{IDENTITY, KEY_FILE, NODE_KEY};
use super::{Error, Repo};

/// The list of files.
pub(super) const LIST: &str = "backup.json";
/// Version of the list.
pub(super) const FORMAT: u32 = 1;
/// The directory of the database.
pub(super) const STORE: &str = "store";
/// What is copied beside the database. Not the token of the API, nor where it listens: the next daemon makes its own.
const SMALL_FILES: [(&str, Access); 5] = [
    (IDENTITY, Access::Private),
    (NODE_KEY, Access::Private),
    (KEY_FILE, Access::Private),
    ("device", Access::Shared),
    ("config.toml", Access::Shared),
];
/// Those that not every repository has.
const OPTIONAL: [&str; 2] = [KEY_FILE, "config.toml"];
/// Bytes that are read at once; progress is told as often.
const PIECE_BYTES: usize = 1024 * 1024;

/// What is in a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct List {
    pub(super) format: u32,
    /// Layout of the repository.
    pub(super) layout: u32,
    /// Version of the program that made it.
    pub(super) program: String,
    /// When, in unix milliseconds.
    pub(super) made_ms: u64,
    pub(super) files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listed {
    /// Relative, with `/` between.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub(super) sha256: String,
}

/// How far a backup or the putting back of one is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that are done.
    pub files: u64,
    /// Bytes that are done.
    pub bytes: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A directory that is being filled. What is not finished is taken away again.
struct Filling<'a> {
    directory: &'a Path,
    made: bool,
    finished: bool,
}

impl<'a> Filling<'a> {
    /// Takes a directory that is not there, or empty.
    fn new(directory: &'a Path) -> Result<Self, Error> {
        let made = match fs::read_dir(directory) {
            Ok(mut entries) => match entries.next() {
                None => false,
                Some(_) => return Err(Error::NotEmpty(directory.into())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(Error::io("use", directory)(error)),
        };
        make_dir(directory)?;
        Ok(Self { directory, made, finished: false })
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Everything in it is ours: it was empty. A failure to clean up leaves a directory without a list, which nobody takes for a backup.
        let entries = fs::read_dir(self.directory).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        if self.made {
            let _ = fs::remove_dir(self.directory);
        }
    }
}

impl Repo {
    /// Makes a backup in `directory`, which is not there or empty. `checkpoint` has the database put a copy of its files into a directory that is not there
    /// yet. On disk when this returns; after a failure nothing is left.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Unclear`], [`Error::Within`], [`Error::Unfinished`]; [`Error::Checkpoint`] with what `checkpoint` said; [`Error::Io`].
    pub fn back_up(
        &self,
        directory: &Path,
        checkpoint: impl FnOnce(&Path) -> Result<(), spool_store::Error>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Progress, Error> {
        refuse_unclear(directory)?;
        self.refuse_within(directory)?;
        let layout = match self.key_file()?.map(|file| file.state()) {
            None => LAYOUT_OPEN,
            Some(State::Sealed) => LAYOUT,
            Some(State::Sealing | State::Unsealing) => return Err(Error::Unfinished(self.dir().into())),
        };
        let mut filling = Filling::new(directory)?;
        let store = directory.join(STORE);
        checkpoint(&store).map_err(Error::Checkpoint)?;
        for (name, access) in SMALL_FILES {
            let content = match fs::read(self.path(name)) {
                // The configuration may have been removed, and not every repository has a passphrase.
                Err(error) if error.kind() == io::ErrorKind::NotFound && OPTIONAL.contains(&name) => continue,
                read => zeroize::Zeroizing::new(read.map_err(Error::io("read", self.path(name)))?),
            };
            files::write(&directory.join(name), &content, access)?;
        }
        let paths = content(directory)?;
        let mut progress = Progress { total: paths.iter().map(|(_, bytes)| bytes).sum(), ..Progress::default() };
        let mut listed = Vec::with_capacity(paths.len());
        for (path, bytes) in paths {
            let sha256 = hash(&directory.join(&path), &mut progress, on_progress)?;
            listed.push(Listed { path, bytes, sha256 });
        }
        sync_directory(&store)?;
        let made_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let list = List { format: FORMAT, layout, program: env!("CARGO_PKG_VERSION").into(), made_ms, files: listed };
        let text = serde_json::to_string_pretty(&list).map_err(|error| Error::io("write", LIST)(error.into()))?;
        files::write(&directory.join(LIST), format!("{text}\n").as_bytes(), Access::Private)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_directory(parent)?;
        }
        filling.finished = true;
        Ok(progress)
    }

    /// A backup within the repository would be lost with it.
    fn refuse_within(&self, directory: &Path) -> Result<(), Error> {
        let own = self.dir().canonicalize().map_err(Error::io("find", self.dir()))?;
        // The nearest directory that is there already: the rest of the path has no links yet.
        let there = directory.ancestors().find_map(|above| above.canonicalize().ok());
        match there.is_some_and(|there| there.starts_with(&own)) {
            true => Err(Error::Within { directory: directory.into(), repo: self.dir().into() }),
            false => Ok(()),
        }
    }
}

/// All files in a backup that is being made, with their sizes, in the order of their names.
fn content(directory: &Path) -> Result<Vec<(String, u64)>, Error> {
    let mut found = Vec::new();
    for below in [None, Some(STORE)] {
        let place = below.map_or_else(|| directory.to_owned(), |below| directory.join(below));
        for entry in fs::read_dir(&place).map_err(Error::io("list", &place))? {
            let entry = entry.map_err(Error::io("list", &place))?;
            let data = entry.metadata().map_err(Error::io("read", entry.path()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if data.is_file() {
                let path = below.map_or_else(|| name.clone(), |below| format!("{below}/{name}"));
                found.push((path, data.len()));
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The hash of a file, which is on disk afterwards.
fn hash(path: &Path, progress: &mut Progress, on_progress: &mut dyn FnMut(Progress)) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    let sum = digest(&mut file, None, progress, on_progress).map_err(Error::io("read", path))?;
    file.sync_all().map_err(Error::io("sync", path))?;
    progress.files += 1;
    Ok(sum)
}

/// Reads to the end, and writes what is read to `copy`, if there is one.
pub(super) fn digest(
    from: &mut dyn Read,
    mut copy: Option<&mut dyn Write>,
    progress: &mut Progress,
    on_progress: &mut dyn FnMut(Progress),
) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut piece = zeroize::Zeroizing::new(vec![0; PIECE_BYTES]);
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = piece.get(..read).unwrap_or_default();
        hasher.update(piece);
        if let Some(copy) = &mut copy {
            copy.write_all(piece)?;
        }
        progress.bytes += read as u64;
        on_progress(*progress);
    }
    Ok(data_encoding::HEXLOWER.encode(&hasher.finalize()))
}

/// What was made in a directory is durable only once that is.
pub(super) fn sync_directory(directory: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        File::open(directory).and_then(|file| file.sync_all()).map_err(Error::io("sync", directory))?;
    }
    Ok(())
}

/// The place of a listed file: one of the small ones, or directly in the directory of the database. None for a path that a list made by this program never has.
pub(super) fn place(path: &str) -> Option<(PathBuf, Access)> {
    if let Some((name, access)) = SMALL_FILES.into_iter().find(|(name, _)| *name == path) {
        return Some((name.into(), access));
    }
    let name = path.strip_prefix(STORE)?.strip_prefix('/')?;
    let mut parts = Path::new(name).components();
    let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    (is_plain && !name.ends_with('/')).then(|| (Path::new(STORE).join(name), Access::Private))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_leads_nowhere_else() {
        for good in ["identity", "repo.key", "config.toml", "store/000012.sst", "store/CURRENT"] {
            assert_eq!(place(good).unwrap().0, Path::new(good));
        }
        for bad in [
            "",
            "/etc/passwd",
            "store",
            "store/",
            "store/../identity",
            "store//x",
            "store/a/b",
            "../x",
            "lock",
            "version",
        ] {
            assert!(place(bad).is_none_or(|(path, _)| path == Path::new("store/x")), "{bad}");
        }
    }
}
