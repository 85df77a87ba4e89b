//! Puts the keys of a repository under a passphrase, under another one, or back into the open.
//!
//! ```text
//! set      version ─▶ repo.key, "sealing"   ─▶ database ─▶ identity, node.key ─▶ repo.key, "sealed"
//! change   repo.key
//! remove   repo.key, "unsealing" ─▶ database ─▶ node.key, identity ─▶ repo.key is removed ─▶ version
//! ```
//!
//! Each arrow is durable before the next begins, and each step can be done twice. So whatever interrupts it leaves a repository that opens, with the passphrase
//! from where repo.key is there until it is gone; and whoever opens it next to write goes on.

use spool_proto::vault::{Key, Parameters, Passphrase, State};
use spool_store::protect::{Target, reseal};

use super::open::{LAYOUT, LAYOUT_OPEN};
use super::secret::{IDENTITY, KEY_FILE, NODE_KEY, new_key};
use super::{Error, Locked, files};

/// Hears of the work: before each step, which does not happen if this fails, as with a power cut; and how many values of the database are done.
struct Watch<'a> {
    before: &'a mut dyn FnMut() -> Result<(), Error>,
    on_progress: &'a mut dyn FnMut(u64),
}

impl Locked {
    /// Gets at the keys with the passphrase, as [`Repo::unlock`](super::Repo::unlock).
    ///
    /// # Errors
    /// The same.
    pub fn unlock(&mut self, passphrase: &Passphrase) -> Result<(), Error> {
        self.repo.unlock(passphrase)
    }

    /// Puts the keys under a passphrase. `on_progress` is told how many values of the database are done.
    ///
    /// # Errors
    /// [`Error::Protected`]; what could not be written, and then [`Locked::settle`] goes on.
    pub fn protect(&mut self, passphrase: &Passphrase, on_progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        let mut watch = Watch { before: &mut || Ok(()), on_progress };
        self.protect_watched(passphrase, Parameters::RECOMMENDED, &mut watch)
    }

    /// Puts the keys under another passphrase. They stay the same: whoever has a copy of the file `repo.key` from before gets at them with the passphrase from before.
    ///
    /// # Errors
    /// [`Error::NotProtected`], and [`Error::NeedsPassphrase`] if this is not unlocked.
    pub fn change_passphrase(&mut self, new: &Passphrase) -> Result<(), Error> {
        self.change_watched(new, Parameters::RECOMMENDED)
    }

    /// Takes the keys out from under the passphrase.
    ///
    /// # Errors
    /// [`Error::NotProtected`], and [`Error::NeedsPassphrase`] if this is not unlocked; what could not be written, and then [`Locked::settle`] goes on.
    pub fn unprotect(&mut self, on_progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        self.unprotect_watched(&mut Watch { before: &mut || Ok(()), on_progress })
    }

    /// Finishes what was interrupted, if anything was.
    ///
    /// # Errors
    /// [`Error::NeedsPassphrase`] if this is not unlocked; what could not be written.
    pub fn settle(&mut self, on_progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        self.settle_watched(&mut Watch { before: &mut || Ok(()), on_progress })
    }

    fn protect_watched(
        &mut self,
        passphrase: &Passphrase,
        parameters: Parameters,
        watch: &mut Watch<'_>,
    ) -> Result<(), Error> {
        match self.key_file()?.map(|file| file.state()) {
            None => {}
            Some(State::Sealed) => return Err(Error::Protected(self.dir().into())),
            Some(State::Sealing | State::Unsealing) => return Err(Error::Unfinished(self.dir().into())),
        }
        // What takes its time comes before the first change.
        let key = new_key()?;
        let file = self.sealed_key(&key, passphrase, parameters, State::Sealing)?;
        (watch.before)()?;
        self.write_layout(LAYOUT)?;
        (watch.before)()?;
        self.write_key_file(&file)?;
        self.repo.key = Some(key);
        self.seal(watch)
    }

    fn change_watched(&mut self, new: &Passphrase, parameters: Parameters) -> Result<(), Error> {
        let key = self.key_in_use()?;
        let file = self.key_file()?.ok_or_else(|| Error::NotProtected(self.dir().into()))?;
        self.write_key_file(&self.sealed_key(&key, new, parameters, file.state())?)
    }

    fn unprotect_watched(&mut self, watch: &mut Watch<'_>) -> Result<(), Error> {
        self.key_in_use()?;
        (watch.before)()?;
        self.write_state(State::Unsealing)?;
        self.unseal(watch)
    }

    fn settle_watched(&mut self, watch: &mut Watch<'_>) -> Result<(), Error> {
        match self.key_file()?.map(|file| file.state()) {
            None | Some(State::Sealed) => Ok(()),
            Some(State::Sealing) => self.seal(watch),
            Some(State::Unsealing) => self.unseal(watch),
        }
    }

    fn seal(&mut self, watch: &mut Watch<'_>) -> Result<(), Error> {
        let key = self.key_in_use()?;
        (watch.before)()?;
        self.reseal(Target::Sealed, &key, watch.on_progress)?;
        for name in [IDENTITY, NODE_KEY] {
            (watch.before)()?;
            self.write_secret(name, &self.secret(name)?)?;
            files::remove_unfinished(&self.path(name))?;
        }
        (watch.before)()?;
        self.write_state(State::Sealed)
    }

    fn unseal(&mut self, watch: &mut Watch<'_>) -> Result<(), Error> {
        let key = self.key_in_use()?;
        (watch.before)()?;
        self.reseal(Target::Plain, &key, watch.on_progress)?;
        for name in [NODE_KEY, IDENTITY] {
            (watch.before)()?;
            let text = self.secret(name)?;
            self.repo.key = None;
            let written = self.write_secret(name, &text);
            self.repo.key = Some(key.clone());
            written?;
        }
        (watch.before)()?;
        files::remove(&self.path(KEY_FILE))?;
        self.repo.key = None;
        (watch.before)()?;
        self.write_layout(LAYOUT_OPEN)
    }

    fn reseal(&self, target: Target, key: &Key, on_progress: &mut dyn FnMut(u64)) -> Result<(), Error> {
        // Where there is none, whoever makes it makes it as it is to be.
        match self.store_dir().symlink_metadata() {
            Ok(_) => reseal(&self.store_dir(), key, target, on_progress).map_err(Error::Reseal),
            Err(_) => Ok(()),
        }
    }

    fn write_state(&self, state: State) -> Result<(), Error> {
        let key = self.key_in_use()?;
        let file = self.key_file()?.ok_or_else(|| Error::NotProtected(self.dir().into()))?;
        self.write_key_file(&file.in_state(state, &key))
    }

    fn key_in_use(&self) -> Result<Key, Error> {
        self.key()?.cloned().ok_or_else(|| Error::NotProtected(self.dir().into()))
    }
}

#[cfg(test)]
mod tests;
