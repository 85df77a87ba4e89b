//! The Spool node: the daemon, its local gRPC interface, and the command line.
//!
//! This crate is the only place where the network, the store and the engine meet. [`node::Node`] is the handle to a running node;
//! [`api`] serves it on a local port, [`web`] to programs that cannot speak gRPC over HTTP/2, [`operate`] tells
//! operators how it does, and [`cli`] is the program that users see.

pub mod api;
pub mod bench;
mod calendar;
pub mod car;
pub mod cli;
pub mod config;
mod http1;
mod metrics;
pub mod model;
pub mod node;
pub mod operate;
mod process;
pub mod repo;
pub mod threads;
pub mod web;

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
