use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::{OpenError, define};
use crate::{Change, Database, Path, Target, projector, query::Documents as _, transaction::Error};

const VALUE: &str = "value";

/// Values by key. Of two that are put at the same time the later one stays.
///
/// Keys are ids of documents: 1 to 128 bytes without control characters.
///
/// ```
/// # let database = spool_db::testing::alone();
/// use spool_db::stores::KeyValue;
///
/// let settings = KeyValue::open(&database, "settings")?;
/// settings.put("colour", &"green".into())?;
/// settings.put("size", &12.into())?;
/// settings.put("size", &14.into())?;
/// assert_eq!(settings.get("size")?, Some(14.into()));
///
/// assert!(settings.delete("colour")?);
/// let all: Vec<_> = settings.range("a", Some("z"))?;
/// assert_eq!(all, [("size".to_owned(), 14.into())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct KeyValue {
    database: Database,
    collection: String,
}

impl KeyValue {
    /// Takes up, or begins, the store in a collection.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(database: &Database, collection: &str) -> Result<Self, OpenError> {
        define(database, collection)?;
        Ok(Self { database: database.clone(), collection: collection.to_owned() })
    }

    fn target(&self, key: &str) -> Target {
        Target::new(self.collection.as_str(), key)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn put(&self, key: &str, value: &Value) -> Result<(), Error> {
        let target = self.target(key);
        self.database.commit(|write| {
            if !write.exists(&target)? {
                write.create(&target, Map::new())?;
            }
            // A map takes the place of another, and is not merged into it.
            write.update(&target, [Change::Replace(Path::new([VALUE]), value.clone())])
        })
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn get(&self, key: &str) -> Result<Option<Value>, Error> {
        let document = self.database.read(|read| read.get(&self.target(key)))?;
        Ok(document.and_then(|mut document| document.remove(VALUE)))
    }

    /// Removes a key; returns whether it was there.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn delete(&self, key: &str) -> Result<bool, Error> {
        let target = self.target(key);
        self.database.commit(|write| {
            let exists = write.exists(&target)?;
            if exists {
                write.delete(&target)?;
            }
            Ok(exists)
        })
    }

    /// All keys from one on and before another (no end where there is none), in the order of their bytes, with their values.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn range(&self, from: &str, until: Option<&str>) -> Result<Vec<(String, Value)>, Error> {
        let (mut found, mut damaged) = (Vec::new(), false);
        self.database.read(|read| {
            read.collection(&self.collection).scan(None, false, &mut |raw| {
                if until.is_some_and(|until| raw.id >= until) {
                    return ControlFlow::Break(());
                }
                if raw.id >= from {
                    match raw.decode() {
                        Ok(mut fields) => found.extend(fields.remove(VALUE).map(|value| (raw.id.to_owned(), value))),
                        Err(_) => damaged = true,
                    }
                }
                ControlFlow::Continue(())
            })
        })?;
        if damaged { Err(projector::Error::Damaged("a document").into()) } else { Ok(found) }
    }
}
