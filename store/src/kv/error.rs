/// What the system below reported.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the key-value store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read failed.
    #[error("read from the store")]
    Read(#[source] Cause),
    /// A write failed; nothing of the batch was applied.
    #[error("write to the store")]
    Write(#[source] Cause),
    /// The disk has no room; nothing of the batch was applied. Reads go on, and so do writes once there is room.
    #[error("the disk is full: free some space, writing then resumes by itself")]
    Full(#[source] Cause),
    /// The disk did not confirm a sync: what is on it is unknown, and asking again proves nothing, because the system may have
    /// dropped the pages that it could not write.
    #[error("the disk did not confirm a sync, what it holds is unknown: check the disk, then restart")]
    Sync(#[source] Cause),
    /// Refused, because a sync had failed before.
    #[error("writes are refused since a sync failed: check the disk, then restart")]
    Poisoned,
    /// The store's files are damaged.
    #[error("the store is damaged: restore it from a backup, or start afresh and follow the threads again")]
    Corrupt(#[source] Cause),
}

impl Error {
    /// Whether only the operator can help: no retry will.
    pub fn is_fatal(&self) -> bool {
        match self {
            Error::Sync(_) | Error::Poisoned | Error::Corrupt(_) => true,
            Error::Read(_) | Error::Write(_) | Error::Full(_) => false,
        }
    }

    /// Whether the disk has no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Full(_))
    }
}
