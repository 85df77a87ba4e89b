//! The interfaces of Textile Threads over native gRPC, on a real daemon.

use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use serde_json::json;
use spool_integration_tests::daemon::{Daemon, Repo};
use spool_node::threads::pb::{
    self, CollectionConfig, api_client::ApiClient, write_transaction_request::Option as Step,
};
use spool_proto::{ThreadId, id::Variant};
use tonic::{Code, transport::Channel};

async fn client(daemon: &Daemon) -> ApiClient<Channel> {
    ApiClient::connect(format!("http://{}", daemon.api())).await.expect("a daemon that is ready")
}

fn json(value: &serde_json::Value) -> Bytes {
    value.to_string().into()
}

/// A database with a collection of anything.
async fn database(client: &mut ApiClient<Channel>, seed: u8) -> Bytes {
    let id = Bytes::copy_from_slice(ThreadId::new(Variant::Raw, [seed; 32]).as_bytes());
    let schema = json(&json!({"properties": {"_id": {"type": "string"}}}));
    let things = CollectionConfig { name: "things".into(), schema, ..Default::default() };
    let request = pb::NewDbRequest { db_id: id.clone(), collections: vec![things], ..Default::default() };
    client.new_db(request).await.expect("a new database");
    id
}

async fn has(client: &mut ApiClient<Channel>, id: &Bytes, instance: &str) -> bool {
    let request =
        pb::HasRequest { db_id: id.clone(), collection_name: "things".into(), instance_i_ds: vec![instance.into()] };
    client.has(request).await.expect("an answer").into_inner().exists
}

/// A transaction that has created an instance and goes on; its requests, and its replies.
async fn open(
    client: &mut ApiClient<Channel>,
    id: &Bytes,
    instance: &str,
) -> (mpsc::Sender<pb::WriteTransactionRequest>, tonic::Streaming<pb::WriteTransactionReply>) {
    let (mut sender, requests) = mpsc::channel(4);
    let mut send = |option| sender.try_send(pb::WriteTransactionRequest { option: Some(option) }).expect("room");
    let start = pb::StartTransactionRequest { db_id: id.clone(), collection_name: "things".into() };
    send(Step::StartTransactionRequest(start));
    let instances = vec![json(&json!({"_id": instance}))];
    send(Step::CreateRequest(pb::CreateRequest { instances, ..Default::default() }));
    let mut replies = client.write_transaction(requests).await.expect("a stream").into_inner();
    replies.message().await.expect("no error").expect("a reply");
    (sender, replies)
}

/// The end of the requests commits: so it has to be told apart from a client that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_off_has_written_nothing() {
    let repo = Repo::new("broken");
    let daemon = repo.start(&[]);
    let mut client = client(&daemon).await;
    let id = database(&mut client, 1).await;
    for round in 0..20 {
        let instance = format!("gone-{round}");
        let (requests, replies) = open(&mut client, &id, &instance).await;
        // In this order the stream is reset, and has no end.
        drop(replies);
        drop(requests);
        // Whoever comes next waits until the transaction is gone.
        let (requests, mut replies) = open(&mut client, &id, &format!("here-{round}")).await;
        drop(requests);
        assert_eq!(replies.message().await.expect("it is committed"), None);
        assert!(has(&mut client, &id, &format!("here-{round}")).await);
        assert!(!has(&mut client, &id, &instance).await, "round {round}");
    }
    assert_eq!(daemon.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_transaction_and_does_nothing_makes_way() {
    let repo = Repo::new("idle");
    let daemon = repo.start(&[]);
    let mut client = client(&daemon).await;
    let id = database(&mut client, 1).await;
    let (_requests, mut idle) = open(&mut client, &id, "idle").await;
    let waits = tokio::time::timeout(Duration::from_secs(90), open(&mut client, &id, "waits"));
    let (requests, mut replies) = waits.await.expect("it has its turn");
    assert_eq!(idle.message().await.expect_err("it is discarded").code(), Code::Aborted);
    drop(requests);
    assert_eq!(replies.message().await.expect("it is committed"), None);
    assert!(has(&mut client, &id, "waits").await);
    assert!(!has(&mut client, &id, "idle").await);
    assert_eq!(daemon.stop().code(), Some(0));
}
