//! How a command ends: exit codes, and failures that know theirs.

use std::io;

use tonic::{Code, Status};

use crate::model::ErrorKind;
use crate::{api, config, operate, repo, web};

/// Exit codes, documented in `spool --help` and in `docs/cli.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Anything without a code of its own.
    Failed = 1,
    /// Wrong arguments, input or configuration.
    Usage = 2,
    /// No such thread, log, record, body, repository, collection, document or tag.
    NotFound = 3,
    /// No daemon answers.
    Unreachable = 4,
    /// Verification found a fault, or stored data is damaged.
    Damaged = 5,
    /// This node may not, or it is there already.
    Refused = 6,
    /// Not now: the node is busy, or no peer that has it is online.
    Unavailable = 7,
    /// Somebody else has changed the document meanwhile, or it is in another version than was said.
    Changed = 8,
    /// Ctrl-C.
    Interrupted = 130,
}

/// What `spool --help` says about exit codes.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong arguments, input or configuration
  3    not found: thread, log, record, body, repository, collection, document, version, tag, index
  4    no daemon answers, or the connection to it broke
  5    verification found a fault, or stored data is damaged
  6    refused: no key or passphrase for it, not supported for this thread, or it is there already
  7    not now: busy, or no peer that has it is online; trying again can help
  8    changed meanwhile: the document is in another version; read it again
  130  interrupted (with `log --follow` and `db watch`: 0)";

/// Reasons whose exit code says more than that of their status.
const REASONS: [(&str, Exit); 13] = [
    ("stale", Exit::Changed),
    ("conflict", Exit::Changed),
    ("schema", Exit::Usage),
    ("duplicate", Exit::Usage),
    ("too-large", Exit::Usage),
    ("too-deep", Exit::Usage),
    ("within-no-map", Exit::Usage),
    ("no-number", Exit::Usage),
    ("sum-not-finite", Exit::Usage),
    ("no-set", Exit::Usage),
    ("damaged", Exit::Damaged),
    ("view-damaged", Exit::Damaged),
    ("index-not-built", Exit::Unavailable),
];

/// What to do about failures whose messages leave that to whoever shows them.
const HINTS: [(&str, &str); 1] = [("tag-not-found", "`spool db tag` lists them")];

/// Why a command failed, with its exit code and the stable name that `--json` shows.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) reason: String,
    pub(super) error: anyhow::Error,
}

