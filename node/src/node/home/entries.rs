//! The documents of the home thread, and what is written where they lack something (`docs/data-model.md`).
//!
//! Whatever is in them was written by a device of the owner's, or by whoever has the phrase; it is checked all the same.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value, json};
use spool_db::{
    Database, Path, Target,
    query::{self, Options, Query},
};
use spool_proto::{
    Address, DeviceId, Multiaddr, PeerId, ThreadId, Ticket, address, key_set::Scope, limits::MAX_ADDRESSES,
};

use super::write;
use crate::{
    model::{DocumentChange, DocumentWrite, Error, HomeDevice, HomeThread},
    node::{follow::millis, keyring::Keys},
};

const DEVICES: &str = "devices";
const THREADS: &str = "threads";
const FOLLOWERS: &str = "followers";
pub(super) const COLLECTIONS: [&str; 3] = [DEVICES, THREADS, FOLLOWERS];

/// A device as it is kept.
pub(super) struct Device(query::Document);

impl Device {
    pub(super) fn shown(self, this: &str) -> HomeDevice {
        let text = |field| self.0.fields.get(field).and_then(Value::as_str);
        let since = self.0.fields.get("since").and_then(Value::as_u64).map(Duration::from_millis);
        HomeDevice {
            name: text("name").map(str::to_owned),
            peer: text("peer").and_then(|peer| peer.parse().ok()),
            since: since.and_then(|since| UNIX_EPOCH.checked_add(since)),
            is_this: self.0.id == this,
            device: self.0.id,
        }
    }
}

/// A thread as it is kept.
pub(super) struct Entry {
    ticket: Ticket,
    name: Option<String>,
    devices: usize,
}

impl Entry {
    fn read(id: &str, fields: &Map<String, Value>) -> Option<Self> {
        let ticket: Ticket = fields.get("ticket")?.as_str()?.parse().ok()?;
        let thread: ThreadId = id.parse().ok()?;
        let devices = fields.get("devices").and_then(Value::as_array).map_or(0, Vec::len);
        let name = ticket.name().map(str::to_owned);
        (*ticket.thread() == thread).then_some(Self { ticket, name, devices })
    }

    pub(super) fn thread(&self) -> &ThreadId {
        self.ticket.thread()
    }

    pub(super) fn name(&self) -> Option<String> {
        self.name.clone()
    }

    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Whether a device still keeps it.
    pub(super) fn is_kept(&self) -> bool {
        self.devices > 0
    }

    pub(super) fn shown(&self, is_here: bool) -> HomeThread {
        HomeThread { thread: self.thread().clone(), name: self.name(), devices: self.devices, is_here }
    }
}

pub(super) fn devices(database: &Database) -> Result<Vec<Device>, Error> {
    all(database, DEVICES, |document| Some(Device(document)))
}

/// Those that can be read; one that cannot is told of in the log.
pub(super) fn threads(database: &Database) -> Result<Vec<Entry>, Error> {
    all(database, THREADS, |document| {
        let entry = Entry::read(&document.id, &document.fields);
        if entry.is_none() {
            tracing::warn!("a thread in the home thread cannot be read");
        }
        entry
    })
}

fn all<T>(
    database: &Database,
    collection: &str,
    mut read: impl FnMut(query::Document) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    let mut visit = |document| {
        found.extend(read(document));
        ControlFlow::Continue(())
    };
    database.read(|reader| reader.find_each(collection, Query::default(), Options::default(), &mut visit))?;
    Ok(found)
}

fn document(database: &Database, collection: &str, id: &str) -> Result<Option<Map<String, Value>>, Error> {
    Ok(database.read(|read| read.document(&Target::new(collection, id)))?.shown(id))
}

/// A follower as it is kept.
pub(super) struct KnownFollower {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) threads: Vec<ThreadId>,
}

pub(super) fn followers(database: &Database) -> Result<Vec<KnownFollower>, Error> {
    all(database, FOLLOWERS, |document| {
        let texts = |field| texts(Some(&document.fields), field).into_iter();
        Some(KnownFollower {
            peer: document.id.parse().ok()?,
            addresses: texts("addresses").filter_map(|address| address.parse().ok()).take(MAX_ADDRESSES).collect(),
            threads: texts("threads").filter_map(|thread| thread.parse().ok()).collect(),
        })
    })
}

