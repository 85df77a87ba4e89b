//! Plain grpc-web, and everything else that comes over HTTP.

use bytes::Bytes;
use prost::Message as _;
use spool_node::api::pb;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{address, frame};
use crate::support::Daemon;

const GET_NODE: &str = "/spool.v1.Spool/GetNode";

struct Response {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// One request on a connection of its own, written by hand: these clients send what others refuse to.
async fn http(daemon: &Daemon, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address(daemon)).await.unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the head") + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head[9..12].parse().unwrap();
    Response {
        status,
        body: if head.contains("chunked") { joined(&answer[end..]) } else { answer[end..].to_vec() },
        head,
    }
}

/// The chunks of a body, joined.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + length]);
        rest = &rest[line + 4 + length..];
    }
}

const GRPC_WEB: &str = "content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\nhost: http://127.0.0.1:6007\r\n";

#[tokio::test]
async fn a_unary_call_works_over_plain_grpc_web() {
    let daemon = Daemon::start();
    let request = &frame(&pb::GetNodeRequest {})[1..];
    let headers = format!("{GRPC_WEB}authorization: bearer {}\r\n", daemon.token());
    let answer = http(&daemon, "POST", GET_NODE, &headers, request).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
    assert_eq!(answer.header("access-control-allow-origin"), None, "no page asked");
    let length = u32::from_be_bytes(answer.body[1..5].try_into().unwrap()) as usize;
    let node = pb::Node::decode(Bytes::copy_from_slice(&answer.body[5..5 + length])).unwrap();
    assert_eq!(node.peer_id, daemon.greeting["peer_id"].as_str().unwrap());
    let trailers = &answer.body[5 + length..];
    assert_eq!(trailers[0], 0x80);
    assert!(String::from_utf8_lossy(&trailers[5..]).contains("grpc-status:0"), "{trailers:?}");
}

#[tokio::test]
async fn pages_that_are_listed_may_call_after_asking_and_no_others() {
    let daemon = Daemon::start_with(&["--web-origins", "https://example.org"]);
    let ask = "origin: https://example.org\r\naccess-control-request-method: POST\r\n\
        access-control-request-headers: content-type,x-grpc-web,x-textile-thread\r\n";
    let allowed = http(&daemon, "OPTIONS", "/threads.pb.API/Has", ask, b"").await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://example.org"));
    assert_eq!(allowed.header("access-control-allow-headers"), Some("content-type,x-grpc-web,x-textile-thread"));
    assert_eq!(allowed.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(allowed.header("access-control-max-age"), Some("600"));

    let not_a_method = http(&daemon, "OPTIONS", "/threads.pb.API/Nothing", ask, b"").await;
    let not_grpc_web = http(&daemon, "OPTIONS", "/threads.pb.API/Has", &ask.replace(",x-grpc-web", ""), b"").await;
    for refused in [not_a_method, not_grpc_web] {
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (200, None));
    }
    let others = ask.replace("example.org", "example.com");
    assert_eq!(http(&daemon, "OPTIONS", "/threads.pb.API/Has", &others, b"").await.status, 403);
    let page = format!("{GRPC_WEB}origin: https://example.org\r\n");
    let stranger = format!("{GRPC_WEB}origin: https://example.com\r\n");
    assert_eq!(http(&daemon, "POST", "/threads.pb.API/ListDBs", &stranger, &[0; 5]).await.status, 403);

    let called = http(&daemon, "POST", "/threads.pb.API/ListDBs", &page, &[0; 5]).await;
    assert_eq!(called.status, 200, "{}", called.head);
    assert_eq!(called.header("access-control-allow-origin"), Some("https://example.org"));
    let exposed = called.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("content-type") && exposed.ends_with("grpc-status, grpc-message"), "{exposed}");
}

#[tokio::test]
async fn whatever_else_comes_gets_an_empty_200() {
    let daemon = Daemon::start();
    for (method, path, headers) in [
        ("GET", "/", ""),
        ("POST", GET_NODE, "content-type: application/json\r\n"),
        ("POST", GET_NODE, "content-type: application/grpc\r\n"),
        ("GET", GET_NODE, GRPC_WEB),
        ("GET", GET_NODE, "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: chat\r\n"),
        ("OPTIONS", "/", ""),
    ] {
        let answer = http(&daemon, method, path, headers, b"").await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{method} {path} {headers}");
    }
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: grpc-websockets\r\n";
    let old = http(&daemon, "GET", GET_NODE, &format!("{upgrade}sec-websocket-version: 8\r\n"), b"").await;
    assert_eq!((old.status, old.header("sec-websocket-version")), (426, Some("13")));
    let keyless = http(&daemon, "GET", GET_NODE, &format!("{upgrade}sec-websocket-version: 13\r\n"), b"").await;
    assert_eq!(keyless.status, 400);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let daemon = Daemon::start();
    let mut stream = TcpStream::connect(address(&daemon)).await.unwrap();
    let head = format!("POST {GET_NODE} HTTP/1.1\r\n{GRPC_WEB}content-length: 999999999\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    // Refused while it is sent: the rest cannot be.
    let sending = tokio::spawn(async move { while writing.write_all(&[0; 64 * 1024]).await.is_ok() {} });
    let mut status = [0; 12];
    reading.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    drop(reading);
    sending.await.unwrap();
}
