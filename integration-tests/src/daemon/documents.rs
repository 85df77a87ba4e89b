//! A client of the databases of a daemon.

use futures::{SinkExt as _, channel::mpsc};
use spool_node::api::{
    Connection, MAX_DOCUMENTS_BYTES,
    pb::{self, database_client::DatabaseClient, write::Change},
};
use tonic::Status;

use super::Daemon;

/// A connection to the databases of a daemon. Clones share it.
#[derive(Clone)]
pub struct Documents(DatabaseClient<Connection>);

/// A write of one document.
pub fn write(collection: &str, id: &str, change: Change) -> pb::Write {
    pb::Write { collection: collection.to_owned(), id: id.to_owned(), if_version: None, change: Some(change) }
}

impl Documents {
    /// Connects.
    pub async fn connect(daemon: &Daemon) -> Self {
        let client = DatabaseClient::new(daemon.connect().await);
        Self(client.max_decoding_message_size(MAX_DOCUMENTS_BYTES))
    }

    /// The client itself.
    pub fn client(&mut self) -> &mut DatabaseClient<Connection> {
        &mut self.0
    }

    /// Defines a collection with an index.
    pub async fn define(&mut self, thread: &str, collection: &str, index: &str) {
        let index = pb::Index { path: index.to_owned(), unique: false, ready: false };
        let request = pb::DefineCollectionRequest {
            thread: thread.to_owned(),
            collection: collection.to_owned(),
            add_indexes: vec![index],
            ..Default::default()
        };
        self.0.define_collection(request).await.expect("a good definition");
    }

    /// Commits transactions, so many in flight at once, until there are no more or the daemon is gone. Calls `acknowledged` with each as its answer comes.
    ///
    /// # Errors
    ///
    /// What ended the stream, where it was not the end of the transactions.
    pub async fn commit_many(
        &mut self,
        thread: &str,
        in_flight: usize,
        transactions: impl Iterator<Item = Vec<pb::Write>> + Send + 'static,
        mut acknowledged: impl FnMut(pb::CommitResponse),
    ) -> Result<(), Status> {
        // Room for what is in flight and no more.
        let (mut room, mut answered) = mpsc::channel::<()>(in_flight);
        let (mut requests, stream) = mpsc::channel(in_flight);
        let mut thread = thread.to_owned();
        let feeding = tokio::spawn(async move {
            for writes in transactions {
                let request = pb::CommitRequest { thread: std::mem::take(&mut thread), writes };
                if room.send(()).await.is_err() || requests.send(request).await.is_err() {
                    return;
                }
            }
        });
        let ended = async {
            let mut answers = self.0.commit_stream(stream).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                // The other end goes when all have been sent.
                let _ = futures::StreamExt::next(&mut answered).await;
                acknowledged(answer);
            }
            Ok(())
        };
        let ended = ended.await;
        feeding.abort();
        ended
    }

    /// All documents that answer a query, as JSON.
    pub async fn find(&mut self, thread: &str, collection: &str, query: &str) -> Vec<serde_json::Value> {
        let request = pb::FindRequest {
            thread: thread.to_owned(),
            collection: collection.to_owned(),
            query: query.to_owned(),
            ..Default::default()
        };
        let mut pages = self.0.find(request).await.expect("a good query").into_inner();
        let mut found = Vec::new();
        while let Some(page) = pages.message().await.expect("the documents can be read") {
            found.extend(page.documents.iter().map(|json| serde_json::from_str(json).expect("JSON")));
        }
        found
    }

    /// The hash, once all that is here is folded.
    pub async fn hash(&mut self, thread: &str) -> String {
        loop {
            let request = pb::GetHashRequest { thread: thread.to_owned() };
            let state = self.0.get_hash(request).await.expect("the thread is here").into_inner();
            if !state.folding {
                assert!(state.held.is_empty(), "{:?}", state.held);
                return state.hash;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Folds everything anew, and waits for the end of it.
    pub async fn rebuild(&mut self, thread: &str) {
        let request = pb::RebuildRequest { thread: thread.to_owned() };
        let mut steps = self.0.rebuild(request).await.expect("the thread is here").into_inner();
        let mut last = None;
        while let Some(step) = steps.message().await.expect("it is folded") {
            last = Some(step);
        }
        let last = last.expect("a step");
        assert!(last.done && last.events == last.total, "{last:?}");
    }
}
