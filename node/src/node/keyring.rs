//! The keys of each thread and this node's own log in it, for all who seal or open outside the engine.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use spool_proto::{
    DeviceId, Identity, KeyId, LogId, ThreadId,
    keys::LogKeys,
    sync::{ThreadState, Writer},
};

/// What the node knows of itself and of its threads' keys.
pub(super) struct Keyring {
    identity: Identity,
    device: RwLock<DeviceId>,
    threads: RwLock<HashMap<ThreadId, Arc<Keys>>>,
}

/// The keys of one thread.
pub(super) struct Keys {
    pub(super) thread: ThreadId,
    pub(super) state: Arc<ThreadState>,
    /// This node's log, if it holds the read key.
    pub(super) own: Option<Arc<LogKeys>>,
    logs: Mutex<HashMap<(KeyId, LogId), Arc<LogKeys>>>,
}

/// Derived keys that are kept of one thread; beyond, they are derived again.
const CACHED_LOGS: usize = 4_096;

impl Keys {
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
    pub(super) fn new(identity: Identity, device: DeviceId) -> Self {
        Self { identity, device: RwLock::new(device), threads: RwLock::default() }
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
        let own = self.own_keys(&thread, &state);
        let keys = Arc::new(Keys { thread: thread.clone(), state, own, logs: Mutex::default() });
        self.threads.write().unwrap_or_else(PoisonError::into_inner).insert(thread, keys);
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

    /// What it takes to write this node's log in a thread; none without the read key.
    pub(super) fn writers(&self, thread: &ThreadId) -> Vec<Writer> {
        let Some(keys) = self.get(thread) else { return Vec::new() };
        let Some(epoch) = keys.state.keys.current().filter(|epoch| epoch.can_read()) else { return Vec::new() };
        let Some(log) = self.own_log(thread) else { return Vec::new() };
        vec![Writer {
            log,
            signer: self.identity.log_key(thread, &self.device()),
            owner: self.identity.bind(thread, &log),
            admission: epoch.admit(thread, &log),
        }]
    }
}
