//! The calls, each one a line around what the other modules do.

use std::sync::Arc;

use futures::StreamExt as _;
use spool_proto::owner::Delegation;
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use super::{
    base::{Base, Shared},
    collections,
    instances::{Collection, Draft},
    lifecycle, listen, login,
    pb::{self, api_server::Api},
    refused::Refused,
    request, transactions,
};

type Answer<T> = Result<Response<T>, Status>;

/// `threads.pb.API`.
#[derive(Clone)]
pub struct Databases(Arc<Shared>);

impl Databases {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<Option<Delegation>, Refused> {
        self.0.tokens.caller(request.metadata())
    }

    /// The id is looked at before the caller, as with the reference.
    async fn base<T>(&self, request: &Request<T>, id: &[u8]) -> Result<Base, Refused> {
        request::thread(id)?;
        let caller = self.caller(request)?;
        self.0.open(id, caller).await
    }

    /// Reads a collection.
    async fn read<T, A: Send + 'static>(
        &self,
        request: &Request<T>,
        id: &[u8],
        name: String,
        read: impl FnOnce(&Collection<'_>) -> Result<A, Refused> + Send + 'static,
    ) -> Result<A, Refused> {
        let base = self.base(request, id).await?;
        base.blocking(move |base| base.database.read(|state| read(&Collection::new(base, state, &name)?))).await
    }

    /// Writes to a collection, as one event.
    async fn write<T, A: Send + 'static>(
        &self,
        request: &Request<T>,
        id: &[u8],
        name: String,
        write: impl FnOnce(&Collection<'_>, &mut Draft) -> Result<A, Refused> + Send + 'static,
    ) -> Result<A, Refused> {
        let base = self.base(request, id).await?;
        let _turn = self.0.turns.single(&base.thread).await;
        let written = base.blocking(move |base| {
            base.database.read(|state| {
                let mut draft = Draft::default();
                let answer = write(&Collection::new(base, state, &name)?, &mut draft)?;
                Ok((answer, draft))
            })
        });
        let (answer, draft) = written.await?;
        draft.commit(&base).await?;
        Ok(answer)
    }
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Databases").finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl Api for Databases {
    async fn get_token(
        &self,
        request: Request<Streaming<pb::GetTokenRequest>>,
    ) -> Answer<BoxStream<pb::GetTokenReply>> {
        Ok(Response::new(Box::pin(login::login(self.0.tokens.clone(), request.into_inner()))))
    }

    async fn new_db(&self, request: Request<pb::NewDbRequest>) -> Answer<pb::NewDbReply> {
        let caller = self.caller(&request)?;
        lifecycle::create(&self.0, request.into_inner(), caller).await?;
        Ok(Response::new(pb::NewDbReply {}))
    }

    async fn new_db_from_addr(&self, request: Request<pb::NewDbFromAddrRequest>) -> Answer<pb::NewDbReply> {
        let caller = self.caller(&request)?;
        lifecycle::add(&self.0, request.into_inner(), caller).await?;
        Ok(Response::new(pb::NewDbReply {}))
    }

    async fn list_d_bs(&self, request: Request<pb::ListDBsRequest>) -> Answer<pb::ListDBsReply> {
        self.caller(&request)?;
        Ok(Response::new(lifecycle::list(&self.0).await?))
    }

    async fn get_db_info(&self, request: Request<pb::GetDbInfoRequest>) -> Answer<pb::GetDbInfoReply> {
        let thread = request::thread(&request.get_ref().db_id)?;
        self.caller(&request)?;
        Ok(Response::new(lifecycle::show(&self.0, &thread).await?))
    }

    async fn delete_db(&self, request: Request<pb::DeleteDbRequest>) -> Answer<pb::DeleteDbReply> {
        request::thread(&request.get_ref().db_id)?;
        let caller = self.caller(&request)?;
        lifecycle::delete(&self.0, &request.get_ref().db_id, caller).await?;
        Ok(Response::new(pb::DeleteDbReply {}))
    }

    async fn new_collection(&self, request: Request<pb::NewCollectionRequest>) -> Answer<pb::NewCollectionReply> {
        let base = self.base(&request, &request.get_ref().db_id).await?;
        let config = request.into_inner().config.unwrap_or_default();
        let definition = collections::reading(move || collections::read(&config)).await?;
        let _turn = self.0.turns.single(&base.thread).await;
        collections::create(&base, definition).await?;
        Ok(Response::new(pb::NewCollectionReply {}))
    }

    async fn update_collection(
        &self,
        request: Request<pb::UpdateCollectionRequest>,
    ) -> Answer<pb::UpdateCollectionReply> {
        let base = self.base(&request, &request.get_ref().db_id).await?;
        let config = request.into_inner().config.unwrap_or_default();
        let definition = collections::reading(move || collections::read(&config)).await?;
        let _turn = self.0.turns.single(&base.thread).await;
        collections::update(&base, definition).await?;
        Ok(Response::new(pb::UpdateCollectionReply {}))
    }

    async fn delete_collection(
        &self,
        request: Request<pb::DeleteCollectionRequest>,
    ) -> Answer<pb::DeleteCollectionReply> {
        let base = self.base(&request, &request.get_ref().db_id).await?;
        let _turn = self.0.turns.single(&base.thread).await;
        collections::delete(&base, request.into_inner().name).await?;
        Ok(Response::new(pb::DeleteCollectionReply {}))
    }

