//! Bounds of these interfaces.

use std::time::Duration;

/// How long a client may take to sign its challenge, as with the reference.
pub(super) const CHALLENGE: Duration = Duration::from_secs(60);

/// How long a login holds: a client of the reference keeps its token for ever, so as good as for ever.
pub(super) const LOGIN_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;

/// Logins that are remembered as checked, about 400 bytes each.
pub(super) const KNOWN_LOGINS: usize = 4_096;

/// Bytes of a token; those that are issued have about 500.
pub(super) const TOKEN_BYTES: usize = 4_096;

/// Characters of an identity's text.
pub(super) const IDENTITY_CHARACTERS: usize = 512;

/// How long a database that is added from an address waits for the first heads of its peers.
pub(super) const FIRST_HEADS: Duration = Duration::from_secs(5);

/// How often peers that did not answer are asked again while collections are provisional.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A transaction that does nothing for so long makes way, if another one waits for it.
pub(super) const IDLE: Duration = Duration::from_secs(30);

/// Replies of a transaction that wait for the client: it waits for each before it asks again.
pub(super) const REPLIES: usize = 4;

/// Bytes of what a transaction is to write, as the client sent it: more than one event can hold.
pub(super) const DRAFT_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of the instances in one answer: there are no pages, and the published client takes no more than 100 MiB.
pub(super) const FOUND_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of an answer: its instances, and their frames.
pub(crate) const ANSWER_BYTES: usize = 72 * 1024 * 1024;

/// Characters of what a client is told when something does not work: people read it, and over HTTP/2 it has to fit the head of an answer.
pub(super) const TEXT_CHARACTERS: usize = 1_000;

/// Collections that a request may define at once.
pub(super) const COLLECTIONS: usize = 1_000;

/// Levels of queries within queries.
pub(super) const QUERY_DEPTH: usize = 32;

/// Filters of one listener.
pub(super) const FILTERS: usize = 1_000;
