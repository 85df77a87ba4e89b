//! The interfaces of Textile Threads over native gRPC, on a real daemon.

use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use serde_json::json;
use spool_integration_tests::daemon::{Daemon, Repo};
use spool_node::threads::{
    net_pb::{self, api_client::ApiClient as NetworkClient},
    pb::{self, CollectionConfig, api_client::ApiClient, write_transaction_request::Option as Step},
};
use spool_proto::{ThreadId, id::Variant};
use tonic::{Code, transport::Channel};

async fn client(daemon: &Daemon) -> ApiClient<Channel> {
    ApiClient::connect(format!("http://{}", daemon.api())).await.expect("a daemon that is ready")
}

async fn network(daemon: &Daemon) -> NetworkClient<Channel> {
    NetworkClient::connect(format!("http://{}", daemon.api())).await.expect("a daemon that is ready")
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

/// A client that opens a transaction and is gone, as when its process is killed: nothing of it says goodbye.
fn vanish(daemon: &Daemon, id: &Bytes, instance: &str) {
    std::thread::scope(|scope| {
        let gone = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let opened = runtime.block_on(async { open(&mut client(daemon).await, id, instance).await });
            // Its sockets go with it, before anything is told that the requests have no more to come.
            drop(runtime);
            drop(opened);
        });
        gone.join().expect("no panic");
    });
}

