//! What a node is asked and what it answers, in plain types.
//!
//! The vocabulary of [`Node`](crate::node::Node), shared by every interface to it (the gRPC service today) and by programs that
//! embed a node. Nothing in here knows about a transport, and nothing in here holds a key or prints a body in `Debug`.

mod append;
mod archive;
mod backup;
mod database;
mod error;
mod follow;
mod home;
mod log;
mod object;
mod peer;
mod standing;
mod stat;
mod sync;
mod thread;
mod verify;

pub use append::{AppendOptions, Audience, Durability, Receipt};
pub use archive::{ImportProgress, ImportReport, ImportStep};
pub use backup::BackupStep;
pub use database::{
    CollectionInfo, Committed, Cursor, DatabaseState, DefinitionChange, DocumentChange, DocumentInfo, DocumentWrite,
    Folded, NoCursor, Point, Restored, Reverted, WatchItem, WatchQuery, WatchStep,
};
pub use error::{BoxError, Error, ErrorKind};
pub use follow::{FollowedThread, FollowerInfo};
pub use home::{HomeDevice, HomeInfo, HomeThread, RecoverEvent, RecoverOptions, Recovered};
pub use log::{Author, Body, Control, Entry, Event, EventKind, LogItem, LogQuery, Time};
pub use object::{Content, Object};
pub use peer::{Addresses, Direction, PeerInfo};
pub use standing::{Durable, LogStanding, PeerStanding, ThreadStanding};
pub use stat::{NodeInfo, Stat};
pub use sync::{SyncEvent, SyncOptions, SyncOutcome, SyncProgress, SyncSummary};
pub use thread::{EpochInfo, ForkInfo, LogInfo, Shared, ThreadDetail, ThreadInfo};
pub use verify::{Fault, FaultKind, VerifyEvent, VerifyOptions, VerifyProgress, VerifyReport};
