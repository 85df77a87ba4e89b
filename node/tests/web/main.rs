//! The services over grpc-web and its websockets, from a real daemon.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod calls;
mod client;
mod http;
mod native;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;
