use serde_json::{Map, Value};

use super::{OpenError, define};
use crate::{Database, Path, Target, transaction::Error};

const COUNT: &str = "count";

/// A number that everybody adds to.
///
/// ```
/// # let database = spool_db::testing::alone();
/// use spool_db::stores::Counter;
///
/// let visits = Counter::open(&database, "counters", "visits")?;
/// visits.add(2)?;
/// visits.add(-1)?;
/// assert_eq!(visits.value()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Counter {
    database: Database,
    target: Target,
}

impl Counter {
    /// Takes up, or begins, a counter in a collection.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(database: &Database, collection: &str, name: &str) -> Result<Self, OpenError> {
        define(database, collection)?;
        Ok(Self { database: database.clone(), target: Target::new(collection, name) })
    }

    /// Adds to it.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn add(&self, by: i64) -> Result<(), Error> {
        self.database.commit(|write| {
            if !write.exists(&self.target)? {
                write.create(&self.target, Map::new())?;
            }
            write.increment(&self.target, Path::new([COUNT]), by.into())
        })
    }

    /// What all have added so far.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn value(&self) -> Result<i64, Error> {
        let document = self.database.read(|read| read.get(&self.target))?;
        Ok(document.and_then(|document| document.get(COUNT).and_then(Value::as_i64)).unwrap_or(0))
    }
}
