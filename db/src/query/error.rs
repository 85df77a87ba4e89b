//! Why a query has no answer.

use std::convert::Infallible;

use crate::query::filter::TooLarge;

/// Why a query has no answer. All but [`Documents`](Self::Documents) and [`Damaged`](Self::Damaged) are for whoever asked to act on.
#[derive(Debug, thiserror::Error)]
pub enum Error<E: std::error::Error + 'static> {
    /// The documents could not be read.
    #[error("read documents")]
    Documents(#[source] E),
    /// What is stored for a document is no document.
    #[error("the document {id:?} is damaged")]
    Damaged {
        /// Which.
        id: String,
        /// How.
        #[source]
        source: serde_ipld_dagcbor::DecodeError<Infallible>,
    },
    /// The query is beyond its bounds.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The query would hold too much in memory.
    #[error(
        "the query needs more than its query memory of {limit} bytes; ask for fewer documents (a filter, a limit, fewer fields), \
         sort by a path with an index, or raise the limit"
    )]
    Memory {
        /// Bytes that it may hold.
        limit: usize,
    },
    /// There is no index of the name that was asked for.
    #[error("there is no index {name:?}; {}", known_as(known))]
    NoIndex {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// An index was asked for to read an earlier state.
    #[error("the index {name:?} is one of the present: what was is read without indexes")]
    IndexOfThePast {
        /// What was asked for.
        name: String,
    },
    /// The index that was asked for is still being built.
    #[error("the index {name:?} is not built yet")]
    NotBuilt {
        /// Which.
        name: String,
    },
    /// The index that was asked for neither narrows the documents down nor has them in the order that was asked for.
    #[error(
        "the index {name:?} is of no use to this query, which neither needs a condition on {path} nor sorts by it first"
    )]
    Unserving {
        /// Which.
        name: String,
        /// Its path.
        path: String,
    },
    /// The document after which a sorted result should begin does not exist, so that its place is not known.
    #[error("the document {id:?} to begin after does not exist")]
    After {
        /// Which.
        id: String,
    },
}

fn known_as(indexes: &[String]) -> String {
    match indexes {
        [] => "the collection has none".into(),
        [index] => format!("there is {index:?}"),
        several => {
            format!("there are {}", several.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))
        }
    }
}
