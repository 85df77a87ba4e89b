//! Calls over websockets.

use spool_node::api::{MAX_MESSAGE_BYTES, pb};
use spool_node::threads::pb as threads;
use tokio_tungstenite::tungstenite::Error;

use crate::client::{Call, address, frame};
use crate::support::Daemon;

const GET_NODE: &str = "/spool.v1.Spool/GetNode";
const APPEND_STREAM: &str = "/spool.v1.Spool/AppendStream";

async fn is_well(daemon: &Daemon) {
    let node: pb::Node = Call::unary(daemon, GET_NODE, &pb::GetNodeRequest {}).await.only();
    assert_eq!(node.peer_id, daemon.greeting["peer_id"].as_str().unwrap());
}

#[tokio::test]
async fn a_unary_call_is_answered_and_its_connection_ended() {
    let daemon = Daemon::start();
    let answer = Call::unary(&daemon, GET_NODE, &pb::GetNodeRequest {}).await;
    assert_eq!(answer.blocks[0]["content-type"], "application/grpc-web+proto");
    assert!(!answer.blocks[0].contains_key("grpc-status"));
    let node: pb::Node = answer.only();
    assert_eq!(node.name.as_deref(), Some("test"));
}

#[tokio::test]
async fn an_empty_message_is_sent() {
    let daemon = Daemon::start();
    let request = pb::RemoveThreadRequest { thread: daemon.thread("short-lived") };
    let answer = Call::unary(&daemon, "/spool.v1.Spool/RemoveThread", &request).await;
    assert_eq!(answer.messages, [&b""[..]]);
    answer.only::<pb::RemoveThreadResponse>();
}

#[tokio::test]
async fn a_failure_is_one_block_with_its_text() {
    let daemon = Daemon::start();
    let request = pb::GetThreadRequest { thread: "straße 100%".into() };
    let answer = Call::unary(&daemon, "/spool.v1.Spool/GetThread", &request).await;
    assert_eq!((answer.blocks.len(), answer.messages.len()), (1, 0));
    let (status, message) = answer.status();
    assert_eq!(status, "3", "{message}");
    assert!(message.contains("`thread`"), "{message}");
}

#[tokio::test]
async fn a_call_that_fails_ends_before_its_requests_do() {
    let daemon = Daemon::start();
    let mut bidi = Call::open(&daemon, "/threads.pb.API/GetToken").await;
    let payload = Some(threads::get_token_request::Payload::Key("bbaareia".into()));
    bidi.request(&threads::GetTokenRequest { payload }).await;
    assert_eq!(bidi.answer().await.status().0, "3", "no key");
}

#[tokio::test]
async fn without_the_token_only_the_textile_interfaces_answer() {
    let daemon = Daemon::start();
    let mut call = Call::connect(address(&daemon), GET_NODE, &[]).await.unwrap();
    call.send(b"content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\n").await;
    call.request(&pb::GetNodeRequest {}).await;
    assert_eq!(call.answer().await.status().0, "16");
    let listed = Call::unary(&daemon, "/threads.pb.API/ListDBs", &threads::ListDBsRequest {}).await;
    assert_eq!(listed.status().0, "0");
}

#[tokio::test]
async fn a_stream_goes_on_until_the_client_leaves() {
    let daemon = Daemon::start();
    let thread = daemon.thread("followed");
    let mut call = Call::open(&daemon, "/spool.v1.Spool/ReadLog").await;
    let request = pb::ReadLogRequest { thread: thread.clone(), follow: true, max_body: 64, ..Default::default() };
    call.request(&request).await;
    call.end().await;
    for text in ["one", "two"] {
        daemon.text(&["append", "followed", text]);
        let body = loop {
            let step = call.message::<pb::ReadLogResponse>().await.step.unwrap();
            let pb::read_log_response::Step::Entry(entry) = step else { continue };
            if let Some(body) = entry.event.and_then(|event| event.body) {
                break body;
            }
        };
        let Some(pb::body::State::Open(bytes)) = body.state else { panic!("{body:?}") };
        assert_eq!(&bytes[..], text.as_bytes());
    }
    call.close().await;
    is_well(&daemon).await;
}

#[tokio::test]
async fn both_sides_stream_until_the_last_request_is_answered() {
    let daemon = Daemon::start();
    let thread = daemon.thread("written");
    let mut call = Call::open(&daemon, APPEND_STREAM).await;
    for number in 1..=3_u64 {
        let first = number == 1;
        let bodies = vec![format!("event {number}").into_bytes().into()];
        call.request(&pb::AppendStreamRequest { thread: first.then(|| thread.clone()), options: None, bodies }).await;
        let receipts = call.message::<pb::AppendStreamResponse>().await.receipts;
        assert_eq!(receipts.len(), 1, "answered before the next request is sent");
    }
    call.end().await;
    let answer = call.answer().await;
    assert_eq!(answer.status(), ("0", String::new()));
    assert_eq!((answer.blocks.len(), answer.messages.len()), (2, 0));
}

