//! A client of the API that knows exactly what was acknowledged.

use std::collections::HashMap;

use futures::{SinkExt as _, StreamExt as _, channel::mpsc};
use spool_node::api::{Connection, MAX_MESSAGE_BYTES, pb, pb::spool_client::SpoolClient};
use tonic::Status;

use super::Daemon;

/// A connection to the API of a daemon. Clones share it.
#[derive(Clone)]
pub struct Api(SpoolClient<Connection>);

/// An event that was acknowledged.
#[derive(Debug, Clone)]
pub struct Appended {
    /// What was appended.
    pub body: String,
    /// Where it is now.
    pub receipt: pb::Receipt,
}

/// What a verification found.
#[derive(Debug)]
pub struct Verified {
    /// What was checked.
    pub report: pb::verify_response::Report,
    /// What was wrong.
    pub faults: Vec<pb::verify_response::Fault>,
}

impl Api {
    /// Connects.
    pub async fn connect(daemon: &Daemon) -> Self {
        let client = SpoolClient::new(daemon.connect().await);
        Self(client.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES))
    }

    /// Creates a thread; its id.
    pub async fn create_thread(&mut self, name: &str) -> String {
        let request = pb::CreateThreadRequest { name: Some(name.to_owned()), variant: pb::Variant::Raw.into() };
        self.0.create_thread(request).await.expect("a new thread").into_inner().id
    }

    /// A ticket for the thread.
    pub async fn share(&mut self, thread: &str, scope: pb::Scope) -> String {
        let request = pb::ShareThreadRequest { thread: thread.to_owned(), scope: scope.into(), to: None };
        self.0.share_thread(request).await.expect("a ticket").into_inner().ticket
    }

    /// Joins the thread of a ticket.
    pub async fn join(&mut self, ticket: &str) {
        let request = pb::JoinThreadRequest { ticket: ticket.to_owned(), name: None };
        self.0.join_thread(request).await.expect("a ticket that is valid");
    }

    /// The thread with its logs.
    pub async fn thread(&mut self, thread: &str) -> pb::ThreadDetail {
        let request = pb::GetThreadRequest { thread: thread.to_owned() };
        self.0.get_thread(request).await.expect("the thread is here").into_inner()
    }

    /// The head of the thread's only log.
    ///
    /// # Panics
    ///
    /// If there are several logs, or the log is forked.
    pub async fn head(&mut self, thread: &str) -> pb::Head {
        let logs = self.thread(thread).await.logs;
        assert!(logs.len() <= 1, "one writer makes one log: {logs:?}");
        let Some(log) = logs.into_iter().next() else { return pb::Head::default() };
        assert_eq!(log.fork, None, "an honest writer never forks");
        log.head.unwrap_or_default()
    }

    /// All entries of a thread that are stored, bodies of up to 64 KiB in them.
    pub async fn log(&mut self, thread: &str) -> Vec<pb::Entry> {
        let request = pb::ReadLogRequest {
            thread: thread.to_owned(),
            logs: Vec::new(),
            after: HashMap::new(),
            limit: None,
            follow: false,
            max_body: 64 * 1024,
        };
        let mut steps = self.0.read_log(request).await.expect("the thread is here").into_inner();
        let mut entries = Vec::new();
        while let Some(step) = steps.message().await.expect("the log can be read") {
            match step.step {
                Some(pb::read_log_response::Step::Entry(entry)) => entries.push(entry),
                Some(pb::read_log_response::Step::CaughtUp(_)) | None => {}
            }
        }
        entries
    }

    /// Verifies a thread with all its bodies.
    pub async fn verify(&mut self, thread: &str) -> Verified {
        let request = pb::VerifyRequest { thread: thread.to_owned(), skip_bodies: false };
        let mut steps = self.0.verify(request).await.expect("the thread is here").into_inner();
        let (mut faults, mut report) = (Vec::new(), None);
        while let Some(step) = steps.message().await.expect("the verification runs to its end") {
            match step.step {
                Some(pb::verify_response::Step::Fault(fault)) => faults.push(fault),
                Some(pb::verify_response::Step::Done(done)) => report = Some(done),
                Some(pb::verify_response::Step::Progress(_)) | None => {}
            }
        }
        Verified { report: report.expect("the last step is the report"), faults }
    }

    /// Appends one event.
    ///
    /// # Errors
    ///
    /// What the daemon says.
    pub async fn append(&mut self, thread: &str, body: impl Into<String>) -> Result<Appended, Status> {
        let body = body.into();
        let request = pb::AppendRequest {
            thread: thread.to_owned(),
            body: body.clone().into_bytes().into(),
            options: Some(sync()),
        };
        let receipt = self.0.append(request).await?.into_inner();
        Ok(Appended { body, receipt })
    }

    /// Appends events, so many in flight at once, until there are no more or the daemon is gone. Calls `acknowledged` for each receipt as it
    /// comes.
    ///
    /// # Errors
    ///
    /// What ended the stream, where it was not the end of the events.
    pub async fn append_many(
        &mut self,
        thread: &str,
        in_flight: usize,
        bodies: impl Iterator<Item = String> + Send + 'static,
        mut acknowledged: impl FnMut(Appended),
    ) -> Result<(), Status> {
        // Both have room for what is in flight and no more: the next event is taken when a receipt has come.
        let (mut sent, mut waiting) = mpsc::channel::<String>(in_flight);
        let (mut requests, stream) = mpsc::channel(in_flight);
        let first =
            pb::AppendStreamRequest { thread: Some(thread.to_owned()), options: Some(sync()), bodies: Vec::new() };
        let feeding = tokio::spawn(async move {
            let mut open = requests.send(first).await.is_ok();
            for body in bodies {
                let bodies = vec![body.clone().into_bytes().into()];
                let request = pb::AppendStreamRequest { thread: None, options: None, bodies };
                // Known before it is sent: a receipt has to find it.
                open = open && sent.send(body).await.is_ok() && requests.send(request).await.is_ok();
                if !open {
                    return;
                }
            }
        });
        let ended = async {
            let mut answers = self.0.append_stream(stream).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                for receipt in answer.receipts {
                    let body = waiting.next().await.expect("a receipt is of an event that was sent");
                    acknowledged(Appended { body, receipt });
                }
            }
            Ok(())
        };
        let ended = ended.await;
        feeding.abort();
        ended
    }
}

/// Answered after fsync.
fn sync() -> pb::AppendOptions {
    pb::AppendOptions { durability: pb::Durability::Sync.into(), audience: None }
}