impl Failure {
    pub(super) fn new(exit: Exit, reason: &str, message: impl Into<String>) -> Self {
        Self { exit, reason: reason.into(), error: anyhow::Error::msg(message.into()) }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// The same failure with what to do about it.
    pub(super) fn with_hint(self, hint: &str) -> Self {
        Self { error: anyhow::Error::msg(format!("{:#}; {hint}", self.error)), ..self }
    }

    /// Whether standard output was closed under us, as `head` does: nothing is wrong and nobody listens.
    pub(super) fn is_closed_pipe(&self) -> bool {
        let io = self.error.chain().find_map(|cause| cause.downcast_ref::<ClosedPipe>());
        io.is_some()
    }
}

/// Standard output was closed by its reader.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(super) struct ClosedPipe;

/// A failure to write results.
pub(super) fn output(error: io::Error) -> Failure {
    let closed = error.kind() == io::ErrorKind::BrokenPipe;
    let error =
        if closed { ClosedPipe.into() } else { anyhow::Error::new(error).context("cannot write to standard output") };
    Failure { exit: Exit::Failed, reason: "output".into(), error }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { exit: Exit::Failed, reason: "failed".into(), error }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let reason = status.metadata().get(api::REASON).and_then(|reason| reason.to_str().ok()).map(String::from);
        // Without our trailer it is the connection that says so, not the node. Under an answer that was cut off it has many codes, and a cause.
        let broken =
            reason.is_none() && (status.code() == Code::Unavailable || std::error::Error::source(&status).is_some());
        let named = REASONS.iter().find(|(name, _)| reason.as_deref() == Some(name)).map(|(_, exit)| *exit);
        let exit = match (status.code(), named) {
            _ if broken => Exit::Unreachable,
            (_, Some(exit)) => exit,
            (Code::InvalidArgument | Code::OutOfRange, None) => Exit::Usage,
            (Code::NotFound, None) => Exit::NotFound,
            (Code::DataLoss, None) => Exit::Damaged,
            (Code::Aborted, None) => Exit::Changed,
            (
                Code::FailedPrecondition
                | Code::AlreadyExists
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unimplemented,
                None,
            ) => Exit::Refused,
            (Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded, None) => Exit::Unavailable,
            (Code::Ok | Code::Cancelled | Code::Unknown | Code::Internal, None) => Exit::Failed,
        };
        let message = match exit {
            Exit::Unreachable => format!("the connection to the daemon broke: {}", status.message()),
            _ => status.message().to_owned(),
        };
        let reason =
            reason.unwrap_or_else(|| if exit == Exit::Unreachable { "unreachable-daemon" } else { "failed" }.into());
        let failure = Self { exit, reason, error: anyhow::Error::msg(message) };
        match HINTS.iter().find(|(name, _)| *name == failure.reason) {
            Some((_, hint)) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<repo::Error> for Failure {
    fn from(error: repo::Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Invalid => Exit::Usage,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Exists | ErrorKind::Refused => Exit::Refused,
            ErrorKind::Conflict => Exit::Changed,
            ErrorKind::Unavailable => Exit::Unavailable,
            ErrorKind::Damaged => Exit::Damaged,
            ErrorKind::Failed => Exit::Failed,
        };
        let reason = error.reason();
        Self { exit, reason: reason.into(), error: error.into() }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self { exit: Exit::Usage, reason: "configuration".into(), error: error.into() }
    }
}

impl From<api::Error> for Failure {
    fn from(error: api::Error) -> Self {
        Self { exit: Exit::Failed, reason: "api".into(), error: error.into() }
    }
}

impl From<web::Error> for Failure {
    fn from(error: web::Error) -> Self {
        Self { exit: Exit::Failed, reason: "web".into(), error: error.into() }
    }
}

impl From<operate::Error> for Failure {
    fn from(error: operate::Error) -> Self {
        Self { exit: Exit::Failed, reason: "http".into(), error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Error;

    #[test]
    fn every_kind_of_failure_has_its_exit_code() {
        let exit = |error: Error| Failure::from(Status::from(error)).exit;
        assert_eq!(exit(Error::Invalid("no".into())), Exit::Usage);
        assert_eq!(exit(Error::Busy("appends")), Exit::Unavailable);
        assert_eq!(exit(Error::Stopping), Exit::Unavailable);
        assert_eq!(exit(Error::Storage("full".into())), Exit::Failed);
        assert_eq!(Failure::from(Status::unavailable("broken")).exit, Exit::Unreachable);
    }

    #[test]
    fn what_somebody_else_has_changed_is_told_from_wrong_input() {
        let exit = |code, reason: &'static str| {
            let mut status = Status::new(code, "no");
            status.metadata_mut().insert(api::REASON, tonic::metadata::MetadataValue::from_static(reason));
            let failure = Failure::from(status);
            assert_eq!(failure.reason, reason);
            failure.exit
        };
        for code in [Code::FailedPrecondition, Code::Aborted, Code::InvalidArgument] {
            assert_eq!([exit(code, "stale"), exit(code, "conflict")], [Exit::Changed; 2]);
            assert_eq!([exit(code, "schema"), exit(code, "duplicate")], [Exit::Usage; 2]);
        }
        assert_eq!(exit(Code::Aborted, "something-new"), Exit::Changed);
        assert_eq!(exit(Code::AlreadyExists, "document-exists"), Exit::Refused);
    }

    /// A daemon that ends while an answer is under way may take the rest of it along, and its status with that: what HTTP/2 says then is `Internal`,
    /// `Unknown` or `Cancelled`.
    #[test]
    fn a_connection_that_breaks_under_an_answer_is_no_failure_of_the_command() {
        let cut = Status::from_error(Box::new(io::Error::new(io::ErrorKind::ConnectionReset, "reset by peer")));
        for code in [Code::Internal, Code::Unknown, Code::Cancelled] {
            let mut status = Status::new(code, "error reading a body from connection");
            assert_eq!(Failure::from(status.clone()).exit, Exit::Failed, "{code:?} from the daemon");
            status.set_source(std::sync::Arc::new(cut.clone()));
            let failure = Failure::from(status);
            assert_eq!((failure.exit, failure.reason.as_str()), (Exit::Unreachable, "unreachable-daemon"), "{code:?}");
            assert!(failure.error.to_string().starts_with("the connection to the daemon broke: "), "{failure:?}");
        }
        assert_eq!(Failure::from(cut).exit, Exit::Unreachable);
    }

    #[test]
    fn a_tag_that_is_not_there_is_said_with_how_to_find_those_that_are() {
        let error = spool_db::transaction::Error::NoTag("x".into());
        let failure = Failure::from(Status::from(Error::Database(error)));
        assert_eq!(failure.exit, Exit::NotFound);
        assert_eq!(failure.error.to_string(), "there is no tag \"x\"; `spool db tag` lists them");
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        assert!(output(io::ErrorKind::BrokenPipe.into()).is_closed_pipe());
        assert!(!output(io::ErrorKind::StorageFull.into()).is_closed_pipe());
    }
}