#[tokio::test]
async fn a_request_may_be_cut_and_several_may_be_joined() {
    let daemon = Daemon::start();
    let thread = daemon.thread("cut");
    let request = |number: u8, thread: Option<String>| {
        frame(&pb::AppendStreamRequest { thread, options: None, bodies: vec![vec![number; 100].into()] })
    };
    let (first, second, third) = (request(1, Some(thread)), request(2, None), request(3, None));
    let mut call = Call::open(&daemon, APPEND_STREAM).await;
    call.send(&first[..3]).await;
    call.send(&[&[0], &first[3..50]].concat()).await;
    call.send(&[0]).await;
    call.send(&[&[0], &first[50..], &second[1..], &third[1..4]].concat()).await;
    call.send(&[&[0], &third[4..]].concat()).await;
    call.end().await;
    let answer = call.answer().await;
    assert_eq!(answer.status(), ("0", String::new()));
    let receipts = answer.messages.iter().map(|message| {
        let decoded: pb::AppendStreamResponse = prost::Message::decode(message.clone()).unwrap();
        decoded.receipts.len()
    });
    assert_eq!(receipts.sum::<usize>(), 3);
}

#[tokio::test]
async fn the_largest_message_passes_and_a_larger_one_is_refused_by_name() {
    let daemon = Daemon::start();
    let thread = "x".repeat(MAX_MESSAGE_BYTES - 4);
    let largest = pb::GetThreadRequest { thread: thread[..MAX_MESSAGE_BYTES - 5].to_owned() };
    assert_eq!(prost::Message::encoded_len(&largest), MAX_MESSAGE_BYTES);
    let answer = Call::unary(&daemon, "/spool.v1.Spool/GetThread", &largest).await;
    assert_eq!(answer.status().0, "3", "read, and found not to be an id");

    // In one websocket message, which is too large itself, and in two, where only the gRPC message is.
    let larger = frame(&pb::GetThreadRequest { thread: "x".repeat(MAX_MESSAGE_BYTES + 1) });
    let mut call = Call::open(&daemon, "/spool.v1.Spool/GetThread").await;
    call.send(&larger).await;
    let answer = call.answer().await;
    assert_eq!(answer.status().0, "8", "{:?}", answer.status());
    let mut call = Call::open(&daemon, "/spool.v1.Spool/GetThread").await;
    call.send(&larger[..1000]).await;
    let answer = call.answer().await;
    assert_eq!(answer.status().0, "11", "{:?}", answer.status());

    let mut call = Call::open(&daemon, "/spool.v1.Spool/GetThread").await;
    call.send(&vec![0; 32 << 20]).await;
    let answer = call.answer().await;
    assert_eq!(answer.status().0, "8", "though most of it was never read: {:?}", answer.status());
    is_well(&daemon).await;
}

#[tokio::test]
async fn garbage_is_answered_and_hurts_nobody() {
    let daemon = Daemon::start();
    let mut before_metadata = Call::connect(address(&daemon), GET_NODE, &[]).await.unwrap();
    before_metadata.send(&frame(&pb::GetNodeRequest {})).await;
    assert_eq!(before_metadata.answer().await.status().0, "3");

    let mut text = Call::open(&daemon, GET_NODE).await;
    text.send_text("{}").await;
    assert_eq!(text.answer().await.status().0, "3");

    let mut no_frame = Call::open(&daemon, GET_NODE).await;
    no_frame.send(&[0, 9, 9, 9, 9, 9, 9, 9]).await;
    no_frame.end().await;
    assert_ne!(no_frame.answer().await.status().0, "0");

    let mut half = Call::open(&daemon, APPEND_STREAM).await;
    half.send(&[0, 0, 0, 0, 0, 9, 1]).await;
    half.end().await;
    assert_ne!(half.answer().await.status().0, "0", "half a message is none");

    let mut empty = Call::open(&daemon, GET_NODE).await;
    empty.end().await;
    assert_ne!(empty.answer().await.status().0, "0", "a unary call without a request");
    is_well(&daemon).await;
}

#[tokio::test]
async fn what_is_no_method_is_forbidden_and_strangers_are() {
    let daemon = Daemon::start();
    let status = |result: Result<Call, Error>| match result {
        Err(Error::Http(response)) => response.status().as_u16(),
        Ok(_) => 101,
        Err(error) => panic!("{error}"),
    };
    let address = address(&daemon);
    for path in ["/", "/spool.v1.Spool/Nothing", "/threads.pb.API/", "/threads.pb.API/ListDBs/"] {
        assert_eq!(status(Call::connect(address, path, &[]).await), 403, "{path}");
    }
    let stranger = [("origin", "https://example.org")];
    assert_eq!(status(Call::connect(address, GET_NODE, &stranger).await), 403);
    assert_eq!(status(Call::connect(address, "/threads.pb.API/ListDBs", &stranger).await), 403);
    assert_eq!(status(Call::connect(address, GET_NODE, &[("origin", "http://localhost:3000")]).await), 101);
}
