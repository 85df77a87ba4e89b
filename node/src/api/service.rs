//! The calls, each one line of translation around a method of the node.

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::pb::{self, spool_server::Spool};
use super::request::{self, id};
use super::{append, archive, file, peer};
use crate::model::{self, Error};
use crate::node::Node;

pub(super) type Answer<T> = Result<Response<T>, Status>;
pub(super) type Stream<T> = BoxStream<'static, Result<T, Status>>;

#[derive(Clone)]
pub(super) struct Service {
    pub(super) node: Node,
    /// What the installation is called in the configuration.
    pub(super) name: Option<String>,
    /// Ends the streams that would otherwise go on for as long as their clients like.
    pub(super) stopping: CancellationToken,
}

impl Service {
    /// Steps of the node as messages, ended with a status once the node stops.
    pub(super) fn steps<T, M>(&self, steps: BoxStream<'static, Result<T, Error>>) -> Response<Stream<M>>
    where
        T: Send + 'static,
        M: From<T> + Send + 'static,
    {
        let stopping = self.stopping.clone();
        let end = stream::once(async move { stopping.is_cancelled().then(|| Err(Error::Stopping)) });
        let steps = steps.take_until(self.stopping.clone().cancelled_owned()).chain(end.filter_map(std::future::ready));
        Response::new(steps.map(|step| step.map(M::from).map_err(Status::from)).boxed())
    }
}

#[tonic::async_trait]
impl Spool for Service {
    async fn get_node(&self, _: Request<pb::GetNodeRequest>) -> Answer<pb::Node> {
        Ok(Response::new(peer::node(&self.node.info(), self.name.clone())))
    }

    async fn new_device(&self, _: Request<pb::NewDeviceRequest>) -> Answer<pb::Node> {
        self.node.new_device().await?;
        Ok(Response::new(peer::node(&self.node.info(), self.name.clone())))
    }

    async fn get_stat(&self, _: Request<pb::GetStatRequest>) -> Answer<pb::Stat> {
        let uptime = self.node.info().uptime;
        Ok(Response::new(peer::stat(&self.node.stat().await?, uptime)))
    }

    async fn create_thread(&self, request: Request<pb::CreateThreadRequest>) -> Answer<pb::Thread> {
        let pb::CreateThreadRequest { name, variant } = request.into_inner();
        let thread = self.node.create_thread(request::name(name)?, request::variant(variant)?).await?;
        Ok(Response::new(thread.into()))
    }

