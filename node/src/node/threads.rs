//! Threads: create, share, join, list, show, remove.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_bytes::ByteBuf;
use spool_proto::{
    Address, IdentityKey, Multiaddr, ThreadId, ThreadKeys, Ticket,
    address::Target,
    hpke,
    id::Variant,
    key_set::Scope,
    sync::{LogState, ThreadState, ThreadStatus},
};
use spool_store::{addresses::Source, store::Page};
use tokio::sync::oneshot;

use super::{Node, append::refused, call::Call, limits::THREADS, status::ending};
use crate::model::{Error, ForkInfo, LogInfo, Shared, ThreadDetail, ThreadInfo};

/// Begins the text of a ticket that is sealed to one identity.
const SEALED: &str = "spoolsealed1";
/// The HPKE purpose of sealed tickets.
const PURPOSE: &str = "ticket";

pub(crate) fn storage(error: spool_store::Error) -> Error {
    Error::Storage(Box::new(error))
}

fn invalid_ticket(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Ticket(Box::new(error))
}

impl Node {
    /// Creates a raw thread with fresh keys.
    ///
    /// # Errors
    ///
    /// [`Error::VariantRefused`] for the access-controlled variant.
    pub async fn create_thread(&self, name: Option<String>, variant: Variant) -> Result<ThreadInfo, Error> {
        if variant != Variant::Raw {
            return Err(Error::VariantRefused(variant));
        }
        let thread = ThreadId::new(variant, rand::random());
        let mut entropy = [0; 64];
        rand::fill(&mut entropy);
        let keys = ThreadKeys::generate(entropy);
        self.keep(&thread, keys, name, Vec::new()).await?;
        self.thread(&thread).await.map(|detail| detail.info)
    }

    /// Joins the thread of a ticket; a thread that is here already gains what the ticket has more. Returns when it is stored, synchronising goes on
    /// in the background.
    ///
    /// # Errors
    ///
    /// [`Error::Ticket`], [`Error::VariantRefused`], or [`Error::ThreadExists`] if the ticket brings nothing new.
    pub async fn join(&self, ticket: &str, name: Option<String>) -> Result<ThreadInfo, Error> {
        let ticket = self.open_ticket(ticket.trim())?;
        let thread = ticket.thread().clone();
        if thread.variant() != Variant::Raw {
            return Err(Error::VariantRefused(thread.variant()));
        }
        let keys = ticket.keys().clone().into_keys();
        if let Some(here) = self.keyring().get(&thread) {
            let mut merged = here.state.keys.clone();
            if !merged.merge(&keys).map_err(invalid_ticket)? {
                return Err(Error::ThreadExists(thread));
            }
        }
        let name = name.or_else(|| ticket.name().map(str::to_owned));
        self.join_with(&ticket, name).await?;
        self.thread(&thread).await.map(|detail| detail.info)
    }

    pub(super) async fn join_with(&self, ticket: &Ticket, name: Option<String>) -> Result<(), Error> {
        let addresses: Vec<_> = ticket.addresses().iter().map(|address| ByteBuf::from(address.base.to_vec())).collect();
        self.address_keeper().add(&addresses, Source::Ticket);
        self.keep(ticket.thread(), ticket.keys().clone().into_keys(), name, addresses).await
    }

    fn open_ticket(&self, text: &str) -> Result<Ticket, Error> {
        let Some(sealed) = text.strip_prefix(SEALED) else { return text.parse().map_err(invalid_ticket) };
        if sealed.len() > 2 * spool_proto::limits::MAX_TICKET_CHARACTERS {
            return Err(Error::Ticket("longer than a ticket can be".into()));
        }
        let sealed =
            data_encoding::BASE32_NOPAD.decode(sealed.to_ascii_uppercase().as_bytes()).map_err(invalid_ticket)?;
        let ticket = self.keyring().identity().open(PURPOSE, &sealed).map_err(invalid_ticket)?;
        std::str::from_utf8(&ticket).map_err(invalid_ticket)?.parse().map_err(invalid_ticket)
    }

