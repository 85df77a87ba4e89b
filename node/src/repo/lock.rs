//! Using a repository, one process at a time.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;

use fs4::TryLockError;
use spool_proto::DeviceId;

use super::create::new_device;
use super::files::{self, Access};
use super::{Error, Repo};

/// A repository that no other process uses until this is dropped, or the process is gone.
#[derive(Debug)]
pub struct Locked {
    pub(super) repo: Repo,
    _lock: File,
}

impl Repo {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it.
    pub fn lock(self) -> Result<Locked, Error> {
        let path = self.path("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(Error::io("open", &path))?;
        match fs4::FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = file.take(16).read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(Error::InUse { path: self.dir().into(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::io("write", &path))?;
        Ok(Locked { repo: self, _lock: file })
    }
}

impl Locked {
    /// Replaces the device id by a fresh one, on disk when this returns.
    ///
    /// # Errors
    /// If it could not be written; the old one then holds.
    pub fn renew_device(&self) -> Result<DeviceId, Error> {
        let device = new_device()?;
        files::write(&self.repo.path("device"), format!("{device}\n").as_bytes(), Access::Shared)?;
        Ok(device)
    }

    /// Tells the commands where the API is, until the result is dropped.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn publish_api(&self, address: SocketAddr) -> Result<AddressFile, Error> {
        self.publish("api", address)
    }

    /// Tells where metrics and health are served, until the result is dropped.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn publish_http(&self, address: SocketAddr) -> Result<AddressFile, Error> {
        self.publish("http", address)
    }

    fn publish(&self, name: &str, address: SocketAddr) -> Result<AddressFile, Error> {
        let path = self.repo.path(name);
        files::write(&path, format!("{address}\n").as_bytes(), Access::Shared)?;
        Ok(AddressFile { path })
    }
}

impl Deref for Locked {
    type Target = Repo;

    fn deref(&self) -> &Repo {
        &self.repo
    }
}

/// A file that says where something listens.
#[derive(Debug)]
pub struct AddressFile {
    path: PathBuf,
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // A file that stays behind misleads nobody for long: the commands say that nothing answers there.
        let _ = std::fs::remove_file(&self.path);
    }
}
