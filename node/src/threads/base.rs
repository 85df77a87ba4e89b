//! A database as one call sees it.

use std::sync::Arc;

use spool_db::{Database, collection::Definition, transaction::Read};
use spool_proto::{IdentityKey, ThreadId, owner::Delegation};
use tokio_util::sync::CancellationToken;

use super::{
    provisional::{self, Provisional},
    refused::Refused,
    request,
    token::Tokens,
    turns::Turns,
};
use crate::{model::Error, node::Node};

/// What all calls share.
pub(super) struct Shared {
    pub(super) node: Node,
    pub(super) tokens: Arc<Tokens>,
    pub(super) turns: Turns,
    pub(super) provisional: Provisional,
    /// Ends what would otherwise go on for as long as clients like.
    pub(super) stopping: CancellationToken,
}

/// A database, and who works on it.
#[derive(Clone)]
pub(super) struct Base {
    pub(super) shared: Arc<Shared>,
    pub(super) thread: ThreadId,
    pub(super) database: Database,
    /// Nobody in particular: the node's owner.
    pub(super) caller: Option<Delegation>,
}

impl Shared {
    pub(super) fn new(node: Node, stopping: CancellationToken) -> Self {
        let tokens = Arc::new(Tokens::new(node.clone()));
        Self { node, tokens, turns: Turns::default(), provisional: Provisional::default(), stopping }
    }

    pub(super) async fn open(self: &Arc<Self>, id: &[u8], caller: Option<Delegation>) -> Result<Base, Refused> {
        let thread = request::thread(id)?;
        self.base(thread, caller).await
    }

    pub(super) async fn base(self: &Arc<Self>, thread: ThreadId, caller: Option<Delegation>) -> Result<Base, Refused> {
        let database = self.node.database(&thread).await?;
        let base = Base { shared: self.clone(), thread, database, caller };
        provisional::resume(&base)?;
        Ok(base)
    }
}

impl Base {
    pub(super) fn node(&self) -> &Node {
        &self.shared.node
    }

    /// In whose name the node writes.
    pub(super) async fn writer(&self) -> Result<Option<IdentityKey>, Refused> {
        let Some(caller) = &self.caller else { return Ok(None) };
        self.node().write_for(&self.thread, caller).await?;
        Ok(Some(caller.statement.owner))
    }

    /// What is defined for a collection, or is gone by as long as the peers have not been heard.
    pub(super) fn definition(&self, read: &Read<'_>, collection: &str) -> Result<Definition, Refused> {
        if let Some(definition) = read.definition(collection)? {
            return Ok(definition);
        }
        let provisional = self.provisional()?.remove(collection);
        provisional.ok_or_else(Refused::no_collection)
    }

    pub(super) fn provisional(&self) -> Result<provisional::Definitions, Refused> {
        if !self.shared.provisional.is_there(&self.thread) {
            return Ok(provisional::Definitions::new());
        }
        Ok(provisional::read(&self.node().client_view(&self.thread)?)?)
    }

    /// Does what reads the disk, where that holds up nobody.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Base) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let base = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&base)).await;
        done.map_err(|error| Error::Internal { context: "answer a call", source: Box::new(error) })?
    }
}
