//! Puts a backup back, as a new device.
//!
//! A backup is a moment of the past: the logs that the device wrote may have gone on since, and extending one a second time would be a fork. So
//! what is put back has a device id of its own, and opens new logs; the old ones it only reads.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use data_encoding::HEXLOWER;
use spool_proto::DeviceId;
use spool_proto::vault::{Key, Passphrase};
use zeroize::Zeroizing;

use super::backup::{FORMAT, LIST, List, Listed, Progress, STORE, digest, place, sync_directory};
use super::create::{line, make_dir, new_device, random, refuse_taken};
use super::files::{self, Access, Partial};
use super::open::{LAYOUT, LAYOUT_OPEN};
use super::secret::NODE_KEY;
use super::{Error, Repo};

/// Bytes of a list: RocksDB has a file for each 64 MiB, so this is for some terabytes.
const MAX_LIST_BYTES: u64 = 64 * 1024 * 1024;

/// How a backup is put back.
#[derive(Debug, Default)]
pub struct Restore<'a> {
    /// With a new peer id.
    pub new_peer: bool,
    /// That of the backup, if [it has one](Repo::is_protected_backup).
    pub passphrase: Option<&'a Passphrase>,
}

/// What came of a backup.
#[derive(Debug)]
pub struct Restored {
    /// The repository.
    pub repo: Repo,
    /// Its device id, which no installation had before.
    pub device: DeviceId,
    /// What was copied.
    pub copied: Progress,
    /// When the backup was made, in unix milliseconds.
    pub made_ms: u64,
}

impl Repo {
    /// Whether the keys in a backup are under a passphrase.
    ///
    /// # Errors
    /// If the backup cannot be read.
    pub fn is_protected_backup(from: &Path) -> Result<bool, Error> {
        Ok(Self::at(from.into()).key_file()?.is_some())
    }

