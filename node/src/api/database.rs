//! The calls of the service `Database`, each one line of translation around a method of the node.

use futures::{StreamExt as _, TryStreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::limits::MAX_FOUND_BYTES;
use super::pb::{self, database_server::Database};
use super::request::id;
use super::service::{Answer, Service, Stream};
use crate::node::Way;

mod commit;
mod reply;
mod request;
mod transact;
mod values;

#[tonic::async_trait]
impl Database for Service {
    async fn list_collections(
        &self,
        request: Request<pb::ListCollectionsRequest>,
    ) -> Answer<pb::ListCollectionsResponse> {
        let collections = self.node.collections(&id("thread", &request.get_ref().thread)?).await?;
        let collections = collections.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListCollectionsResponse { collections }))
    }

    async fn get_collection(&self, request: Request<pb::GetCollectionRequest>) -> Answer<pb::Collection> {
        let pb::GetCollectionRequest { thread, collection } = request.into_inner();
        Ok(Response::new(self.node.collection(&id("thread", &thread)?, &collection).await?.into()))
    }

    async fn define_collection(&self, request: Request<pb::DefineCollectionRequest>) -> Answer<pb::Collection> {
        let request = request.into_inner();
        let (thread, collection) = (id("thread", &request.thread)?, request.collection.clone());
        Ok(Response::new(self.node.define(&thread, &collection, request::definition(request)?).await?.into()))
    }

    async fn get_document(&self, request: Request<pb::GetDocumentRequest>) -> Answer<pb::Document> {
        let pb::GetDocumentRequest { thread, collection, id: document, at } = request.into_inner();
        let at = at.map(request::point).transpose()?;
        let target = request::target(collection, document)?;
        Ok(Response::new(self.node.document(&id("thread", &thread)?, target, at).await?.into()))
    }

    type FindStream = Stream<pb::FindResponse>;

    async fn find(&self, request: Request<pb::FindRequest>) -> Answer<Self::FindStream> {
        let pb::FindRequest { thread, collection, query, at, memory } = request.into_inner();
        let at = at.map(request::point).transpose()?;
        let (thread, query) = (id("thread", &thread)?, values::query(&query)?);
        let found = self.node.find(&thread, collection, query, request::memory(memory), at).await?;
        Ok(self.steps(found.map_ok(|documents| pb::FindResponse { documents }).boxed()))
    }

    async fn explain(&self, request: Request<pb::FindRequest>) -> Answer<pb::ExplainResponse> {
        let pb::FindRequest { thread, collection, query, at, .. } = request.into_inner();
        let at = at.map(request::point).transpose()?;
        let plan = self.node.explain(&id("thread", &thread)?, collection, values::query(&query)?, at).await?;
        Ok(Response::new(pb::ExplainResponse { plan: plan.explain().to_string() }))
    }

    async fn commit(&self, request: Request<pb::CommitRequest>) -> Answer<pb::CommitResponse> {
        let pb::CommitRequest { thread, writes } = request.into_inner();
        let writes = request::writes(writes)?;
        Ok(Response::new(self.node.commit(&id("thread", &thread)?, writes).await?.into()))
    }

    type CommitStreamStream = Stream<pb::CommitResponse>;

    async fn commit_stream(&self, request: Request<Streaming<pb::CommitRequest>>) -> Answer<Self::CommitStreamStream> {
        let answers = commit::commit_stream(self.node.clone(), request.into_inner(), self.stopping.clone());
        Ok(Response::new(answers.await?))
    }

    type TransactStream = Stream<pb::TransactResponse>;

    async fn transact(&self, request: Request<Streaming<pb::TransactRequest>>) -> Answer<Self::TransactStream> {
        let answers = transact::transact(self.node.clone(), request.into_inner(), self.stopping.clone());
        Ok(Response::new(answers.await?))
    }

    type WatchStream = Stream<pb::WatchResponse>;

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Answer<Self::WatchStream> {
        Ok(self.steps(self.node.watch(request::watch(request.into_inner())?).await?))
    }

    async fn list_versions(&self, request: Request<pb::ListVersionsRequest>) -> Answer<pb::ListVersionsResponse> {
        let request = request.into_inner();
        let (thread, page) = (id("thread", &request.thread)?, request::page(&request)?);
        let target = request::target(request.collection, request.id)?;
        Ok(Response::new(reply::versions(self.node.versions(&thread, target, page).await?)))
    }

    async fn undo(&self, request: Request<pb::RevertRequest>) -> Answer<pb::RevertResponse> {
        let pb::RevertRequest { thread, scope } = request.into_inner();
        let reverted = self.node.revert(&id("thread", &thread)?, request::part(scope)?, Way::Undo).await?;
        Ok(Response::new(reverted.into()))
    }

    async fn redo(&self, request: Request<pb::RevertRequest>) -> Answer<pb::RevertResponse> {
        let pb::RevertRequest { thread, scope } = request.into_inner();
        let reverted = self.node.revert(&id("thread", &thread)?, request::part(scope)?, Way::Redo).await?;
        Ok(Response::new(reverted.into()))
    }

    type RestoreStream = Stream<pb::RestoreResponse>;

    async fn restore(&self, request: Request<pb::RestoreRequest>) -> Answer<Self::RestoreStream> {
        let pb::RestoreRequest { thread, scope, to } = request.into_inner();
        let to = to.ok_or_else(|| Status::from(values::missing("to")))?;
        let (scope, to) = (request::part(scope)?, request::point(to)?);
        Ok(self.steps(self.node.restore(&id("thread", &thread)?, scope, to).await?))
    }

    async fn set_tag(&self, request: Request<pb::SetTagRequest>) -> Answer<pb::Tag> {
        let pb::SetTagRequest { thread, name, at } = request.into_inner();
        let at = at.map(request::point).transpose()?;
        Ok(Response::new(self.node.set_tag(&id("thread", &thread)?, name, at).await?.into()))
    }

    async fn remove_tag(&self, request: Request<pb::RemoveTagRequest>) -> Answer<pb::RemoveTagResponse> {
        let pb::RemoveTagRequest { thread, name } = request.into_inner();
        self.node.remove_tag(&id("thread", &thread)?, name).await?;
        Ok(Response::new(pb::RemoveTagResponse {}))
    }

    async fn list_tags(&self, request: Request<pb::ListTagsRequest>) -> Answer<pb::ListTagsResponse> {
        let tags = self.node.tags(&id("thread", &request.get_ref().thread)?).await?;
        Ok(Response::new(pb::ListTagsResponse { tags: tags.into_iter().map(Into::into).collect() }))
    }

    type ListConflictsStream = Stream<pb::Conflict>;

    async fn list_conflicts(&self, request: Request<pb::ListConflictsRequest>) -> Answer<Self::ListConflictsStream> {
        let pb::ListConflictsRequest { thread, collection } = request.into_inner();
        let conflicts = self.node.conflicts(&id("thread", &thread)?, collection).await?;
        let each = conflicts.map_ok(|page| futures::stream::iter(page.into_iter().map(Ok))).try_flatten();
        Ok(self.steps(each.boxed()))
    }

    async fn get_hash(&self, request: Request<pb::GetHashRequest>) -> Answer<pb::GetHashResponse> {
        Ok(Response::new(self.node.database_state(&id("thread", &request.get_ref().thread)?).await?.into()))
    }

    type RebuildStream = Stream<pb::RebuildResponse>;

    async fn rebuild(&self, request: Request<pb::RebuildRequest>) -> Answer<Self::RebuildStream> {
        Ok(self.steps(self.node.rebuild_database(&id("thread", &request.get_ref().thread)?).await?))
    }
}
