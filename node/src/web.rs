//! The services for programs that cannot speak gRPC over HTTP/2: browsers, and what is written for them.
//!
//! [`Server`] listens for HTTP/1.1. Two things reach the services:
//!
//! - `POST` with grpc-web, one call each; `cors` lets pages of other origins in, as far as `origin` permits.
//! - A websocket with the subprotocol `grpc-websockets`, one call each, in which both sides can stream. The published clients of Textile
//!   Threads use nothing else. `handshake` opens it, `bridge` has the conversation:
//!
//! ```text
//!  client ── metadata block, 0x00 ‖ frames, 0x01 ──▶ receive ─▶ request body ─▶ ┐
//!                                                                               │ tonic's `Routes`
//!  client ◀── 0x80 headers, messages, 0x80 trailers, close ── answer ◀─ response ┘
//! ```
//!
//! Whatever else comes gets an empty 200, as from the reference implementation.

mod answer;
mod block;
mod body;
mod bridge;
mod cors;
mod front;
mod handshake;
mod limits;
mod metadata;
mod origin;
mod receive;
mod server;
#[cfg(test)]
mod tests;

pub use origin::Origins;
pub use server::{Error, Server};