/// The end of the requests commits: so it has to be told apart from a client that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_breaks_off_has_written_nothing() {
    let repo = Repo::new("broken");
    let daemon = repo.start(&[]);
    let mut client = client(&daemon).await;
    let id = database(&mut client, 1).await;
    for round in 0..10 {
        let instance = format!("gone-{round}");
        vanish(&daemon, &id, &instance);
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

/// Threads and records beneath databases: made on one daemon, added on another from an address and a key, and heard of there.
#[tokio::test(flavor = "multi_thread")]
async fn records_travel_between_daemons_by_address_and_key() {
    let (here, there) = (Repo::new("here"), Repo::new("there"));
    let daemons = [here.start(&[]), there.start(&[])];
    let mut one = network(&daemons[0]).await;
    let mut two = network(&daemons[1]).await;
    let host = one.get_host_id(net_pb::GetHostIdRequest {}).await.expect("an answer").into_inner().peer_id;
    assert_eq!(spool_proto::PeerId::from_bytes(&host).expect("a peer id").to_string(), daemons[0].peer());

    let id = Bytes::copy_from_slice(ThreadId::new(Variant::Raw, [7; 32]).as_bytes());
    let create = net_pb::CreateThreadRequest { thread_id: id.clone(), keys: None };
    let made = one.create_thread(create.clone()).await.expect("a new thread").into_inner();
    assert_eq!((made.thread_key.len(), made.logs.len()), (64, 0));
    assert_eq!(one.create_thread(create).await.expect_err("it is there").message(), "thread already exists");
    let address = made.addrs.first().expect("an address").clone();
    let keys = Some(net_pb::Keys { thread_key: made.thread_key.clone(), ..Default::default() });
    two.add_thread(net_pb::AddThreadRequest { addr: address, keys }).await.expect("it is added");
    let subscribe = net_pb::SubscribeRequest { thread_i_ds: vec![id.clone()] };
    let mut records = two.subscribe(subscribe).await.expect("a stream").into_inner();

    let create = |body: Bytes| net_pb::CreateRecordRequest { thread_id: id.clone(), body };
    let nonsense = one.create_record(create(Bytes::from_static(&[0xff]))).await.expect_err("no DAG-CBOR");
    assert_eq!(nonsense.code(), Code::InvalidArgument);
    // {"a": 1}
    let made =
        one.create_record(create(Bytes::from_static(&[0xa1, 0x61, b'a', 1]))).await.expect("a record").into_inner();
    let record = made.record.expect("it is told");
    let arrived = loop {
        let next = next(&mut records).await.record.expect("a record");
        // A log begins with a record of its own.
        if next.record_node == record.record_node {
            break next;
        }
    };
    assert_eq!(arrived, record, "the same bytes on both nodes");
    let cid = spool_proto::block::cid(&record.record_node);
    let get = net_pb::GetRecordRequest { thread_id: id.clone(), record_id: cid.to_bytes().into() };
    assert_eq!(two.get_record(get).await.expect("it is here").into_inner().record, Some(record.clone()));
    let add = net_pb::AddRecordRequest { thread_id: id.clone(), log_id: made.log_id, record: Some(record) };
    two.add_record(add).await.expect("it is known");

    two.pull_thread(net_pb::PullThreadRequest { thread_id: id.clone() }).await.expect("nothing is new");
    let info =
        two.get_thread(net_pb::GetThreadRequest { thread_id: id.clone() }).await.expect("it is here").into_inner();
    assert_eq!(info.logs.len(), 1);
    assert!(info.logs[0].priv_key.is_empty(), "it never leaves its node");
    two.delete_thread(net_pb::DeleteThreadRequest { thread_id: id.clone() }).await.expect("nobody uses it");
    let gone = two.get_thread(net_pb::GetThreadRequest { thread_id: id }).await.expect_err("it is gone");
    assert_eq!((gone.code(), gone.message()), (Code::Unknown, "thread not found"));
}

/// A node that no other reaches gets records from a client: in the order of their log, each checked as if a peer had sent it.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_taken_from_a_client() {
    let (here, there) = (Repo::new("here"), Repo::new("there"));
    let daemons = [here.start(&[]), there.start(&[])];
    let (mut one, mut two) = (network(&daemons[0]).await, network(&daemons[1]).await);
    let id = Bytes::copy_from_slice(ThreadId::new(Variant::Raw, [8; 32]).as_bytes());
    let create = net_pb::CreateThreadRequest { thread_id: id.clone(), keys: None };
    let thread_key = one.create_thread(create).await.expect("a new thread").into_inner().thread_key;
    let keys = Some(net_pb::Keys { thread_key, ..Default::default() });
    two.create_thread(net_pb::CreateThreadRequest { thread_id: id.clone(), keys }).await.expect("the same thread");

    let subscribe = net_pb::SubscribeRequest { thread_i_ds: vec![id.clone()] };
    let mut written = one.subscribe(subscribe.clone()).await.expect("a stream").into_inner();
    let mut heard = two.subscribe(subscribe).await.expect("a stream").into_inner();
    // {"a": 1}, and a string too long to be within its record.
    let long = [&[0x79, 0x40, 0x00][..], &[b'x'; 0x4000]].concat();
    for body in [Bytes::from_static(&[0xa1, 0x61, b'a', 1]), Bytes::from_static(&[1]), long.into()] {
        one.create_record(net_pb::CreateRecordRequest { thread_id: id.clone(), body }).await.expect("a record");
    }
    let mut records = vec![next(&mut written).await];
    while records.iter().all(|record| record.record.as_ref().is_none_or(|record| record.body_node.is_empty())) {
        records.push(next(&mut written).await);
    }
    let last = records.len() - 1;
    assert!(last > 1, "one comes between the first and the last");
    let add = |record: &net_pb::NewRecordReply, change: &dyn Fn(&mut net_pb::Record)| {
        let mut request = net_pb::AddRecordRequest {
            thread_id: id.clone(),
            log_id: record.log_id.clone(),
            record: record.record.clone(),
        };
        request.record.iter_mut().for_each(change);
        request
    };
    let as_it_is = |_: &mut net_pb::Record| {};
    let flipped = |record: &mut net_pb::Record| {
        let mut bytes = record.record_node.to_vec();
        bytes[40] ^= 1;
        record.record_node = bytes.into();
    };
    let another_body = |record: &mut net_pb::Record| record.body_node = Bytes::from_static(&[1; 64]);
    let huge = |record: &mut net_pb::Record| record.record_node = vec![0; 2 << 20].into();

    let early = two.add_record(add(&records[1], &as_it_is)).await.expect_err("its log is unknown");
    assert_eq!((early.code(), early.message()), (Code::Unknown, "log not found"));
    two.add_record(add(&records[0], &as_it_is)).await.expect("a log begins");
    let gap = two.add_record(add(&records[last], &as_it_is)).await.expect_err("one is missing");
    assert_eq!(gap.code(), Code::InvalidArgument, "{gap}");
    for (record, change) in [(1, &flipped as &dyn Fn(&mut _)), (last, &another_body), (1, &huge)] {
        let refused = two.add_record(add(&records[record], change)).await.expect_err("it is not good");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    for record in &records[1..] {
        two.add_record(add(record, &as_it_is)).await.expect("it is next");
        two.add_record(add(record, &as_it_is)).await.expect("it is here");
    }
    for record in &records {
        assert_eq!(next(&mut heard).await, *record, "the same bytes, with the body");
    }
    let get = |daemon: &mut NetworkClient<Channel>| {
        let mut daemon = daemon.clone();
        let request = net_pb::GetThreadRequest { thread_id: id.clone() };
        async move { daemon.get_thread(request).await.expect("it is here").into_inner().logs }
    };
    assert_eq!(get(&mut two).await, get(&mut one).await, "the same heads");
}

async fn next(records: &mut tonic::Streaming<net_pb::NewRecordReply>) -> net_pb::NewRecordReply {
    let next = tokio::time::timeout(Duration::from_secs(60), records.message()).await.expect("in time");
    next.expect("no error").expect("it goes on")
}

/// A replicator is a node that offers to follow; one that does not says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_replicator_has_to_offer_it() {
    let (here, open, closed) = (Repo::new("here"), Repo::new("open"), Repo::new("closed"));
    let daemon = here.start(&[]);
    let (willing, unwilling) = (open.start(&["--follow", "open"]), closed.start(&[]));
    let mut client = network(&daemon).await;
    let id = Bytes::copy_from_slice(ThreadId::new(Variant::Raw, [9; 32]).as_bytes());
    client.create_thread(net_pb::CreateThreadRequest { thread_id: id.clone(), keys: None }).await.expect("a thread");
    let ask = |address: String| {
        let address: spool_proto::Multiaddr = address.parse().expect("an address");
        net_pb::AddReplicatorRequest { thread_id: id.clone(), addr: address.to_vec().into() }
    };
    let added = client.add_replicator(ask(willing.address())).await.expect("it takes it").into_inner();
    let peer = spool_proto::PeerId::from_bytes(&added.peer_id).expect("a peer id");
    assert_eq!(peer.to_string(), willing.peer());
    let thread = network(&willing).await.get_thread(net_pb::GetThreadRequest { thread_id: id.clone() }).await;
    let key = thread.expect("it follows").into_inner().thread_key;
    assert_eq!(key.len(), 32, "the service key, and no read key");
    let refused = client.add_replicator(ask(unwilling.address())).await.expect_err("it does not");
    assert!(refused.code() == Code::Unknown && refused.message().contains("does not offer to follow"), "{refused}");
    let nonsense = net_pb::AddReplicatorRequest { thread_id: id, addr: Bytes::from_static(&[0xff; 9]) };
    assert_eq!(client.add_replicator(nonsense).await.expect_err("no address").code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_thread_of_a_database_is_in_use() {
    let repo = Repo::new("in-use");
    let daemon = repo.start(&[]);
    let id = database(&mut client(&daemon).await, 1).await;
    let mut network = network(&daemon).await;
    let body = Bytes::from_static(&[0xa0]);
    let refused = network.create_record(net_pb::CreateRecordRequest { thread_id: id.clone(), body }).await;
    assert_eq!(refused.expect_err("it is refused").message(), "cannot create record: thread is in use");
    let refused = network.delete_thread(net_pb::DeleteThreadRequest { thread_id: id }).await;
    assert_eq!(refused.expect_err("it is refused").message(), "cannot delete thread: thread is in use");
}
