//! `threads.net.pb.API`: threads, logs and records, beneath databases.
//!
//! Record nodes carry Spool's own sealed records and blocks: those of the reference implementation sign too little, and neither side could read the other's.

use std::sync::Arc;

use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream as Events},
};
use spool_proto::{Address, Cid, LogId, ThreadId, ThreadKeys, address::Target, owner::Delegation};
use tonic::{Code, Request, Response, Status, Streaming, codegen::BoxStream};

use super::{
    base::Shared,
    lifecycle, limits, login,
    net_pb::{
        self, AddRecordReply, AddRecordRequest, AddReplicatorReply, AddReplicatorRequest, AddThreadRequest,
        CreateRecordRequest, CreateThreadRequest, DeleteThreadReply, DeleteThreadRequest, GetHostIdReply,
        GetHostIdRequest, GetRecordReply, GetRecordRequest, GetThreadRequest, Keys, LogInfo, NewRecordReply,
        PullThreadReply, PullThreadRequest, Record, SubscribeRequest, ThreadInfoReply, api_server::Api,
    },
    refused::Refused,
    request,
};
use crate::{
    model::{AppendOptions, Entry, Error, LogItem, LogQuery},
    node::Offer,
};

type Answer<T> = Result<Response<T>, Status>;

/// `threads.net.pb.API`.
#[derive(Clone)]
pub struct Network(Arc<Shared>);

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The id is looked at before the caller, as with the reference.
    fn thread<T>(&self, request: &Request<T>, id: &[u8]) -> Result<(ThreadId, Option<Delegation>), Refused> {
        let thread = request::thread(id)?;
        Ok((thread, self.caller(request)?))
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<Option<Delegation>, Refused> {
        self.0.tokens.caller(request.metadata())
    }

    async fn info(&self, thread: &ThreadId) -> Result<ThreadInfoReply, Refused> {
        let detail = self.0.node.thread(thread).await.map_err(unknown)?;
        let logs = detail.logs.into_iter().map(|log| {
            let (counter, head) = log.head.map_or((0, Bytes::new()), |(counter, cid)| (counter, cid.to_bytes().into()));
            LogInfo {
                id: log.id.to_bytes().to_vec().into(),
                pub_key: public_key(log.id.public_key()),
                // It is derived from the owner's identity, and never leaves the node.
                priv_key: Bytes::new(),
                addrs: log.addresses.iter().map(|address| address.to_vec().into()).collect(),
                head,
                counter: zigzag(counter),
            }
        });
        let logs = logs.collect();
        let of = |base| Address { base, target: Target::Thread(thread.clone()) }.to_bytes().into();
        let addrs = lifecycle::addresses(&self.0).await?.into_iter().map(of).collect();
        let thread_key = Bytes::copy_from_slice(&self.0.node.textile_follow_key(thread)?);
        Ok(ThreadInfoReply { thread_id: Bytes::copy_from_slice(thread.as_bytes()), thread_key, logs, addrs })
    }

    /// Whether a thread has a database in use, whose records others make.
    async fn is_in_use(&self, thread: &ThreadId) -> Result<bool, Refused> {
        match self.0.base(thread.clone(), None).await {
            Ok(base) => Ok(!base.blocking(|base| base.database.read(|read| Ok(read.collections()?))).await?.is_empty()),
            // One that is only followed has none.
            Err(refused) if refused.text == "db not found" => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    async fn record(&self, cid: &Cid, body: Option<&Cid>) -> Result<Record, Refused> {
        let record_node = self.0.node.block(cid).await?;
        let body_node = match body {
            None => Bytes::new(),
            Some(body) => match self.0.node.block(body).await {
                Ok(block) => block,
                Err(Error::ObjectNotFound(_)) => Bytes::new(),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Record { record_node, body_node, ..Record::default() })
    }
}

/// This service of the reference has no code for what is not there.
fn unknown(error: Error) -> Refused {
    let refused = Refused::from(error);
    if refused.code == Code::NotFound { Refused::unknown(refused.text) } else { refused }
}

/// The keys of a thread: read and follow, or follow alone.
fn keys(keys: &Option<Keys>) -> Result<Option<ThreadKeys>, Refused> {
    let Some(keys) = keys else { return Ok(None) };
    request::no_log_key(&keys.log_key)?;
    if keys.thread_key.is_empty() {
        return Ok(None);
    }
    ThreadKeys::from_textile(&keys.thread_key).map(Some).map_err(|_| Refused::invalid("invalid key"))
}

/// libp2p's protobuf form of an ed25519 public key.
fn public_key(key: &[u8; 32]) -> Bytes {
    [&[0x08, 0x01, 0x12, 0x20], &key[..]].concat().into()
}

/// A counter as the reference writes it: a zig-zag varint in eight bytes.
fn zigzag(counter: u64) -> Bytes {
    let mut value = counter << 1;
    let mut bytes = Vec::with_capacity(8);
    while value >= 0x80 {
        bytes.push((value as u8) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes.resize(bytes.len().max(8), 0);
    bytes.into()
}

fn cid(bytes: &[u8]) -> Result<Cid, Refused> {
    Cid::try_from(bytes).map_err(|error| Refused::invalid(error.to_string()))
}

#[tonic::async_trait]
impl Api for Network {
    async fn get_host_id(&self, request: Request<GetHostIdRequest>) -> Answer<GetHostIdReply> {
        self.caller(&request)?;
        Ok(Response::new(GetHostIdReply { peer_id: self.0.node.info().peer.to_bytes().into() }))
    }

    async fn get_token(
        &self,
        request: Request<Streaming<net_pb::GetTokenRequest>>,
    ) -> Answer<BoxStream<net_pb::GetTokenReply>> {
        Ok(Response::new(Box::pin(login::login(self.0.tokens.clone(), request.into_inner()))))
    }

    async fn create_thread(&self, request: Request<CreateThreadRequest>) -> Answer<ThreadInfoReply> {
        let (thread, _) = self.thread(&request, &request.get_ref().thread_id)?;
        let keys = keys(&request.get_ref().keys)?.unwrap_or_else(|| {
            let mut entropy = [0; 64];
            rand::fill(&mut entropy);
            ThreadKeys::generate(entropy)
        });
        self.0.node.add_thread(&thread, keys, None, None).await.map_err(exists)?;
        Ok(Response::new(self.info(&thread).await?))
    }

    async fn add_thread(&self, request: Request<AddThreadRequest>) -> Answer<ThreadInfoReply> {
        let (address, thread) = request::address(&request.get_ref().addr)?;
        self.caller(&request)?;
        let keys = keys(&request.get_ref().keys)?.ok_or_else(|| Refused::invalid("invalid key"))?;
        let is_here = self.0.node.thread(&thread).await.is_ok();
        if address.peer() == Some(self.0.node.info().peer) {
            if !is_here {
                return Err(Refused::unknown("cannot retrieve thread from self: thread not found").into());
            }
        } else {
            self.0.node.add_thread(&thread, keys, None, Some(&address)).await.map_err(exists)?;
        }
        Ok(Response::new(self.info(&thread).await?))
    }

    async fn get_thread(&self, request: Request<GetThreadRequest>) -> Answer<ThreadInfoReply> {
        let (thread, _) = self.thread(&request, &request.get_ref().thread_id)?;
        Ok(Response::new(self.info(&thread).await?))
    }

    async fn pull_thread(&self, request: Request<PullThreadRequest>) -> Answer<PullThreadReply> {
        let (thread, _) = self.thread(&request, &request.get_ref().thread_id)?;
        // Whether a peer has answered makes no difference, as with the reference.
        self.0.node.ask_peers(&thread, limits::FIRST_HEADS).await.map_err(unknown)?;
        Ok(Response::new(PullThreadReply {}))
    }

    async fn delete_thread(&self, request: Request<DeleteThreadRequest>) -> Answer<DeleteThreadReply> {
        let (thread, _) = self.thread(&request, &request.get_ref().thread_id)?;
        if self.is_in_use(&thread).await? {
            return Err(Refused::unknown("cannot delete thread: thread is in use").into());
        }
        self.0.node.remove_thread(&thread).await.map_err(unknown)?;
        self.0.provisional.forget(&thread);
        Ok(Response::new(DeleteThreadReply {}))
    }

    /// The other node takes the thread if its operator offers to: see its setting `follow`.
    async fn add_replicator(&self, request: Request<AddReplicatorRequest>) -> Answer<AddReplicatorReply> {
        let (thread, _) = self.thread(&request, &request.get_ref().thread_id)?;
        let address = Address::from_bytes(&request.get_ref().addr);
        let address = address.map_err(|error| Refused::invalid(format!("parsing replicator: {error}")))?;
        let follower = self.0.node.add_follower(&address.base.to_string(), &thread, None).await;
        let follower = follower.map_err(Refused::from)?;
        Ok(Response::new(AddReplicatorReply { peer_id: follower.peer.to_bytes().into() }))
    }

    async fn create_record(&self, request: Request<CreateRecordRequest>) -> Answer<NewRecordReply> {
        let (thread, caller) = self.thread(&request, &request.get_ref().thread_id)?;
        let body = request.into_inner().body;
        if serde_ipld_dagcbor::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(Refused::invalid("the body is not DAG-CBOR").into());
        }
        if self.is_in_use(&thread).await? {
            return Err(Refused::unknown("cannot create record: thread is in use").into());
        }
        if let Some(caller) = &caller {
            self.0.node.write_for(&thread, caller).await.map_err(unknown)?;
        }
        let client = caller.map(|caller| caller.statement.owner);
        let options = AppendOptions { client, ..AppendOptions::default() };
        let receipt = async { self.0.node.append(&thread, body, options).await?.await }.await.map_err(unknown)?;
        let record = self.record(&receipt.cid, receipt.body.as_ref()).await?;
        Ok(Response::new(reply(&thread, receipt.log.to_bytes(), record)))
    }

    /// Thread, log and record are looked at in this order, as with the reference; what is here already is fine.
    async fn add_record(&self, request: Request<AddRecordRequest>) -> Answer<AddRecordReply> {
        let (thread, _) = self.thread(&request, &request.get_ref().thread_id)?;
        let AddRecordRequest { log_id, record, .. } = request.into_inner();
        let log = LogId::from_bytes(&log_id).map_err(|error| Refused::invalid(error.to_string()))?;
        let record = record.ok_or_else(|| Refused::invalid("no record"))?;
        let body = Some(record.body_node).filter(|body| !body.is_empty());
        match self.0.node.offer(Offer { thread, log, record: record.record_node, body }).await {
            Ok(()) => Ok(Response::new(AddRecordReply {})),
            Err(Error::LogNotFound { .. }) => Err(Refused::unknown("log not found").into()),
            Err(error) => Err(unknown(error).into()),
        }
    }

    async fn get_record(&self, request: Request<GetRecordRequest>) -> Answer<GetRecordReply> {
        let (thread, _) = self.thread(&request, &request.get_ref().thread_id)?;
        let wanted = cid(&request.get_ref().record_id)?;
        self.0.node.thread(&thread).await.map_err(unknown)?;
        let record = self.record(&wanted, None).await?;
        Ok(Response::new(GetRecordReply { record: Some(record) }))
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer<BoxStream<NewRecordReply>> {
        self.caller(&request)?;
        let ids = &request.get_ref().thread_i_ds;
        let threads = if ids.is_empty() {
            self.0.node.threads().await.map_err(Refused::from)?.into_iter().map(|thread| thread.id).collect()
        } else {
            ids.iter().map(|id| request::thread(id)).collect::<Result<Vec<_>, _>>()?
        };
        let mut streams = Vec::with_capacity(threads.len());
        for thread in threads {
            streams.push(self.follow(thread).await?);
        }
        let stopping = self.0.stopping.clone();
        Ok(Response::new(Box::pin(stream::select_all(streams).take_until(stopping.cancelled_owned()))))
    }
}

fn exists(error: Error) -> Refused {
    match error {
        Error::ThreadExists(_) => Refused::unknown("thread already exists"),
        error => error.into(),
    }
}

fn reply(thread: &ThreadId, log: impl AsRef<[u8]>, record: Record) -> NewRecordReply {
    NewRecordReply {
        thread_id: Bytes::copy_from_slice(thread.as_bytes()),
        log_id: Bytes::copy_from_slice(log.as_ref()),
        record: Some(record),
    }
}

impl Network {
    /// The records of a thread from now on.
    async fn follow(&self, thread: ThreadId) -> Result<Events<'static, Result<NewRecordReply, Status>>, Refused> {
        let logs = self.0.node.thread(&thread).await.map_err(unknown)?.logs;
        let after = logs.into_iter().map(|log| (log.id, log.head.map_or(0, |(counter, _)| counter))).collect();
        let query =
            LogQuery { thread: thread.clone(), logs: Vec::new(), after, limit: None, follow: true, max_body: 0 };
        let items = self.0.node.log(query).await?;
        let network = self.clone();
        Ok(items
            .filter_map(move |item| {
                let (network, thread) = (network.clone(), thread.clone());
                async move {
                    match item {
                        Ok(LogItem::Entry(entry)) => Some(network.new_record(&thread, &entry).await),
                        Ok(LogItem::CaughtUp) => None,
                        Err(error) => Some(Err(Refused::from(error).into())),
                    }
                }
            })
            .boxed())
    }

    async fn new_record(&self, thread: &ThreadId, entry: &Entry) -> Result<NewRecordReply, Status> {
        let record = self.record(&entry.cid, entry.links.first()).await?;
        Ok(reply(thread, entry.log.to_bytes(), record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_written_as_go_does() {
        assert_eq!(zigzag(0)[..], [0; 8]);
        assert_eq!(zigzag(1)[..], [2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(zigzag(64)[..], [0x80, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(zigzag(300)[..], [0xd8, 4, 0, 0, 0, 0, 0, 0]);
    }
}
