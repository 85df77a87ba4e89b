//! What clients are told when something does not work: with the codes and in the words of the reference implementation, which programs compare.

use spool_db::{
    collection::{self, COLLECTIONS},
    transaction::Error as Transaction,
};
use tonic::{Code, Status};

use super::limits::TEXT_CHARACTERS;
use crate::model::Error;

pub(super) const NAME: &str =
    "name may only contain alphanumeric characters or non-consecutive hyphens, and cannot begin or end with a hyphen";
pub(super) const NO_COLLECTION: &str = "collection not found";

/// Why a call, or one step of a transaction, does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) text: String,
}

impl Refused {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        let mut text = text.into();
        // It may repeat what the client has sent, which may be megabytes.
        if let Some((end, _)) = text.char_indices().nth(TEXT_CHARACTERS) {
            text.truncate(end);
            text.push('…');
        }
        Self { code, text }
    }

    /// Most errors of the reference have no other code.
    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self::new(Code::Unknown, text)
    }

    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, text)
    }

    pub(super) fn no_collection() -> Self {
        Self::new(Code::NotFound, NO_COLLECTION)
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        Status::new(refused.code, refused.text)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::ThreadNotFound(_) => return Self::new(Code::NotFound, "thread not found"),
            // A thread that is only followed here has no database.
            Error::NoReadKey(_) => return Self::new(Code::NotFound, "db not found"),
            Error::ThreadExists(_) => return Self::unknown("db already exists"),
            Error::Database(_) => match error {
                Error::Database(error) => return error.into(),
                error => return Self::unknown(crate::chain(&error)),
            },
            Error::Invalid(_) | Error::TooLarge { .. } | Error::VariantRefused(_) => Code::InvalidArgument,
            Error::Busy(_) => Code::ResourceExhausted,
            Error::Stopping => Code::Unavailable,
            Error::Storage(_) | Error::Internal { .. } | Error::Damaged(_) => {
                tracing::error!(error = crate::chain(&error), "call failed");
                Code::Internal
            }
            _ => Code::Unknown,
        };
        Self::new(code, crate::chain(&error))
    }
}

impl From<Transaction> for Refused {
    fn from(error: Transaction) -> Self {
        match &error {
            Transaction::NotFound(_) => Self::unknown("instance not found"),
            Transaction::Exists(target) if target.collection == COLLECTIONS => {
                Self::unknown("collection already registered")
            }
            Transaction::Exists(_) => Self::unknown("can't create already existing instance"),
            Transaction::NoCollection(_) => Self::no_collection(),
            Transaction::Schema { violations, .. } => {
                let parts = violations.iter().map(|violation| match violation.path.as_str() {
                    "" => format!("(root): {}", violation.message),
                    path => format!("{path}: {}", violation.message),
                });
                let parts = parts.collect::<Vec<_>>().join("; ");
                Self::unknown(format!("instance doesn't correspond to schema: {parts}"))
            }
            Transaction::Denied(denial) => Self::unknown(denial.to_string()),
            Transaction::Filter { source, .. } => Self::unknown(format!("running read filter func: {source}")),
            Transaction::Duplicate { .. } => Self::unknown("unique constraint violation"),
            Transaction::Definition(collection::Error::Name(_)) => Self::unknown(NAME),
            Transaction::Append(_) | Transaction::View(_) => {
                tracing::error!(error = crate::chain(&error), "call failed");
                Self::new(Code::Internal, crate::chain(&error))
            }
            _ => Self::unknown(crate::chain(&error)),
        }
    }
}

impl From<collection::Error> for Refused {
    fn from(error: collection::Error) -> Self {
        Transaction::from(error).into()
    }
}
