//! The bridge with a service that says what it sees, and clients that break the rules.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;

use super::Server;
use super::limits::Patience;

/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// What does not happen for so long does not happen.
const A_WHILE: Duration = Duration::from_millis(300);

/// What the service saw of the requests.
#[derive(Debug, PartialEq, Eq)]
enum Saw {
    End,
    Broken(String),
}

/// `/test.Service/Echo` sends back the bytes that come, once it is let; `Flood` sends without end.
#[derive(Clone)]
struct Service {
    saw: mpsc::Sender<Saw>,
    may_read: Arc<Semaphore>,
    flooded: Arc<AtomicUsize>,
}

impl NamedService for Service {
    const NAME: &'static str = "test.Service";
}

impl tower::Service<Request<Body>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let body = if request.uri().path().ends_with("Flood") { self.flood() } else { self.echo(request.into_body()) };
        std::future::ready(Ok(Response::new(body))).boxed()
    }
}

impl Service {
    /// Reads in a task of its own, as services do, so that the end of the call is not the end of the reading.
    fn echo(&self, mut requests: Body) -> Body {
        let (sender, frames) = mpsc::channel(1);
        let Self { saw, may_read, .. } = self.clone();
        tokio::spawn(async move {
            may_read.acquire().await.unwrap().forget();
            loop {
                match requests.frame().await {
                    Some(Ok(frame)) => drop(sender.send(Ok(frame)).await),
                    Some(Err(status)) => return saw.send(Saw::Broken(status.message().to_owned())).await.unwrap(),
                    None => break,
                }
            }
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
            let _ = sender.send(Ok::<_, tonic::Status>(Frame::trailers(trailers))).await;
            saw.send(Saw::End).await.unwrap();
        });
        Body::new(StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(frames)))
    }

    fn flood(&self) -> Body {
        let flooded = self.flooded.clone();
        let piece = Bytes::from(vec![7; 64 * 1024]);
        let pieces = futures::stream::repeat_with(move || {
            flooded.fetch_add(piece.len(), Ordering::Relaxed);
            Ok::<_, tonic::Status>(Frame::data(piece.clone()))
        });
        Body::new(StreamBody::new(pieces))
    }
}

struct Scene {
    address: SocketAddr,
    saw: tokio::sync::Mutex<mpsc::Receiver<Saw>>,
    may_read: Arc<Semaphore>,
    flooded: Arc<AtomicUsize>,
    stopping: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

async fn scene(change: impl FnOnce(&mut Server)) -> Scene {
    let (sender, saw) = mpsc::channel(16);
    let may_read = Arc::new(Semaphore::new(1_000_000));
    let service = Service { saw: sender, may_read: may_read.clone(), flooded: Arc::default() };
    let flooded = service.flooded.clone();
    let mut server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    change(&mut server);
    let (address, stopping) = (server.address(), CancellationToken::new());
    let methods = BTreeSet::from(["/test.Service/Echo".into(), "/test.Service/Flood".into()]);
    let serving = tokio::spawn(server.serve(Routes::new(service), methods, stopping.clone()));
    Scene { address, saw: saw.into(), may_read, flooded, stopping, serving }
}

type Socket = WebSocketStream<TcpStream>;

impl Scene {
    async fn connect(&self, method: &str) -> Socket {
        let mut request = format!("ws://{}/test.Service/{method}", self.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("grpc-websockets"));
        let stream = TcpStream::connect(self.address).await.unwrap();
        tokio_tungstenite::client_async(request, stream).await.unwrap().0
    }

    /// With the metadata sent.
    async fn call(&self, method: &str) -> Socket {
        let mut socket = self.connect(method).await;
        binary(&mut socket, b"x-grpc-web: 1\r\n").await;
        socket
    }

    async fn saw(&self) -> Saw {
        tokio::time::timeout(LONG, self.saw.lock().await.recv()).await.unwrap().unwrap()
    }
}

async fn binary(socket: &mut Socket, bytes: &[u8]) {
    socket.send(Message::Binary(Bytes::copy_from_slice(bytes))).await.unwrap();
}

/// All binary messages up to the closing, and what follows the closing: nothing, at once.
async fn answer(mut socket: Socket) -> Vec<Bytes> {
    let messages = async {
        let mut messages = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(bytes) = message {
                messages.push(bytes);
            }
        }
        assert_eq!(socket.get_mut().read(&mut [0]).await.unwrap_or(0), 0, "the connection is closed");
        messages
    };
    tokio::time::timeout(LONG, messages).await.expect("the connection ends")
}

fn text(block: &[u8]) -> &str {
    assert_eq!(block[0], 0x80);
    assert_eq!(block.len() - 5, u32::from_be_bytes(block[1..5].try_into().unwrap()) as usize, "nothing behind a block");
    std::str::from_utf8(&block[5..]).unwrap()
}