    pub(super) async fn keep(
        &self,
        thread: &ThreadId,
        keys: ThreadKeys,
        name: Option<String>,
        addresses: Vec<ByteBuf>,
    ) -> Result<(), Error> {
        if self.keyring().len() >= THREADS {
            return Err(Error::Invalid(format!(
                "a node keeps at most {THREADS} threads; remove one with `spool thread rm`"
            )));
        }
        let joined_millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let mut state = ThreadState { keys, name, joined_millis, addresses };
        let before = self.keyring().get(thread);
        // Whoever seals or opens has to have the keys before the engine does: it asks for this node's log at once.
        if let Some(before) = &before {
            let mut merged = before.state.keys.clone();
            merged.merge(&state.keys).map_err(invalid_ticket)?;
            state.keys = merged;
            state.name = state.name.or_else(|| before.state.name.clone());
            state.joined_millis = before.state.joined_millis;
        }
        self.keyring().insert(thread.clone(), std::sync::Arc::new(state.clone()));
        let (answer, done) = oneshot::channel();
        self.call(Call::Join { thread: thread.clone(), state: Box::new(state), answer }).await?;
        let result = done.await.map_err(|_| Error::Stopping)?;
        if let Err(error) = result {
            match before {
                Some(before) => self.keyring().insert(thread.clone(), before.state.clone()),
                None => self.keyring().remove(thread),
            }
            return Err(refused(thread, error));
        }
        self.renew_database(thread);
        self.home().changed();
        Ok(())
    }

    /// Makes a ticket; sealed, if it is for one identity.
    ///
    /// # Errors
    ///
    /// [`Error::NoReadKey`] if more is to be shared than this node has.
    pub async fn share(&self, thread: &ThreadId, scope: Scope, to: Option<IdentityKey>) -> Result<Shared, Error> {
        if thread == self.keyring().home() {
            // Whoever is to follow it may be asked before there is anything in it.
            self.open_home().await?;
        }
        let keys = self.thread_keys(thread)?;
        if scope == Scope::Read && !keys.state.keys.can_read() {
            return Err(Error::NoReadKey(thread.clone()));
        }
        let set = keys.state.keys.to_set(scope).map_err(|_| Error::NoReadKey(thread.clone()))?;
        let addresses = self.ticket_addresses(thread).await?;
        let ticket =
            Ticket::new(thread.clone(), set, addresses.clone(), keys.state.name.clone()).map_err(invalid_ticket)?;
        let text = ticket.to_string();
        let ticket = match to {
            None => text,
            Some(to) => {
                let sealed = hpke::seal(&to, PURPOSE, text.as_bytes(), rand::random());
                format!("{SEALED}{}", data_encoding::BASE32_NOPAD.encode(&sealed).to_ascii_lowercase())
            }
        };
        Ok(Shared { ticket, scope, addresses })
    }

    /// Where to find the thread: here, and at the peers that share it now, so that a ticket still works when this node is away.
    pub(super) async fn ticket_addresses(&self, thread: &ThreadId) -> Result<Vec<Address>, Error> {
        let id = thread.clone();
        let status = self.inspect(move |engine| engine.status(&id)).await?;
        let mut addresses = self.addresses().await?.announced;
        addresses.extend(self.follower_addresses(thread));
        for peer in status.iter().flat_map(|status| &status.peers) {
            let known = self.address_keeper().of(&peer.peer).into_iter().map(|address| ending(address, peer.peer));
            addresses.extend(known.filter(|address| !addresses.contains(address)).collect::<Vec<_>>());
        }
        addresses.truncate(spool_proto::limits::MAX_ADDRESSES);
        Ok(addresses.into_iter().map(|base| Address { base, target: Target::None }).collect())
    }

    /// Removes a thread with all that is kept of it here.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`], [`Error::Invalid`] for the home thread.
    pub async fn remove_thread(&self, thread: &ThreadId) -> Result<(), Error> {
        self.thread_keys(thread)?;
        if thread == self.keyring().home() && self.config().home {
            let why = "this is your home thread, with which `spool recover` brings the others back; with the setting `home = false` it can be removed";
            return Err(Error::Invalid(why.to_owned()));
        }
        let (answer, done) = oneshot::channel();
        self.call(Call::Leave { thread: thread.clone(), answer }).await?;
        done.await.map_err(|_| Error::Stopping)?.map_err(|error| refused(thread, error))?;
        self.keyring().remove(thread);
        self.databases().close(thread);
        self.standings().forget(thread);
        let (node, id) = (self.clone(), thread.clone());
        let forget = move || {
            node.agreements().remove(&id).map_err(storage)?;
            node.followers().forget(&id).map_err(storage)
        };
        self.blocking(forget).await?;
        self.leave_at_home(thread).await;
        Ok(())
    }

