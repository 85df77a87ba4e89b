//! The sync engine: a pure state machine that decides what to store, to send, to ask for and to believe.
//!
//! Drive it with [`Engine::handle`], one [`Input`] at a time, and carry out the [`Effect`]s in the order in which they come;
//! feed [`Input::Tick`] when [`Engine::next_deadline`] has passed. It does no input or output and reads no clock: what it has
//! to know from disk it asks for, what has to be computed slowly (signatures) goes out as [`Effect::Verify`] and comes back as
//! [`Input::Verified`]. Nothing is told to any peer before [`Input::Committed`] has said that it is on disk.
//!
//! Where to look: [`engine`](Engine) dispatches; `append` writes own records; `accept` is the one road for foreign ones; `fork` keeps evidence;
//! `session` and `edges` find out what differs; `pull`, `push`, `announce` and `blocks` move data; `serve` answers; `follow` limits what is
//! taken for others.

mod accept;
mod announce;
mod append;
mod blocks;
mod commit;
mod edges;
mod effect;
mod engine;
mod follow;
mod fork;
mod hot;
mod ingest;
mod input;
mod lifecycle;
pub mod limits;
mod log;
mod pace;
mod patience;
mod pull;
mod push;
mod serve;
mod session;
#[cfg(any(test, feature = "test-utils"))]
pub mod sim;
mod state;
mod status;
mod timers;
mod verify;

pub use effect::{
    AppendError, BatchId, Durability, Effect, GossipId, InboundId, Lookup, Misbehaviour, Outcome, Receipt, RequestId,
    Serve, Verdict, Write,
};
pub use engine::{Config, Engine};
pub use follow::Following;
pub use input::{Append, Failure, Found, Input, Now};
pub use log::Writer;
pub use state::{Fork, Head, LogState, ThreadState};
pub use status::{LogStatus, Missing, PeerStatus, ThreadStatus, Trouble};
pub use verify::{Job, Ticket, Verified};
