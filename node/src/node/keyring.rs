//! The keys of each thread and this node's own log in it, for all who seal or open outside the engine.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use ed25519_dalek::SigningKey;
use spool_proto::{
    DeviceId, Identity, IdentityKey, KeyId, LogId, ThreadId,
    keys::{Epoch, LogKeys},
    owner::{Delegation, Owner},
    sync::{ThreadState, Writer},
};

use crate::model::AppendOptions;

/// What the node knows of itself and of its threads' keys.
pub(super) struct Keyring {
    identity: Identity,
    /// The node's own key.
    node: SigningKey,
    device: RwLock<DeviceId>,
    home: ThreadId,
    threads: RwLock<HashMap<ThreadId, Arc<Keys>>>,
}

/// The keys of one thread.
pub(super) struct Keys {
    pub(super) thread: ThreadId,
    pub(super) state: Arc<ThreadState>,
    /// This node's log, if it holds the read key.
    pub(super) own: Option<Arc<LogKeys>>,
    /// Clients of this node that have written to it since the node started.
    clients: Mutex<BTreeMap<IdentityKey, Client>>,
    logs: Mutex<HashMap<(KeyId, LogId), Arc<LogKeys>>>,
}

/// A client in whose name the node writes.
#[derive(Clone)]
struct Client {
    delegation: Delegation,
    /// Of its log.
    keys: Arc<LogKeys>,
}

/// Derived keys that are kept of one thread; beyond, they are derived again.
const CACHED_LOGS: usize = 4_096;

impl Keys {
    fn clients(&self) -> MutexGuard<'_, BTreeMap<IdentityKey, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log that is written in a client's name, if the node has been asked to.
    pub(super) fn client(&self, client: &IdentityKey) -> Option<Arc<LogKeys>> {
        self.clients().get(client).map(|client| client.keys.clone())
    }

    /// The keys of the log to which an event goes.
    pub(super) fn writing(&self, options: &AppendOptions) -> Option<Arc<LogKeys>> {
        match &options.client {
            None => self.own.clone(),
            Some(client) => self.client(client),
        }
    }

    /// The epoch under which new records are sealed, if they can be written here.
    fn epoch(&self) -> Option<&Epoch> {
        self.state.keys.current().filter(|epoch| epoch.can_read())
    }

    /// The keys of a log in one epoch.
    pub(super) fn log(&self, key_id: &KeyId, log: &LogId) -> Option<Arc<LogKeys>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = logs.get(&(*key_id, *log)) {
            return Some(keys.clone());
        }
        let keys = Arc::new(self.state.keys.log_keys(key_id, log)?);
        if logs.len() >= CACHED_LOGS {
            logs.clear();
        }
        logs.insert((*key_id, *log), keys.clone());
        Some(keys)
    }
}

impl Keyring {
    pub(super) fn new(identity: Identity, device: DeviceId, node: SigningKey) -> Self {
        let (home, _) = identity.home();
        Self { identity, node, device: RwLock::new(device), home, threads: RwLock::default() }
    }

    pub(super) fn node_key(&self) -> &SigningKey {
        &self.node
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn device(&self) -> DeviceId {
        *self.device.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new device id: from now on this node writes other logs.
    pub(super) fn set_device(&self, device: DeviceId) {
        *self.device.write().unwrap_or_else(PoisonError::into_inner) = device;
        let threads: Vec<_> = self.all();
        for keys in threads {
            self.insert(keys.thread.clone(), keys.state.clone());
        }
    }

    pub(super) fn insert(&self, thread: ThreadId, state: Arc<ThreadState>) {
        let clients = self.get(&thread).map(|before| before.clients().clone()).unwrap_or_default();
        let own = self.own_keys(&thread, &state);
        let keys =
            Arc::new(Keys { thread: thread.clone(), state, own, clients: Mutex::default(), logs: Mutex::default() });
        for client in clients.into_values() {
            // Its keys may be others by now.
            self.add_client(&keys, client.delegation);
        }
        self.threads.write().unwrap_or_else(PoisonError::into_inner).insert(thread, keys);
    }

    /// Notes that the node writes in the name of a client. Returns what it takes to write that log, if that is new; nothing without the read key.
    pub(super) fn add_client(&self, keys: &Keys, delegation: Delegation) -> Option<Writer> {
        let owner = delegation.statement.owner;
        if keys.clients().contains_key(&owner) {
            return None;
        }
        let epoch = keys.epoch()?;
        let writer = self.client_writer(&keys.thread, epoch, &delegation)?;
        let client = Client { delegation, keys: Arc::new(LogKeys::derive(epoch, &writer.log)) };
        keys.clients().insert(owner, client);
        Some(writer)
    }

    fn client_writer(&self, thread: &ThreadId, epoch: &Epoch, delegation: &Delegation) -> Option<Writer> {
        let Delegation { statement, signature } = delegation;
        let signer = self.identity.client_log_key(thread, &self.device(), &statement.owner);
        let log = LogId::from_public_key(signer.verifying_key().as_bytes()).ok()?;
        let owner = Owner::delegated(statement, *signature, &self.node, thread, &log);
        Some(Writer { log, signer, owner, admission: epoch.admit(thread, &log) })
    }

    pub(super) fn remove(&self, thread: &ThreadId) {
        self.threads.write().unwrap_or_else(PoisonError::into_inner).remove(thread);
    }

    pub(super) fn get(&self, thread: &ThreadId) -> Option<Arc<Keys>> {
        self.threads.read().unwrap_or_else(PoisonError::into_inner).get(thread).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Keys>> {
        self.threads.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The owner's home thread, whether it is here or not.
    pub(super) fn home(&self) -> &ThreadId {
        &self.home
    }

    /// All but the home thread, which is nobody's business but the node's.
    pub(super) fn others(&self) -> impl Iterator<Item = Arc<Keys>> {
        let others = |keys: &Arc<Keys>| keys.thread != self.home;
        self.all().into_iter().filter(others)
    }

    pub(super) fn len(&self) -> usize {
        self.threads.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn own_keys(&self, thread: &ThreadId, state: &ThreadState) -> Option<Arc<LogKeys>> {
        let epoch = state.keys.current().filter(|epoch| epoch.can_read())?;
        let log = self.own_log(thread)?;
        Some(Arc::new(LogKeys::derive(epoch, &log)))
    }

    fn own_log(&self, thread: &ThreadId) -> Option<LogId> {
        let signer = self.identity.log_key(thread, &self.device());
        LogId::from_public_key(signer.verifying_key().as_bytes()).ok()
    }

    /// What it takes to write the logs of this node and of its clients in a thread; none without the read key.
    pub(super) fn writers(&self, thread: &ThreadId) -> Vec<Writer> {
        let Some(keys) = self.get(thread) else { return Vec::new() };
        let Some(epoch) = keys.epoch() else { return Vec::new() };
        let Some(log) = self.own_log(thread) else { return Vec::new() };
        let own = Writer {
            log,
            signer: self.identity.log_key(thread, &self.device()),
            owner: self.identity.bind(thread, &log),
            admission: epoch.admit(thread, &log),
        };
        let clients = keys.clients().clone();
        let clients = clients.values().filter_map(|client| self.client_writer(thread, epoch, &client.delegation));
        std::iter::once(own).chain(clients).collect()
    }
}
