//! Databases: new ones, from elsewhere, listed, shown and deleted.

use std::sync::Arc;

use bytes::Bytes;
use spool_proto::{
    Address, Multiaddr, ThreadId, ThreadKeys, address::Target, key_set::Scope, multiaddr::Protocol, owner::Delegation,
};

use super::{
    base::Shared,
    collections,
    pb::{GetDbInfoReply, ListDBsReply, NewDbFromAddrRequest, NewDbRequest, list_d_bs_reply::Db},
    provisional,
    refused::Refused,
    request,
};
use crate::model::Error;

/// Makes a database with the id that the client chose.
pub(super) async fn create(
    shared: &Arc<Shared>,
    request: NewDbRequest,
    caller: Option<Delegation>,
) -> Result<(), Refused> {
    let thread = request::thread(&request.db_id)?;
    let name = request::name(request.name)?;
    request::no_log_key(&request.log_key)?;
    let keys = if request.key.is_empty() {
        let mut entropy = [0; 64];
        rand::fill(&mut entropy);
        ThreadKeys::generate(entropy)
    } else {
        request::full_key(&request.key)?
    };
    let configs = request.collections;
    let definitions = collections::reading(move || collections::read_all(&configs)).await?;
    shared.node.add_thread(&thread, keys, Some(name), None).await?;
    let base = shared.base(thread, caller).await?;
    collections::define(&base, definitions.into_values().collect()).await
}

/// Adds a database that is on another node.
pub(super) async fn add(
    shared: &Arc<Shared>,
    request: NewDbFromAddrRequest,
    caller: Option<Delegation>,
) -> Result<(), Refused> {
    let (address, thread) = request::address(&request.addr)?;
    // A field of an older client.
    let key = if request.key.is_empty() { &request.thread_key } else { &request.key };
    let keys = request::full_key(key)?;
    request::no_log_key(&request.log_key)?;
    let name = request::name(request.name)?;
    let configs = request.collections;
    let definitions = collections::reading(move || collections::read_all(&configs)).await?;
    if address.peer() == Some(shared.node.info().peer) && !is_here(shared, &thread).await {
        return Err(Refused::unknown("cannot retrieve thread from self: thread not found"));
    }
    shared.node.add_thread(&thread, keys, Some(name), Some(&address)).await?;
    let base = shared.base(thread, caller).await?;
    if definitions.is_empty() {
        // As long as a client that waits for it expects at most.
        let asked = base.node().ask_peers(&base.thread, super::limits::FIRST_HEADS).await?;
        if asked {
            base.node().caught_up(&base.thread).await?;
        }
        return Ok(());
    }
    provisional::add(&base, definitions).await
}

async fn is_here(shared: &Shared, thread: &ThreadId) -> bool {
    shared.node.thread(thread).await.is_ok()
}

/// All databases, with their keys.
pub(super) async fn list(shared: &Shared) -> Result<ListDBsReply, Refused> {
    let addresses = addresses(shared).await?;
    let mut dbs = Vec::new();
    for thread in shared.node.threads().await?.into_iter().filter(|thread| thread.scope == Scope::Read) {
        let key = match shared.node.textile_key(&thread.id) {
            Ok(key) => Bytes::copy_from_slice(&key),
            // Removed meanwhile.
            Err(Error::ThreadNotFound(_) | Error::NoReadKey(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let info = GetDbInfoReply { addrs: of(&addresses, &thread.id), key, name: thread.name.unwrap_or_default() };
        dbs.push(Db { db_id: Bytes::copy_from_slice(thread.id.as_bytes()), info: Some(info) });
    }
    Ok(ListDBsReply { dbs })
}

/// Where a database is, and its key.
pub(super) async fn show(shared: &Shared, thread: &ThreadId) -> Result<GetDbInfoReply, Refused> {
    let key = Bytes::copy_from_slice(&shared.node.textile_key(thread)?);
    let name = shared.node.thread(thread).await?.info.name.unwrap_or_default();
    Ok(GetDbInfoReply { addrs: of(&addresses(shared).await?, thread), key, name })
}

/// Deletes a database on this node.
pub(super) async fn delete(shared: &Arc<Shared>, id: &[u8], caller: Option<Delegation>) -> Result<(), Refused> {
    let base = shared.open(id, caller).await?;
    // Not in the middle of somebody's transaction.
    let _turn = shared.turns.exclusive(&base.thread).await;
    shared.node.remove_thread(&base.thread).await?;
    shared.provisional.forget(&base.thread);
    Ok(())
}

/// The node's addresses, as far as the published client can read them: it refuses all if it does not know a part of one.
pub(super) async fn addresses(shared: &Shared) -> Result<Vec<Multiaddr>, Refused> {
    let addresses = shared.node.addresses().await?;
    let known = addresses.announced.into_iter().filter(|address| address.iter().all(|part| is_known(&part)));
    Ok(known.collect())
}

fn is_known(part: &Protocol<'_>) -> bool {
    matches!(
        part,
        Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Tcp(_)
            | Protocol::Udp(_)
            | Protocol::Quic
            | Protocol::Ws(_)
            | Protocol::Wss(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_)
            | Protocol::Dnsaddr(_)
            | Protocol::P2p(_)
            | Protocol::P2pCircuit
    )
}

fn of(addresses: &[Multiaddr], thread: &ThreadId) -> Vec<Bytes> {
    let of = |base: &Multiaddr| Address { base: base.clone(), target: Target::Thread(thread.clone()) };
    addresses.iter().map(|base| of(base).to_bytes().into()).collect()
}