    /// All threads but the home thread, by when they were added.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read.
    pub async fn threads(&self) -> Result<Vec<ThreadInfo>, Error> {
        let mut threads = Vec::new();
        for keys in self.keyring().others() {
            match self.thread(&keys.thread).await {
                Ok(detail) => threads.push(detail.info),
                // Removed meanwhile.
                Err(Error::ThreadNotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        threads.sort_by(|a, b| (a.added, &a.id).cmp(&(b.added, &b.id)));
        Ok(threads)
    }

    /// One thread in full.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub async fn thread(&self, thread: &ThreadId) -> Result<ThreadDetail, Error> {
        let keys = self.thread_keys(thread)?;
        let id = thread.clone();
        let status: Option<ThreadStatus> = self.inspect(move |engine| engine.status(&id)).await?;
        let node = self.clone();
        let detail = self.blocking(move || node.detail(&keys, status)).await?;
        Ok(detail)
    }

    fn detail(&self, keys: &super::keyring::Keys, status: Option<ThreadStatus>) -> Result<ThreadDetail, Error> {
        let thread = &keys.thread;
        let statistics = self.store().thread_statistics(thread).map_err(storage)?;
        let states = self.store().log_states(thread).map_err(storage)?;
        let own_log = keys.own.as_ref().map(|own| *own.log());
        let identity = self.keyring().identity().public();
        let mut logs = Vec::with_capacity(states.len());
        for (log, state) in &states {
            let author = state.owner.as_ref().and_then(|owner| owner.verify(thread, log).ok());
            let own = Some(*log) == own_log
                || author.as_ref().is_some_and(|author| author.key == identity && author.via.is_none());
            logs.push(LogInfo {
                id: *log,
                own,
                head: state.head.map(|head| (head.counter, head.cid)),
                time: Some(state.time).filter(|time| time.as_u64() > 0),
                author,
                fork: self.fork(thread, log, state)?,
                retired: state.retired,
                addresses: state.addresses().collect(),
            });
        }
        let peers: Vec<_> =
            status.map(|status| status.peers.iter().map(|peer| peer.peer).collect()).unwrap_or_default();
        let announced = states.iter().flat_map(|(_, state)| state.addresses().collect::<Vec<_>>());
        let from_ticket = keys.state.addresses.iter().filter_map(|bytes| Multiaddr::try_from(bytes.to_vec()).ok());
        let mut addresses: Vec<Multiaddr> = from_ticket.chain(announced).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let target = || Target::Thread(thread.clone());
        let info = ThreadInfo {
            id: thread.clone(),
            name: keys.state.name.clone(),
            scope: if keys.state.keys.can_read() { Scope::Read } else { Scope::Follow },
            own_log: own_log.filter(|own| states.iter().any(|(log, _)| log == own)),
            logs: states.len() as u64,
            records: statistics.records,
            inert: states.iter().filter_map(|(_, state)| state.fork).map(|fork| fork.inert).sum(),
            forks: states.iter().filter(|(_, state)| state.fork.is_some()).count() as u64,
            missing_blocks: statistics.wanted,
            peers: peers.len() as u64,
            added: UNIX_EPOCH + Duration::from_millis(keys.state.joined_millis),
        };
        let addresses = addresses.into_iter().map(|base| Address { base, target: target() }).collect();
        Ok(ThreadDetail { info, logs, peers, addresses })
    }

    /// What is known of a fork, with the two records that prove it.
    fn fork(&self, thread: &ThreadId, log: &spool_proto::LogId, state: &LogState) -> Result<Option<ForkInfo>, Error> {
        let Some(fork) = state.fork else { return Ok(None) };
        let page = Page { bytes: 1024 * 1024, count: 64 };
        let inert = self.store().inert(thread, log, fork.counter, None, page).map_err(storage)?.records;
        let proof = inert.iter().filter(|record| record.counter == fork.counter).map(|record| record.cid);
        let evidence = proof.take(2).collect();
        Ok(Some(ForkInfo { counter: fork.counter, evidence, inert: fork.inert }))
    }
}