#[tokio::test]
async fn an_end_of_requests_is_an_end_and_going_away_is_not() {
    let scene = scene(|_| ()).await;
    let mut socket = scene.call("Echo").await;
    binary(&mut socket, b"\x00abc").await;
    binary(&mut socket, b"\x01").await;
    let messages = answer(socket).await;
    assert_eq!(scene.saw().await, Saw::End);
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(text(&messages[0]), "content-type: application/grpc-web+proto\r\n");
    assert_eq!(&messages[1][..], b"abc");
    assert_eq!(text(&messages[2]), "grpc-status: 0\r\n");

    let broken = Saw::Broken("the client broke off".into());
    for way in ["close", "drop", "garbage"] {
        let mut socket = scene.call("Echo").await;
        binary(&mut socket, b"\x00abc").await;
        // What goes away before its call has begun is never called.
        while socket.next().await.unwrap().unwrap() != Message::Binary(Bytes::from_static(b"abc")) {}
        match way {
            "close" => socket.close(None).await.unwrap(),
            "garbage" => socket.get_mut().write_all(&[0xff; 64]).await.unwrap(),
            _ => drop(socket),
        }
        assert_eq!(scene.saw().await, broken, "{way}");
    }
}

#[tokio::test]
async fn rules_that_are_broken_are_named() {
    let scene = scene(|_| ()).await;
    let cases: [(&[&[u8]], &str); 5] = [
        (&[b"\x00\x00\x00\x00\x00\x00"], "line 1 of the metadata"),
        (&[b""], "the call has not been broken"),
        (&[b"a: b\r\n", b"\x02abc"], "a message begins with 0, or is a single 1"),
        (&[b"a: b\r\n", b""], "a message begins with 0, or is a single 1"),
        (&[b"a: b\r\n", b"\x01x"], "a message begins with 0, or is a single 1"),
    ];
    for (messages, why) in cases {
        let mut socket = scene.connect("Echo").await;
        for message in messages {
            binary(&mut socket, message).await;
        }
        if messages == [b""] {
            // No metadata is no fault.
            binary(&mut socket, b"\x01").await;
            assert_eq!(scene.saw().await, Saw::End);
            continue;
        }
        let answer = answer(socket).await;
        let last = text(answer.last().unwrap());
        assert!(last.contains("grpc-status: 3\r\n"), "{last}");
        assert!(last.replace("%20", " ").contains(why), "{last}");
    }
    let mut socket = scene.call("Echo").await;
    socket.send(Message::text("hello")).await.unwrap();
    assert!(text(answer(socket).await.last().unwrap()).contains("binary"));
}

#[tokio::test]
async fn a_message_after_the_last_breaks_the_call_off() {
    let scene = scene(|_| ()).await;
    scene.may_read.forget_permits(usize::MAX);
    let mut socket = scene.call("Echo").await;
    binary(&mut socket, b"\x01").await;
    binary(&mut socket, b"\x00abc").await;
    let answer = answer(socket).await;
    assert!(text(answer.last().unwrap()).contains("grpc-status: 3\r\n"), "{answer:?}");
}

