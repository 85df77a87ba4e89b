//! Requests over HTTP/1.1, written by hand: what is tested has to stand what others would not send.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::PATIENCE;

/// An answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head, with names in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Sends bytes on a connection of its own, and reads until that is closed. `None` if no whole head comes back.
pub fn send(address: &str, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // Whoever refuses early closes.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8(answer).expect("text");
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    Some(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

/// One request without a body.
///
/// # Panics
///
/// If there is no answer.
pub fn ask(address: &str, method: &str, path: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    send(address, request.as_bytes()).unwrap_or_else(|| panic!("no answer to {method} {path}"))
}
