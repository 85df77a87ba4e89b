//! HTTP for operators: what the node counts, whether it is alive, whether it is ready.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | figures for Prometheus |
//! | `/health` | 200 while the process answers and the loops of the node turn, else 503: worth a restart |
//! | `/ready` | 200 when the node can do all that it is there for, else 503 with what it cannot |
//!
//! Nothing here is a secret, and nothing can be changed: no ids of threads, no names, no keys, no contents. So there is no token.

mod answer;
mod limits;
mod server;

pub use server::{Error, Server};