    async fn get_collection_info(
        &self,
        request: Request<pb::GetCollectionInfoRequest>,
    ) -> Answer<pb::GetCollectionInfoReply> {
        let (id, name) = (request.get_ref().db_id.clone(), request.get_ref().name.clone());
        let info = self.read(&request, &id, name, |collection| Ok(collections::show(collection.definition()))).await?;
        Ok(Response::new(info))
    }

    async fn get_collection_indexes(
        &self,
        request: Request<pb::GetCollectionIndexesRequest>,
    ) -> Answer<pb::GetCollectionIndexesReply> {
        let (id, name) = (request.get_ref().db_id.clone(), request.get_ref().name.clone());
        let read = self.read(&request, &id, name, |collection| Ok(collections::indexes(collection.definition())));
        Ok(Response::new(pb::GetCollectionIndexesReply { indexes: read.await? }))
    }

    async fn list_collections(&self, request: Request<pb::ListCollectionsRequest>) -> Answer<pb::ListCollectionsReply> {
        let base = self.base(&request, &request.get_ref().db_id).await?;
        let definitions = base.blocking(|base| base.database.read(|read| collections::list(base, read))).await?;
        let collections = definitions.iter().map(collections::show).collect();
        Ok(Response::new(pb::ListCollectionsReply { collections }))
    }

    async fn create(&self, mut request: Request<pb::CreateRequest>) -> Answer<pb::CreateReply> {
        let pb::CreateRequest { db_id, collection_name, instances } = std::mem::take(request.get_mut());
        let create = move |collection: &Collection<'_>, draft: &mut Draft| collection.create(&instances, draft);
        let instance_i_ds = self.write(&request, &db_id, collection_name, create).await?;
        Ok(Response::new(pb::CreateReply { instance_i_ds, ..pb::CreateReply::default() }))
    }

    async fn verify(&self, mut request: Request<pb::VerifyRequest>) -> Answer<pb::VerifyReply> {
        let pb::VerifyRequest { db_id, collection_name, instances } = std::mem::take(request.get_mut());
        self.read(&request, &db_id, collection_name, move |collection| collection.verify(&instances)).await?;
        Ok(Response::new(pb::VerifyReply::default()))
    }

    async fn save(&self, mut request: Request<pb::SaveRequest>) -> Answer<pb::SaveReply> {
        let pb::SaveRequest { db_id, collection_name, instances } = std::mem::take(request.get_mut());
        let save = move |collection: &Collection<'_>, draft: &mut Draft| collection.save(&instances, draft);
        self.write(&request, &db_id, collection_name, save).await?;
        Ok(Response::new(pb::SaveReply::default()))
    }

    async fn delete(&self, mut request: Request<pb::DeleteRequest>) -> Answer<pb::DeleteReply> {
        let pb::DeleteRequest { db_id, collection_name, instance_i_ds } = std::mem::take(request.get_mut());
        let delete = move |collection: &Collection<'_>, draft: &mut Draft| collection.delete(&instance_i_ds, draft);
        self.write(&request, &db_id, collection_name, delete).await?;
        Ok(Response::new(pb::DeleteReply::default()))
    }

    async fn has(&self, mut request: Request<pb::HasRequest>) -> Answer<pb::HasReply> {
        let pb::HasRequest { db_id, collection_name, instance_i_ds } = std::mem::take(request.get_mut());
        let has = self.read(&request, &db_id, collection_name, move |collection| collection.has(&instance_i_ds));
        Ok(Response::new(pb::HasReply { exists: has.await?, ..pb::HasReply::default() }))
    }

    async fn find(&self, mut request: Request<pb::FindRequest>) -> Answer<pb::FindReply> {
        let pb::FindRequest { db_id, collection_name, query_json } = std::mem::take(request.get_mut());
        let find = self.read(&request, &db_id, collection_name, move |collection| collection.find(&query_json));
        Ok(Response::new(pb::FindReply { instances: find.await?, ..pb::FindReply::default() }))
    }

    async fn find_by_id(&self, mut request: Request<pb::FindByIdRequest>) -> Answer<pb::FindByIdReply> {
        let pb::FindByIdRequest { db_id, collection_name, instance_id } = std::mem::take(request.get_mut());
        let find = self.read(&request, &db_id, collection_name, move |collection| collection.find_by_id(&instance_id));
        Ok(Response::new(pb::FindByIdReply { instance: find.await?, ..pb::FindByIdReply::default() }))
    }

    async fn read_transaction(
        &self,
        request: Request<Streaming<pb::ReadTransactionRequest>>,
    ) -> Answer<BoxStream<pb::ReadTransactionReply>> {
        let caller = self.caller(&request)?;
        Ok(Response::new(Box::pin(transactions::read(self.0.clone(), request.into_inner(), caller))))
    }

    async fn write_transaction(
        &self,
        request: Request<Streaming<pb::WriteTransactionRequest>>,
    ) -> Answer<BoxStream<pb::WriteTransactionReply>> {
        let caller = self.caller(&request)?;
        Ok(Response::new(Box::pin(transactions::write(self.0.clone(), request.into_inner(), caller))))
    }

    async fn listen(&self, request: Request<pb::ListenRequest>) -> Answer<BoxStream<pb::ListenReply>> {
        let base = self.base(&request, &request.get_ref().db_id).await?;
        Ok(Response::new(listen::listen(base, request.into_inner()).await?.boxed()))
    }
}
