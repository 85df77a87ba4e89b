//! A database in the hands of a test: what is committed is folded at once, what others write when the test says so.

use serde_json::{Map, Value};

use super::{Local, NOW, Rooms};
use crate::{
    Database, Limits, Target,
    transaction::{Error, Write},
};

/// One writer with its database.
pub struct Peer {
    /// What it has made of all that it has.
    pub database: Database,
    /// Its log.
    pub local: Local,
}

impl Rooms {
    /// A writer with a room and a log of its own.
    pub fn peer(&self, room: u8) -> Peer {
        self.peer_within(room, Limits::default())
    }

    /// The same, with limits.
    pub fn peer_within(&self, room: u8, limits: Limits) -> Peer {
        let (database, local) = self.database_within(room, limits);
        Peer { database, local }
    }
}

impl Peer {
    /// Folds all that is there.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn settle(&self) {
        while self.database.step(NOW, true).expect("the batch is folded").more {}
    }

    /// Takes in all that was ever written.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn catch_up(&self) {
        let logs: Vec<_> = self.local.delivered.world.lock().expect("no panic while locked").logs().collect();
        logs.into_iter().for_each(|(log, until)| self.local.delivered.deliver(log, until));
        self.settle();
    }

    /// Commits, and lets the effect be read.
    ///
    /// # Errors
    ///
    /// As [`Database::write`].
    pub fn commit<T>(&self, write: impl FnOnce(&mut Write<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let result = self.database.write(None, write, Box::new(|_| {}))?;
        self.push();
        Ok(result)
    }

    /// Appends what is queued, and folds it.
    pub fn push(&self) {
        self.local.append_queued();
        self.settle();
    }

    /// A document as it shows.
    ///
    /// # Panics
    ///
    /// If the view cannot be read.
    pub fn get(&self, target: &Target) -> Option<Map<String, Value>> {
        self.database.read(|read| read.get(target)).expect("the view can be read")
    }

    /// Its fields without `_id` and `_mod`; null if it does not exist.
    ///
    /// # Panics
    ///
    /// If the view cannot be read.
    pub fn fields(&self, target: &Target) -> Value {
        let document = self.database.read(|read| read.document(target)).expect("the view can be read");
        if document.is_alive() { Value::Object(document.fields) } else { Value::Null }
    }
}
