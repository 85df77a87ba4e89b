//! Simple stores: thin types over collections, for programs that need no more. All of them merge like everything else does.

mod counter;
mod feed;
mod key_value;
mod set;

pub use counter::Counter;
pub use feed::Feed;
pub use key_value::KeyValue;
pub use set::Set;

use crate::{
    Database,
    collection::{self, Builder},
    transaction::Error,
};

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its name is none of a collection.
    #[error(transparent)]
    Name(#[from] collection::Error),
    /// Its collection cannot be defined.
    #[error(transparent)]
    Define(#[from] Error),
}

/// Defines a collection without a schema, unless it is there.
fn define(database: &Database, name: &str) -> Result<(), OpenError> {
    let definition = Builder::new(name)?.build();
    Ok(database.commit(|write| match write.definition(name)? {
        Some(_) => Ok(()),
        None => write.define(&definition),
    })?)
}
