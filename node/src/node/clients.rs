//! What the interfaces of Textile Threads ask of a node beyond what others do: threads with ids and keys that a client chose, and logs that are written in a client's name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::Signer as _;
use futures::StreamExt as _;
use serde_bytes::ByteBuf;
use spool_db::{
    Database,
    database::Receipt,
    transaction::{Error as Refused, Write},
};
use spool_proto::{Address, IdentityKey, ThreadId, ThreadKeys, id::Variant, owner::Delegation};
use spool_store::{View, addresses::Source};
use zeroize::Zeroizing;

use super::{
    Node,
    call::Call,
    database::{again, outcome, wait},
    threads::storage,
};
use crate::model::{Error, SyncEvent, SyncOptions};

/// The view in which a thread's clients keep what is this node's own.
const CLIENT_VIEW: u8 = 3;

impl Node {
    /// The node's own key, as identities are written.
    pub(crate) fn node_key(&self) -> IdentityKey {
        IdentityKey::from(self.keyring().node_key())
    }

    /// The node's signature. What is signed must not be mistaken for anything that the protocol signs, all of which begins with `spool/1`.
    pub(crate) fn sign_as_node(&self, message: &[u8]) -> [u8; 64] {
        self.keyring().node_key().sign(message).to_bytes()
    }

    /// Adds a thread whose id and keys are known, and where it may be found.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadExists`], [`Error::VariantRefused`].
    pub(crate) async fn add_thread(
        &self,
        thread: &ThreadId,
        keys: ThreadKeys,
        name: Option<String>,
        address: Option<&Address>,
    ) -> Result<(), Error> {
        if thread.variant() != Variant::Raw {
            return Err(Error::VariantRefused(thread.variant()));
        }
        if self.keyring().get(thread).is_some() {
            return Err(Error::ThreadExists(thread.clone()));
        }
        let addresses: Vec<_> = address.iter().map(|address| ByteBuf::from(address.base.to_vec())).collect();
        self.address_keeper().add(&addresses, Source::Ticket);
        self.keep(thread, keys, name, addresses).await
    }

    /// The keys of a thread under which new records are sealed, in Textile's form.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::NoReadKey`].
    pub(crate) fn textile_key(&self, thread: &ThreadId) -> Result<Zeroizing<Vec<u8>>, Error> {
        let keys = self.thread_keys(thread)?;
        let epoch = keys.state.keys.current().filter(|epoch| epoch.can_read());
        Ok(epoch.ok_or_else(|| Error::NoReadKey(thread.clone()))?.to_textile())
    }

    /// The same, without the read key where that is not here.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub(crate) fn textile_follow_key(&self, thread: &ThreadId) -> Result<Zeroizing<Vec<u8>>, Error> {
        let keys = self.thread_keys(thread)?;
        Ok(keys.state.keys.current().map(spool_proto::keys::Epoch::to_textile).unwrap_or_default())
    }

    /// What is kept of a thread for its clients, on this node alone.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::Storage`].
    pub(crate) fn client_view(&self, thread: &ThreadId) -> Result<View, Error> {
        let view = self.store().view(thread, CLIENT_VIEW).map_err(storage)?;
        view.ok_or_else(|| Error::ThreadNotFound(thread.clone()))
    }

    /// Asks the peers of a thread for what they have. Returns whether one answered within that time.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub(crate) async fn ask_peers(&self, thread: &ThreadId, patience: Duration) -> Result<bool, Error> {
        let mut steps = self.sync(SyncOptions { thread: Some(thread.clone()), timeout: patience }).await?;
        while let Some(step) = steps.next().await {
            match step {
                Ok(SyncEvent::Done(_)) => return Ok(true),
                Ok(SyncEvent::Peer { .. } | SyncEvent::Progress(_)) => {}
                Err(Error::Unreachable(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Writes in the name of a client from now on, where it is asked to. What is written so is shown as "client via node".
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a delegation that is not signed, not to this node or not for now; [`Error::NoReadKey`], [`Error::ThreadNotFound`].
    pub async fn write_for(&self, thread: &ThreadId, delegation: &Delegation) -> Result<(), Error> {
        let keys = self.thread_keys(thread)?;
        if keys.own.is_none() {
            return Err(Error::NoReadKey(thread.clone()));
        }
        if keys.client(&delegation.statement.owner).is_some() {
            return Ok(());
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let is_to_this_node = delegation.statement.node == self.info().peer;
        if !is_to_this_node || !delegation.statement.holds_at(seconds) || !delegation.is_signed() {
            return Err(Error::Invalid("the client has not delegated to this node".into()));
        }
        match self.keyring().add_client(&keys, delegation.clone()) {
            Some(writer) => self.call(Call::Writer { thread: thread.clone(), writer: Box::new(writer) }).await,
            None => Ok(()),
        }
    }

    /// Runs a transaction, again if another was faster, and waits until its effect can be read. In the name of a client for whom [`write_for`](Self::write_for)
    /// was called, or of the node's owner.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] says what was refused; nothing has happened then.
    pub(crate) async fn transact(
        &self,
        database: &Database,
        client: Option<IdentityKey>,
        write: impl Fn(&mut Write<'_>) -> Result<(), Refused> + Send + 'static,
    ) -> Result<Option<Receipt>, Error> {
        let database = database.clone();
        let told = self.blocking(move || {
            again(|| {
                let (done, told) = outcome();
                match client {
                    None => database.write(None, &write, done)?,
                    Some(client) => database.write_for(client, &write, done)?,
                }
                Ok(told)
            })
        });
        wait(told.await?).await
    }
}