#[tokio::test]
async fn a_service_that_does_not_read_stops_the_client() {
    let scene = scene(|_| ()).await;
    scene.may_read.forget_permits(usize::MAX);
    let mut socket = scene.call("Echo").await;
    let message = Message::Binary(Bytes::from(vec![0; 1 << 20]));
    let mut sent = 0;
    // The loopback's buffers take a few megabytes.
    while tokio::time::timeout(A_WHILE, socket.send(message.clone())).await.is_ok() {
        sent += 1;
        assert!(sent < 64, "somebody keeps what nobody reads");
    }
    scene.may_read.add_permits(1);
    let (mut client, mut server) = socket.split();
    let drain = tokio::spawn(async move { while let Some(Ok(_)) = server.next().await {} });
    tokio::time::timeout(LONG, client.send(Message::Binary(Bytes::from_static(b"\x01")))).await.unwrap().unwrap();
    assert_eq!(scene.saw().await, Saw::End);
    tokio::time::timeout(LONG, drain).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_service() {
    let scene = scene(|_| ()).await;
    let _socket = scene.call("Flood").await;
    let mut before = 0;
    let stopped = async {
        loop {
            tokio::time::timeout(A_WHILE, std::future::pending::<()>()).await.unwrap_err();
            let now = scene.flooded.load(Ordering::Relaxed);
            if now > 0 && now == before {
                return now;
            }
            before = now;
        }
    };
    let flooded = tokio::time::timeout(LONG, stopped).await.expect("it stops");
    assert!(flooded < 64 << 20, "{flooded} bytes are kept for a client that reads nothing");
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let short = Duration::from_millis(100);
    let patience = Patience { head: short, first: short, body: short, ..Patience::default() };
    let scene = scene(|server| server.patience = patience).await;
    for sent in [&b""[..], b"POST /test.Service/Echo HTTP/1.1\r\nHost: x\r\n"] {
        let mut slow = TcpStream::connect(scene.address).await.unwrap();
        slow.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(LONG, slow.read_to_end(&mut answer)).await.expect("the connection ends").unwrap();
    }
    let mut slow = TcpStream::connect(scene.address).await.unwrap();
    let head =
        b"POST /test.Service/Echo HTTP/1.1\r\ncontent-type: application/grpc-web\r\ncontent-length: 9\r\n\r\nabc";
    slow.write_all(head).await.unwrap();
    let mut status = [0; 12];
    tokio::time::timeout(LONG, slow.read_exact(&mut status)).await.expect("an answer").unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");

    let no_metadata = answer(scene.connect("Echo").await).await;
    assert!(text(&no_metadata[0]).contains("grpc-status: 4\r\n"), "{no_metadata:?}");
    let no_request = answer(scene.call("Echo").await).await;
    assert!(text(no_request.last().unwrap()).contains("grpc-status: 4\r\n"), "{no_request:?}");
}

#[tokio::test]
async fn whoever_has_begun_may_be_idle_and_is_pinged() {
    let (first, ping) = (Duration::from_secs(1), Duration::from_millis(300));
    let patience = Patience { first, ping, ..Patience::default() };
    let scene = scene(|server| server.patience = patience).await;
    let mut socket = scene.call("Echo").await;
    binary(&mut socket, b"\x00abc").await;
    let mut pings = 0;
    while pings < 4 {
        let message = tokio::time::timeout(LONG, socket.next()).await.expect("pings").unwrap().unwrap();
        pings += usize::from(message.is_ping());
    }
    binary(&mut socket, b"\x01").await;
    assert_eq!(scene.saw().await, Saw::End);
    assert_eq!(text(answer(socket).await.last().unwrap()), "grpc-status: 0\r\n");
}

#[tokio::test]
async fn one_connection_too_many_is_refused_and_the_next_is_not() {
    let scene = scene(|server| server.connections = 1).await;
    let mut socket = scene.call("Echo").await;
    let mut refused = TcpStream::connect(scene.address).await.unwrap();
    let mut answered = Vec::new();
    tokio::time::timeout(LONG, refused.read_to_end(&mut answered)).await.expect("an answer").unwrap();
    assert!(answered.starts_with(b"HTTP/1.1 503 "), "{answered:?}");
    binary(&mut socket, b"\x01").await;
    answer(socket).await;
    assert_eq!(scene.saw().await, Saw::End);
    let again = async {
        loop {
            // The connection counts until the server has let go of it, which the client cannot see.
            let mut stream = TcpStream::connect(scene.address).await.unwrap();
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await;
            let mut answered = Vec::new();
            let _ = stream.read_to_end(&mut answered).await;
            if answered.starts_with(b"HTTP/1.1 200 ") {
                return;
            }
        }
    };
    tokio::time::timeout(LONG, again).await.expect("room again");
}

#[tokio::test]
async fn a_call_without_end_is_told_when_the_node_stops() {
    let short = Duration::from_millis(50);
    let scene = scene(|server| server.patience = Patience { stop: short, ..Patience::default() }).await;
    let mut socket = scene.call("Echo").await;
    binary(&mut socket, b"\x00abc").await;
    assert!(socket.next().await.unwrap().unwrap().is_binary());
    scene.stopping.cancel();
    let answer = answer(socket).await;
    assert!(text(answer.last().unwrap()).contains("grpc-status: 14\r\n"), "{answer:?}");
    tokio::time::timeout(LONG, scene.serving).await.expect("it ends").unwrap();
}

/// Whatever the cuts, the service gets the same bytes, and the client gets them back.
#[test]
fn frames_may_be_cut_anywhere() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scene = runtime.block_on(scene(|_| ()));
    let messages = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5);
    let cuts = proptest::collection::vec(0_usize..400, 0..12);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let ran = runner.run(&(messages, cuts), |(messages, cuts)| {
        let mut stream = BytesMut::new();
        for message in &messages {
            stream.extend_from_slice(&[0]);
            stream.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(message);
        }
        let stream = stream.freeze();
        let echoed = runtime.block_on(async {
            let mut socket = scene.call("Echo").await;
            let mut rest = stream.clone();
            for cut in cuts {
                let piece = rest.split_to(cut.min(rest.len()));
                binary(&mut socket, &[&[0], &piece[..]].concat()).await;
            }
            binary(&mut socket, &[&[0], &rest[..]].concat()).await;
            binary(&mut socket, &[1]).await;
            let answer = answer(socket).await;
            assert_eq!(scene.saw().await, Saw::End);
            answer[1..answer.len() - 1].concat()
        });
        prop_assert_eq!(echoed, stream);
        Ok(())
    });
    ran.unwrap();
}
