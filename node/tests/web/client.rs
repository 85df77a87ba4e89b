//! A client of `grpc-websockets` that is as strict as the published one, and names what that one only fails on.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::support::Daemon;

/// Far more than any answer takes, and less than a client's own timer for a connection that is closed and does not end (30 s).
const LONG: Duration = Duration::from_secs(20);

pub(crate) type Block = BTreeMap<String, String>;

/// Where the daemon listens for browsers.
pub(crate) fn address(daemon: &Daemon) -> &str {
    daemon.greeting["web"].as_str().unwrap()
}

/// One call.
pub(crate) struct Call {
    socket: WebSocketStream<TcpStream>,
    /// Blocks of headers or trailers so far.
    blocks: Vec<Block>,
    /// Messages that came and were not taken.
    messages: Vec<Bytes>,
}

/// What came of it.
pub(crate) struct Answer {
    /// All messages that were not taken before.
    pub(crate) messages: Vec<Bytes>,
    /// Headers, if there are two blocks, and trailers.
    pub(crate) blocks: Vec<Block>,
}

impl Answer {
    pub(crate) fn status(&self) -> (&str, String) {
        let trailers = self.blocks.last().expect("a status");
        let message = trailers.get("grpc-message").map(String::as_str).unwrap_or_default();
        (&trailers["grpc-status"], decoded(message))
    }

    /// The only message of a call that went well.
    pub(crate) fn only<M: prost::Message + Default>(self) -> M {
        assert_eq!(self.status(), ("0", String::new()));
        assert_eq!((self.blocks.len(), self.messages.len()), (2, 1));
        M::decode(self.messages[0].clone()).unwrap()
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                bytes.push(u8::from_str_radix(&format!("{}{}", *high as char, *low as char), 16).unwrap());
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).unwrap()
}

impl Call {
    /// Connects and sends what the client sends first.
    pub(crate) async fn open(daemon: &Daemon, path: &str) -> Self {
        let mut call = Self::connect(address(daemon), path, &[]).await.unwrap();
        let metadata = "host: http://127.0.0.1:6007\r\nx-textile-thread-name: mydb\r\nx-textile-thread: bafkdeleted\r\n\
            content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n";
        // The interfaces of Textile Threads read another token there.
        let token = match path.starts_with("/spool.v1.") {
            true => format!("authorization: bearer {}\r\n", daemon.token()),
            false => String::new(),
        };
        call.send(format!("{metadata}{token}").as_bytes()).await;
        call
    }

    pub(crate) async fn connect(address: &str, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in [("sec-websocket-protocol", "grpc-websockets")].iter().chain(headers) {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let offered = "permessage-deflate; client_max_window_bits";
        request.headers_mut().insert("sec-websocket-extensions", offered.parse().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "grpc-websockets");
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
        Ok(Self { socket, blocks: Vec::new(), messages: Vec::new() })
    }

    /// A binary message as it is.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).await.unwrap();
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// A request.
    pub(crate) async fn request(&mut self, message: &impl prost::Message) {
        self.send(&frame(message)).await;
    }

    /// No more requests.
    pub(crate) async fn end(&mut self) {
        self.send(&[1]).await;
    }

    /// One request and the whole answer.
    pub(crate) async fn unary(daemon: &Daemon, path: &str, message: &impl prost::Message) -> Answer {
        let mut call = Self::open(daemon, path).await;
        call.request(message).await;
        call.end().await;
        call.answer().await
    }

    /// The next message of the answer.
    pub(crate) async fn message<M: prost::Message + Default>(&mut self) -> M {
        while self.messages.is_empty() {
            let received = tokio::time::timeout(LONG, self.socket.next()).await.expect("a message in time");
            self.take(received.expect("no end").unwrap());
        }
        M::decode(self.messages.remove(0)).unwrap()
    }

    /// What comes until the connection ends, which has to be right after both have said goodbye.
    pub(crate) async fn answer(mut self) -> Answer {
        let mut code = None;
        let end = async {
            while let Some(message) = self.socket.next().await {
                match message.unwrap() {
                    Message::Close(frame) => code = frame.map(|frame| frame.code),
                    other => self.take(other),
                }
            }
            assert_eq!(self.socket.get_mut().read(&mut [0]).await.unwrap_or(0), 0);
        };
        tokio::time::timeout(LONG, end).await.expect("the connection ends");
        assert_eq!(code, Some(CloseCode::Normal));
        Answer { messages: self.messages, blocks: self.blocks }
    }

    /// Leaves without waiting for the end.
    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.unwrap();
    }

    /// As the published client reads: a block of headers or trailers ends its websocket message.
    fn take(&mut self, message: Message) {
        let mut rest = match message {
            Message::Binary(bytes) => bytes,
            Message::Ping(_) | Message::Pong(_) => return,
            other => panic!("{other:?} is not for this client"),
        };
        while !rest.is_empty() {
            let flag = rest[0];
            let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
            let content = rest.slice(5..5 + length);
            rest = rest.slice(5 + length..);
            match flag {
                0 => self.messages.push(content),
                0x80 => {
                    assert!(rest.is_empty(), "what is behind a block is never read");
                    let text = std::str::from_utf8(&content).unwrap();
                    assert!(text.is_ascii() && !text.is_empty());
                    let entry = |line: &str| {
                        let (name, value) = line.split_once(": ").unwrap();
                        (name.to_owned(), value.to_owned())
                    };
                    self.blocks.push(text.lines().map(entry).collect());
                }
                other => panic!("flag {other:#x}"),
            }
        }
    }
}

/// A message in its frame, behind the byte that says so.
pub(crate) fn frame(message: &impl prost::Message) -> Vec<u8> {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap().to_be_bytes();
    [&[0, 0], &length[..], &encoded].concat()
}