    async fn list_threads(&self, _: Request<pb::ListThreadsRequest>) -> Answer<pb::ListThreadsResponse> {
        let threads = self.node.threads().await?.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListThreadsResponse { threads }))
    }

    async fn get_thread(&self, request: Request<pb::GetThreadRequest>) -> Answer<pb::ThreadDetail> {
        let thread = id("thread", &request.get_ref().thread)?;
        Ok(Response::new(self.node.thread(&thread).await?.into()))
    }

    async fn share_thread(&self, request: Request<pb::ShareThreadRequest>) -> Answer<pb::ShareThreadResponse> {
        let pb::ShareThreadRequest { thread, scope, to } = request.into_inner();
        let to = to.map(|to| id("to", &to)).transpose()?;
        let shared = self.node.share(&id("thread", &thread)?, request::scope(scope)?, to).await?;
        Ok(Response::new(shared.into()))
    }

    async fn join_thread(&self, request: Request<pb::JoinThreadRequest>) -> Answer<pb::Thread> {
        let pb::JoinThreadRequest { ticket, name } = request.into_inner();
        Ok(Response::new(self.node.join(ticket.trim(), request::name(name)?).await?.into()))
    }

    type ExportThreadStream = Stream<pb::ExportThreadResponse>;

    async fn export_thread(&self, request: Request<pb::ExportThreadRequest>) -> Answer<Self::ExportThreadStream> {
        let thread = id("thread", &request.get_ref().thread)?;
        Ok(Response::new(archive::pieces(self.node.export(&thread).await?)))
    }

    type ImportThreadStream = Stream<pb::ImportThreadResponse>;

    async fn import_thread(
        &self,
        request: Request<Streaming<pb::ImportThreadRequest>>,
    ) -> Answer<Self::ImportThreadStream> {
        let mut requests = request.into_inner();
        let thread = id("thread", &archive::thread(&mut requests).await?)?;
        let steps = self.node.import(&thread, archive::content(requests)).await?;
        Ok(self.steps(steps))
    }

    async fn remove_thread(&self, request: Request<pb::RemoveThreadRequest>) -> Answer<pb::RemoveThreadResponse> {
        self.node.remove_thread(&id("thread", &request.get_ref().thread)?).await?;
        Ok(Response::new(pb::RemoveThreadResponse {}))
    }

    async fn add_follower(&self, request: Request<pb::AddFollowerRequest>) -> Answer<pb::Follower> {
        let pb::AddFollowerRequest { thread, peer, code } = request.into_inner();
        Ok(Response::new(self.node.add_follower(&peer, &id("thread", &thread)?, code).await?.into()))
    }

    async fn list_followers(&self, request: Request<pb::ListFollowersRequest>) -> Answer<pb::ListFollowersResponse> {
        let thread = request.get_ref().thread.as_deref().map(|thread| id("thread", thread)).transpose()?;
        let followers = self.node.list_followers(thread.as_ref())?.into_iter().map(Into::into).collect();
        let followed = if thread.is_some() { Vec::new() } else { self.node.list_followed() };
        let followed = followed.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListFollowersResponse { followers, followed }))
    }

    async fn remove_follower(&self, request: Request<pb::RemoveFollowerRequest>) -> Answer<pb::RemoveFollowerResponse> {
        let pb::RemoveFollowerRequest { thread, peer } = request.into_inner();
        let told = self.node.remove_follower(&peer, &id("thread", &thread)?).await?;
        Ok(Response::new(pb::RemoveFollowerResponse { told }))
    }

    async fn get_thread_status(&self, request: Request<pb::GetThreadStatusRequest>) -> Answer<pb::ThreadStatus> {
        let thread = id("thread", &request.get_ref().thread)?;
        Ok(Response::new(self.node.thread_status(&thread).await?.into()))
    }

    async fn wait_for_followers(
        &self,
        request: Request<pb::WaitForFollowersRequest>,
    ) -> Answer<pb::WaitForFollowersResponse> {
        let pb::WaitForFollowersRequest { thread, log, counter, followers, timeout_ms } = request.into_inner();
        let (thread, log) = (id("thread", &thread)?, id("log", &log)?);
        let timeout = request::followers_timeout(timeout_ms);
        let durable = self.node.wait_for_followers(&thread, &log, counter, followers, timeout).await?;
        let model::Durable { durable, followers } = durable;
        Ok(Response::new(pb::WaitForFollowersResponse { durable, followers }))
    }

    async fn set_retention(&self, request: Request<pb::SetRetentionRequest>) -> Answer<pb::Followed> {
        let pb::SetRetentionRequest { thread, bodies_days } = request.into_inner();
        Ok(Response::new(self.node.set_retention(&id("thread", &thread)?, bodies_days).await?.into()))
    }

    async fn drop_followed(&self, request: Request<pb::DropFollowedRequest>) -> Answer<pb::DropFollowedResponse> {
        let (nodes, told) = self.node.drop_followed(&id("thread", &request.get_ref().thread)?).await?;
        Ok(Response::new(pb::DropFollowedResponse { nodes: nodes as u32, told: told as u32 }))
    }

    async fn list_keys(&self, request: Request<pb::ListKeysRequest>) -> Answer<pb::ListKeysResponse> {
        let epochs = self.node.keys(&id("thread", &request.get_ref().thread)?).await?;
        Ok(Response::new(pb::ListKeysResponse { epochs: epochs.into_iter().map(Into::into).collect() }))
    }

    async fn append(&self, request: Request<pb::AppendRequest>) -> Answer<pb::Receipt> {
        let pb::AppendRequest { thread, body, options } = request.into_inner();
        let options = request::append_options(options)?;
        let pending = self.node.append(&id("thread", &thread)?, body, options).await?;
        Ok(Response::new(pending.await?.into()))
    }

    type AppendStreamStream = Stream<pb::AppendStreamResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<pb::AppendStreamRequest>>,
    ) -> Answer<Self::AppendStreamStream> {
        let answers = append::append_stream(self.node.clone(), request.into_inner(), self.stopping.clone());
        Ok(Response::new(answers.await?))
    }

    type ReadLogStream = Stream<pb::ReadLogResponse>;

    async fn read_log(&self, request: Request<pb::ReadLogRequest>) -> Answer<Self::ReadLogStream> {
        let query = request::log_query(request.get_ref())?;
        Ok(self.steps(self.node.log(query).await?))
    }

    async fn get_object(&self, request: Request<pb::GetObjectRequest>) -> Answer<pb::Object> {
        let pb::GetObjectRequest { cid, max_body, raw } = request.into_inner();
        let cid = id("cid", &cid)?;
        let mut object: pb::Object = self.node.get(&cid, request::max_body(max_body)).await?.into();
        if raw {
            object.raw = Some(self.node.block(&cid).await?);
        }
        Ok(Response::new(object))
    }

    async fn add_file(&self, request: Request<Streaming<pb::AddFileRequest>>) -> Answer<pb::Receipt> {
        let mut requests = request.into_inner();
        let start = file::start(&mut requests).await?;
        let options = request::append_options(start.options)?;
        let content = file::content(requests, start.size);
        let receipt = self.node.add(&id("thread", &start.thread)?, content, options).await?;
        Ok(Response::new(receipt.into()))
    }

    type CatStream = Stream<pb::CatResponse>;

    async fn cat(&self, request: Request<pb::CatRequest>) -> Answer<Self::CatStream> {
        let content = self.node.cat(&id("cid", &request.get_ref().cid)?).await?;
        Ok(Response::new(file::pieces(content)))
    }

    type SyncStream = Stream<pb::SyncResponse>;

    async fn sync(&self, request: Request<pb::SyncRequest>) -> Answer<Self::SyncStream> {
        let options = request::sync_options(request.get_ref())?;
        Ok(self.steps(self.node.sync(options).await?))
    }

    async fn get_home(&self, _: Request<pb::GetHomeRequest>) -> Answer<pb::Home> {
        Ok(Response::new(self.node.home_info().await?.into()))
    }

    type RecoverStream = Stream<pb::RecoverResponse>;

    async fn recover(&self, request: Request<pb::RecoverRequest>) -> Answer<Self::RecoverStream> {
        let options = request::recover_options(request.get_ref())?;
        Ok(self.steps(self.node.recover(options)))
    }

    type VerifyStream = Stream<pb::VerifyResponse>;

    async fn verify(&self, request: Request<pb::VerifyRequest>) -> Answer<Self::VerifyStream> {
        let options = request::verify_options(request.get_ref())?;
        Ok(self.steps(self.node.verify(options).await?))
    }

    type BackupStream = Stream<pb::BackupResponse>;

    async fn backup(&self, request: Request<pb::BackupRequest>) -> Answer<Self::BackupStream> {
        let steps = self.node.back_up(request.into_inner().directory.into()).await?;
        Ok(self.steps(steps))
    }

    async fn list_peers(&self, _: Request<pb::ListPeersRequest>) -> Answer<pb::ListPeersResponse> {
        let peers = self.node.peers().await?.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListPeersResponse { peers }))
    }

    async fn connect_peer(&self, request: Request<pb::ConnectPeerRequest>) -> Answer<pb::ConnectPeerResponse> {
        let peer = self.node.connect(&id("address", &request.get_ref().address)?).await?;
        Ok(Response::new(pb::ConnectPeerResponse { peer_id: peer.to_string() }))
    }

    async fn list_addresses(&self, _: Request<pb::ListAddressesRequest>) -> Answer<pb::ListAddressesResponse> {
        Ok(Response::new(self.node.addresses().await?.into()))
    }
}
