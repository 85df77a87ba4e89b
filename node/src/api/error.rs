//! Errors of the node as gRPC statuses.

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

use crate::model::{Error, ErrorKind};

/// The trailer with the stable name of an error, such as `thread-not-found`.
pub const REASON: &str = "spool-error";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = match (error.kind(), &error) {
            (ErrorKind::Invalid, _) => Code::InvalidArgument,
            (ErrorKind::NotFound, _) => Code::NotFound,
            (ErrorKind::Exists, _) => Code::AlreadyExists,
            (ErrorKind::Refused, _) => Code::FailedPrecondition,
            (ErrorKind::Conflict, _) => Code::Aborted,
            (ErrorKind::Unavailable, Error::Busy(_)) => Code::ResourceExhausted,
            (ErrorKind::Unavailable, _) => Code::Unavailable,
            (ErrorKind::Damaged, _) => Code::DataLoss,
            (ErrorKind::Failed, _) => Code::Internal,
        };
        if code == Code::Internal {
            tracing::error!(error = crate::chain(&error), "call failed");
        }
        let mut metadata = MetadataMap::new();
        metadata.insert(REASON, MetadataValue::from_static(error.reason()));
        Status::with_metadata(code, crate::chain(&error), metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_why_and_by_which_name() {
        let status = Status::from(Error::Storage("no space left on device".into()));
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().ends_with("reading goes on: no space left on device"), "{}", status.message());
        assert_eq!(status.metadata().get(REASON).unwrap(), "storage");
    }

    #[test]
    fn busy_is_told_apart_from_unreachable() {
        assert_eq!(Status::from(Error::Busy("appends")).code(), Code::ResourceExhausted);
        assert_eq!(Status::from(Error::Stopping).code(), Code::Unavailable);
    }
}