    /// Makes a repository in `directory` of the backup in `from`, with a new device id. Every file is held against the list; `check` is given the directory of the
    /// database and its key, to open it. After a failure nothing is left.
    ///
    /// # Errors
    /// [`Error::NoBackup`], [`Error::Exists`], [`Error::Version`], [`Error::NeedsPassphrase`], [`Error::WrongPassphrase`]; [`Error::Damaged`] names the file that is not as it was; what `check` says.
    pub fn restore(
        from: &Path,
        directory: &Path,
        how: &Restore<'_>,
        check: impl FnOnce(&Path, Option<&Key>) -> Result<(), Error>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Restored, Error> {
        let list = read_list(from)?;
        let mut repo = Self::at(directory.into());
        refuse_taken(&repo)?;
        // Before everything is copied: a wrong passphrase should not take long.
        let mut backup = Self::at(from.into());
        if backup.key_file()?.is_some() {
            backup.unlock(how.passphrase.ok_or_else(|| Error::NeedsPassphrase(from.into()))?)?;
            repo.key = backup.key;
        }
        let was_there = directory.symlink_metadata().is_ok();
        let result = fill(&repo, from, &list, how.new_peer, check, on_progress);
        if result.is_err() {
            take_away(&repo, &list, was_there);
        }
        let (device, copied) = result?;
        Ok(Restored { repo, device, copied, made_ms: list.made_ms })
    }
}

fn fill(
    repo: &Repo,
    from: &Path,
    list: &List,
    new_peer: bool,
    check: impl FnOnce(&Path, Option<&Key>) -> Result<(), Error>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<(DeviceId, Progress), Error> {
    make_dir(repo.dir())?;
    make_dir(&repo.store_dir())?;
    let total = list.files.iter().map(|file| file.bytes).sum();
    let mut progress = Progress { total, ..Progress::default() };
    for file in &list.files {
        copy(from, repo.dir(), file, &mut progress, on_progress)?;
    }
    sync_directory(&repo.store_dir())?;
    // Whoever holds the files, opens them: a damage that was there when the backup was made shows now.
    repo.identity()?;
    repo.node_seed()?;
    check(&repo.store_dir(), repo.key()?)?;
    let device = new_device()?;
    files::write(&repo.path("device"), line(&device.to_string()).as_bytes(), Access::Shared)?;
    if new_peer {
        let key = Zeroizing::new(HEXLOWER.encode(&*Zeroizing::new(random::<32>()?)));
        repo.write_secret(NODE_KEY, &key)?;
    }
    // Last: it is what makes the directory a repository.
    repo.write_layout(if repo.key.is_some() { LAYOUT } else { LAYOUT_OPEN })?;
    Ok((device, progress))
}

fn read_list(from: &Path) -> Result<List, Error> {
    let path = from.join(LIST);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoBackup(from.into())),
        opened => opened.map_err(Error::io("read", &path))?,
    };
    let mut text = String::new();
    let read = file.take(MAX_LIST_BYTES + 1).read_to_string(&mut text);
    let damaged = |message: String| Error::Damaged { path: path.clone(), message };
    if read.map_err(Error::io("read", &path))? as u64 > MAX_LIST_BYTES {
        return Err(damaged(format!("it has more than {MAX_LIST_BYTES} bytes")));
    }
    // The version first: a later one may have other fields.
    #[derive(serde::Deserialize)]
    struct Versions {
        format: u32,
        layout: u32,
    }
    let Versions { format, layout } =
        serde_json::from_str(&text).map_err(|error| damaged(format!("it is not the list of a backup: {error}")))?;
    if format > FORMAT || layout > LAYOUT {
        return Err(Error::Version { path: from.into(), found: layout.max(format).to_string(), known: LAYOUT });
    }
    let list: List = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if let Some(strange) = list.files.iter().find(|file| place(&file.path).is_none()) {
        return Err(damaged(format!("it lists {:?}, which no backup has", strange.path)));
    }
    let needed = ["identity", "node.key", "store/CURRENT"];
    if let Some(missing) = needed.iter().find(|name| list.files.iter().all(|file| file.path != **name)) {
        return Err(damaged(format!("it does not list {missing}")));
    }
    Ok(list)
}

/// Copies a file, never links it: what is put back must not share anything with the backup.
fn copy(
    from: &Path,
    to: &Path,
    listed: &Listed,
    progress: &mut Progress,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let source = from.join(&listed.path);
    let damaged = |message: &str| Error::Damaged { path: source.clone(), message: message.into() };
    let Some((place, access)) = place(&listed.path) else { return Err(damaged("no backup has it")) };
    let target = to.join(place);
    let mut file = match File::open(&source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("it is missing")),
        opened => opened.map_err(Error::io("read", &source))?,
    };
    let mut partial = Partial::create(&target, access == Access::Private).map_err(Error::io("write", &target))?;
    // One byte more than it should have shows that it has grown, and no more is read of one without end.
    let mut limited = (&mut file).take(listed.bytes + 1);
    let before = progress.bytes;
    let sum = digest(&mut limited, Some(&mut partial), progress, on_progress).map_err(Error::io("copy", &source))?;
    if progress.bytes - before != listed.bytes {
        return Err(damaged("it has another size than when the backup was made"));
    }
    if sum != listed.sha256 {
        return Err(damaged("its SHA-256 is not the one of when the backup was made"));
    }
    partial.finish().map_err(Error::io("write", &target))?;
    progress.files += 1;
    Ok(())
}

/// Takes away what was made, and nothing else: the directory may have held other things.
fn take_away(repo: &Repo, list: &List, was_there: bool) {
    for (path, _) in list.files.iter().filter_map(|file| place(&file.path)) {
        let _ = fs::remove_file(repo.dir().join(path));
    }
    let _ = fs::remove_file(repo.path("version"));
    // What opening it has added.
    let _ = fs::remove_dir_all(repo.path(STORE));
    if !was_there {
        let _ = fs::remove_dir(repo.dir());
    }
}