/// What it takes to have in it that a peer follows a thread.
pub(super) fn follower(
    database: &Database,
    peer: &PeerId,
    addresses: &[Multiaddr],
    thread: &ThreadId,
) -> Result<Vec<DocumentWrite>, Error> {
    let (id, thread) = (peer.to_string(), thread.to_string());
    let here = document(database, FOLLOWERS, &id)?;
    let fields = Map::from_iter([("addresses".to_owned(), json!(addresses))]);
    let mut writes = Vec::new();
    match &here {
        Some(here) if here.get("addresses") == fields.get("addresses") => {}
        Some(_) => writes.push(write(FOLLOWERS, id.clone(), DocumentChange::Merge(fields))),
        None => writes.push(write(FOLLOWERS, id.clone(), DocumentChange::Create(fields))),
    }
    if !texts(here.as_ref(), "threads").contains(&thread) {
        writes.push(write(FOLLOWERS, id, DocumentChange::Add(Path::new(["threads"]), thread.into())));
    }
    Ok(writes)
}

/// What it takes to say that a peer does not follow a thread any more.
pub(super) fn unfollow(database: &Database, peer: &PeerId, thread: &ThreadId) -> Result<Vec<DocumentWrite>, Error> {
    let (id, thread) = (peer.to_string(), thread.to_string());
    if !texts(document(database, FOLLOWERS, &id)?.as_ref(), "threads").contains(&thread) {
        return Ok(Vec::new());
    }
    Ok(vec![write(FOLLOWERS, id, DocumentChange::Remove(Path::new(["threads"]), thread.into()))])
}

/// What it takes to have this device in it.
pub(super) fn device(
    database: &Database,
    device: &DeviceId,
    peer: &PeerId,
    name: Option<String>,
    now: SystemTime,
) -> Result<Vec<DocumentWrite>, Error> {
    let id = device.to_string();
    let mut fields = Map::from_iter([("peer".to_owned(), json!(peer.to_string()))]);
    if let Some(name) = name {
        fields.insert("name".to_owned(), name.into());
    }
    let change = match document(database, DEVICES, &id)? {
        Some(here) if fields.iter().all(|(field, value)| here.get(field) == Some(value)) => return Ok(Vec::new()),
        Some(_) => DocumentChange::Merge(fields),
        None => {
            fields.insert("since".to_owned(), millis(now).into());
            DocumentChange::Create(fields)
        }
    };
    Ok(vec![write(DEVICES, id, change)])
}

/// What it takes to have a thread in it, with all keys that any device had, and as one that this device keeps.
pub(super) fn thread(database: &Database, keys: &Keys, device: &DeviceId) -> Result<Vec<DocumentWrite>, Error> {
    let id = keys.thread.to_string();
    let here = document(database, THREADS, &id)?;
    let known = here.as_ref().and_then(|fields| Entry::read(&id, fields));
    let (known, kept_name) = match known {
        Some(known) => (Some(known.ticket.keys().clone().into_keys()), known.name),
        None => (None, None),
    };
    let mut all = keys.state.keys.clone();
    if let Some(known) = &known {
        all.merge(known).map_err(|error| Error::Invalid(error.to_string()))?;
    }
    let mut writes = Vec::new();
    if known.as_ref() != Some(&all) {
        let set = all.to_set(Scope::Read).map_err(|error| Error::Invalid(error.to_string()))?;
        let addresses = addresses(keys);
        let ticket = Ticket::new(keys.thread.clone(), set, addresses, kept_name.or_else(|| keys.state.name.clone()))
            .map_err(|error| Error::Invalid(error.to_string()))?;
        let ticket = json!(ticket.to_string());
        let change = match here {
            Some(_) => DocumentChange::Set(Path::new(["ticket"]), ticket),
            None => DocumentChange::Create(Map::from_iter([("ticket".to_owned(), ticket)])),
        };
        writes.push(write(THREADS, id.clone(), change));
    }
    if !keepers(here.as_ref()).contains(&device.to_string()) {
        let change = DocumentChange::Add(Path::new(["devices"]), json!(device.to_string()));
        writes.push(write(THREADS, id, change));
    }
    Ok(writes)
}

/// What it takes to say that this device does not keep a thread any more.
pub(super) fn leave(database: &Database, id: String, device: &DeviceId) -> Result<Vec<DocumentWrite>, Error> {
    let device = device.to_string();
    if !keepers(document(database, THREADS, &id)?.as_ref()).contains(&device) {
        return Ok(Vec::new());
    }
    Ok(vec![write(THREADS, id, DocumentChange::Remove(Path::new(["devices"]), device.into()))])
}

/// Where the thread was learnt to live.
fn addresses(keys: &Keys) -> Vec<Address> {
    let known = keys.state.addresses.iter().filter_map(|bytes| Multiaddr::try_from(bytes.to_vec()).ok());
    known.map(|base| Address { base, target: address::Target::None }).take(MAX_ADDRESSES).collect()
}

fn keepers(fields: Option<&Map<String, Value>>) -> BTreeSet<String> {
    texts(fields, "devices")
}

fn texts(fields: Option<&Map<String, Value>>, field: &str) -> BTreeSet<String> {
    let texts = fields.and_then(|fields| fields.get(field)).and_then(Value::as_array);
    texts.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
