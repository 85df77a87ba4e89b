use serde_json::{Map, Value};

use super::{OpenError, define};
use crate::{Database, Path, Target, transaction::Error};

const ELEMENTS: &str = "elements";

/// Values, each once. What is added while somebody else removes it stays: the removal had not seen that.
///
/// ```
/// # let database = spool_db::testing::alone();
/// use spool_db::stores::Set;
///
/// let tags = Set::open(&database, "sets", "tags")?;
/// tags.add(&"red".into())?;
/// tags.add(&"green".into())?;
/// tags.add(&"red".into())?;
/// tags.remove(&"green".into())?;
/// assert_eq!(tags.elements()?, ["red"]);
/// assert!(tags.contains(&"red".into())?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Set {
    database: Database,
    target: Target,
}

impl Set {
    /// Takes up, or begins, a set in a collection.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(database: &Database, collection: &str, name: &str) -> Result<Self, OpenError> {
        define(database, collection)?;
        Ok(Self { database: database.clone(), target: Target::new(collection, name) })
    }

    /// Adds an element.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn add(&self, element: &Value) -> Result<(), Error> {
        self.database.commit(|write| {
            if !write.exists(&self.target)? {
                write.create(&self.target, Map::new())?;
            }
            write.add(&self.target, Path::new([ELEMENTS]), element.clone())
        })
    }

    /// Removes an element, if it is there.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn remove(&self, element: &Value) -> Result<(), Error> {
        self.database.commit(|write| match write.exists(&self.target)? {
            true => write.remove(&self.target, Path::new([ELEMENTS]), element.clone()),
            false => Ok(()),
        })
    }

    /// All elements, in an order that is the same everywhere.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn elements(&self) -> Result<Vec<Value>, Error> {
        let document = self.database.read(|read| read.get(&self.target))?;
        Ok(match document.and_then(|mut document| document.remove(ELEMENTS)) {
            Some(Value::Array(elements)) => elements,
            Some(_) | None => Vec::new(),
        })
    }

    /// Whether an element is there.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn contains(&self, element: &Value) -> Result<bool, Error> {
        Ok(self.elements()?.contains(element))
    }
}
