use serde_json::{Map, Value};

use super::{OpenError, define};
use crate::{
    Database, Target,
    query::{MODIFIED, Options, Query, Sort},
    transaction::Error,
};

const VALUE: &str = "value";

/// Entries in the order of their times, by everybody. Nothing is ever changed or removed.
///
/// ```
/// # let database = spool_db::testing::alone();
/// use spool_db::stores::Feed;
///
/// let messages = Feed::open(&database, "messages")?;
/// let (_, end) = messages.after(0, 100)?;
/// messages.append("first".into())?;
/// messages.append("second".into())?;
/// assert_eq!(messages.last(1)?, ["second"]);
///
/// // A live tail: ask again from where the last answer ended.
/// let (new, end) = messages.after(end, 100)?;
/// assert_eq!(new, ["first", "second"]);
/// assert!(messages.after(end, 100)?.0.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Feed {
    database: Database,
    collection: String,
}

impl Feed {
    /// Takes up, or begins, the feed in a collection.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(database: &Database, collection: &str) -> Result<Self, OpenError> {
        define(database, collection)?;
        Ok(Self { database: database.clone(), collection: collection.to_owned() })
    }

    /// Appends an entry; returns its id.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn append(&self, value: Value) -> Result<String, Error> {
        let id = self.database.new_id();
        let fields = Map::from_iter([(VALUE.to_owned(), value)]);
        let target = Target::new(self.collection.as_str(), id.as_str());
        self.database.commit(|write| write.create(&target, fields.clone()))?;
        Ok(id)
    }

    /// The last entries, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn last(&self, count: usize) -> Result<Vec<Value>, Error> {
        let newest = Sort { path: crate::Path::new([MODIFIED]), descending: true };
        let query = Query { sort: vec![newest], limit: Some(count), ..Query::default() };
        let found = self.database.read(|read| read.find(&self.collection, query, Options::default()))?;
        let values = found.into_iter().rev().filter_map(|mut entry| entry.fields.remove(VALUE));
        Ok(values.collect())
    }

    /// The entries that have come to this node after a position, in the order of their coming, and the position to ask from next. Zero is the beginning.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn after(&self, position: u64, count: usize) -> Result<(Vec<Value>, u64), Error> {
        let changes = self.database.changes(position, count)?;
        let items = changes.items.into_iter().filter(|change| change.target.collection == self.collection);
        let values = items.filter_map(|change| change.fields.and_then(|mut fields| fields.remove(VALUE)));
        Ok((values.collect(), changes.position))
    }
}
