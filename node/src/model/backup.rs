//! Backups.

use crate::repo::Progress;

/// One step of a backup. The stream ends after [`BackupStep::Done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupStep {
    /// Where it stands, at most ten times a second.
    Progress(Progress),
    /// The end: it is on disk.
    Done(Progress),
}
