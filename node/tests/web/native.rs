//! What every gRPC tool asks for, on the native port.

use std::time::Duration;

use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Daemon, signal};

async fn channel(daemon: &Daemon) -> Channel {
    let api = daemon.greeting["api"].as_str().unwrap();
    Channel::from_shared(format!("http://{api}")).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn reflection_lists_the_services_and_has_their_files() {
    let daemon = Daemon::start();
    let mut client = ServerReflectionClient::new(channel(&daemon).await);
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("threads.pb.API".into())),
    ];
    let mut answers = client.server_reflection_info(futures::stream::iter(requests)).await.unwrap().into_inner();
    let listed = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(listed)) = listed else { panic!("{listed:?}") };
    let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
    for service in ["spool.v1.Spool", "threads.pb.API", "threads.net.pb.API"] {
        assert!(names.iter().any(|name| name == service), "{service} of {names:?}");
    }
    let file = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::FileDescriptorResponse(file)) = file else { panic!("{file:?}") };
    assert_eq!(file.file_descriptor_proto.len(), 1);
}

#[tokio::test]
async fn health_is_serving_and_ends_with_the_daemon() {
    let mut daemon = Daemon::start();
    let mut client = HealthClient::new(channel(&daemon).await);
    for service in ["", "spool.v1.Spool", "threads.pb.API"] {
        let status = client.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner().status;
        assert_eq!(status, i32::from(ServingStatus::Serving), "{service}");
    }
    let mut watched = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, i32::from(ServingStatus::Serving));
    signal(&daemon.child, "TERM");
    let rest = async {
        let last = watched.message().await;
        assert!(!matches!(&last, Ok(Some(last)) if last.status == i32::from(ServingStatus::Serving)), "{last:?}");
    };
    // It is told, and is not what the daemon waits for.
    tokio::time::timeout(Duration::from_secs(4), rest).await.expect("the watch ends at once");
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
}
