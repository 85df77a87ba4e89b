//! Carries out what the engine asks for. One arm an effect; nothing in here decides anything.

use std::sync::Arc;

use spool_net::{self as net, Command};
use spool_proto::{
    sync::{Effect, Outcome, RequestId, Verdict},
    wire::{Declined, InviteAnswer, Response},
};
use spool_store::{Store, commit::Commit};
use tokio::sync::{broadcast, mpsc};

use super::{
    addresses::AddressKeeper,
    call::{Arrived, Done, News, points},
    follow::{Agreements, Invited},
    guests::{Asked, Guests},
    keyring::Keyring,
    lookup,
    outbox::Outbox,
    runtime::Waiting,
    scheduler::Scheduler,
    serve::Server,
    standings::Standings,
    status::Counters,
};

/// Everything that carrying out takes.
pub(super) struct Executor {
    pub(super) store: Store,
    pub(super) keyring: Arc<Keyring>,
    pub(super) outbox: Outbox,
    pub(super) scheduler: Scheduler,
    pub(super) pool: Arc<rayon::ThreadPool>,
    pub(super) done: mpsc::Sender<Done>,
    pub(super) network: net::Handle,
    pub(super) server: Server,
    pub(super) news: broadcast::Sender<News>,
    pub(super) addresses: Arc<AddressKeeper>,
    pub(super) counters: Arc<Counters>,
    pub(super) agreements: Arc<Agreements>,
    pub(super) invited: mpsc::Sender<Invited>,
    pub(super) standings: Arc<Standings>,
    pub(super) guests: Guests,
}

impl Executor {
    /// Returns the request to a peer that found no room at the network, if the effect was one.
    pub(super) fn execute(&mut self, effect: Effect, waiting: &mut Waiting) -> Option<RequestId> {
        match effect {
            Effect::Persist { batch, durability, writes } => {
                self.counters.count_writes(&writes);
                self.agreements.count(&writes);
                self.scheduler.submitted(batch);
                self.outbox.commit(Commit { batch, durability, writes });
            }
            Effect::Resume => self.outbox.resume(),
            Effect::Reply { request, result } => {
                // A log that has just begun has not said yet where its writer is.
                if matches!(&result, Ok(Outcome::Appended(receipt)) if receipt.head.counter == 1) {
                    self.addresses.own_changed();
                }
                waiting.reply(request, result);
            }
            Effect::Verify { ticket, job } => {
                let done = self.done.clone();
                self.pool.spawn(move || {
                    let result = job.run();
                    // The channel holds more than can be under way; it is closed only at the end.
                    let _ = done.blocking_send(Done::Verified { ticket, result });
                });
            }
            Effect::Send { peer, request, body } => {
                if let Some(guest) = self.guests.find(&peer) {
                    let asked = Asked::Request { request, body };
                    return guest.try_send(asked).is_err().then_some(request);
                }
                let command = Command::Send { peer, id: net::RequestId(request.0), request: body };
                if self.outbox.command(command, false).is_err() {
                    return Some(request);
                }
            }
            Effect::Respond { inbound, response } => {
                let response = self.guests.answer(inbound, response)?;
                self.must(Command::Respond { inbound: net::InboundId(inbound.0), response });
            }
            Effect::Serve { inbound, query } => {
                let (server, network) = (self.server.clone(), self.network.clone());
                tokio::task::spawn_blocking(move || {
                    let response = server.answer(query);
                    // If the network has no room the peer's request times out there, and it asks again.
                    let _ = network.try_command(Command::Respond { inbound: net::InboundId(inbound.0), response });
                });
            }
            Effect::Publish { topic, data } => {
                // Best effort: what is not published is pulled.
                let _ = self.outbox.command(Command::Publish { topic, data }, false);
            }
            Effect::Judge { gossip, verdict } => {
                let verdict = match verdict {
                    Verdict::Accept => net::Verdict::Accept,
                    Verdict::Reject => net::Verdict::Reject,
                    Verdict::Ignore => net::Verdict::Ignore,
                };
                self.must(Command::Judge { gossip: net::GossipId(gossip.0), verdict });
            }
            Effect::Penalize { peer, what } => {
                let (points, reason) = points(what);
                tracing::debug!(%peer, points, reason, "misbehaviour");
                if let Some(guest) = self.guests.find(&peer) {
                    // One that does not listen has gone, or is told of an earlier one already.
                    let _ = guest.try_send(Asked::Penalized(what));
                    return None;
                }
                self.counters.count_misbehaviour(what);
                self.must(Command::Penalize { peer, points, reason });
            }
            Effect::Lookup { thread, lookup, request } => {
                let (store, done) = (self.store.clone(), self.done.clone());
                tokio::task::spawn_blocking(move || {
                    let found = lookup::look_up(&store, &thread, &lookup);
                    let _ = done.blocking_send(Done::Found { request, found });
                });
            }
            Effect::Load { thread } => self.scheduler.load(thread),
            Effect::Subscribe { topic } => self.must(Command::Subscribe(topic)),
            Effect::Unsubscribe { topic } => self.must(Command::Unsubscribe(topic)),
            Effect::Provide { key } => self.must(Command::Provide { key }),
            Effect::FindPeers { thread, key } => {
                self.must(Command::FindProviders { key });
                self.addresses.find(thread);
            }
            Effect::Wake { thread, log, .. } => {
                // Nobody may be listening.
                let _ = self.news.send(News { thread, what: Arrived::Records(log) });
            }
            Effect::BlocksArrived { thread } => {
                self.counters.blocks_arrived(&thread);
                // Nobody has to listen.
                let _ = self.news.send(News { thread, what: Arrived::Blocks });
            }
            Effect::Addresses { thread, log, addresses } => self.addresses.announced(&thread, &log, &addresses),
            Effect::ForkFound { thread, log, counter } => tracing::warn!(
                thread = thread.short(),
                log = log.short(),
                counter,
                "fork: two valid records with one counter; `spool thread show` says what to do"
            ),
            Effect::Invited { peer, inbound, sealed } => {
                let inbound = net::InboundId(inbound.0);
                if self.invited.try_send(Invited { peer, inbound, sealed }).is_err() {
                    let response = Response::Invite(InviteAnswer::Declined(Declined::Busy));
                    self.must(Command::Respond { inbound, response });
                }
            }
            Effect::Met { thread, peer, role } => {
                if self.guests.find(&peer).is_none() {
                    self.standings.met(&thread, peer, role);
                }
            }
            Effect::Acknowledged { thread, peer, heads } => {
                // Who is not on the network keeps nothing.
                if self.guests.find(&peer).is_none() {
                    self.standings.acknowledged(&thread, peer, &heads);
                }
            }
        }
        None
    }

    /// Reads the threads whose earlier writes are settled by now.
    pub(super) fn load_ready(&mut self) {
        let ready = self.scheduler.ready().into_iter().map(|thread| (thread, false));
        let stuck = self.scheduler.stuck().into_iter().map(|thread| (thread, true));
        for (thread, stuck) in ready.chain(stuck) {
            let (store, keyring, done) = (self.store.clone(), self.keyring.clone(), self.done.clone());
            tokio::task::spawn_blocking(move || {
                let logs = if store.is_poisoned() {
                    Err("the disk failed: the node only reads until it is restarted".to_owned())
                } else if stuck {
                    Err("an earlier write was refused, and what came before it is not synced yet".to_owned())
                } else {
                    store.log_states(&thread).map_err(|error| crate::chain(&error))
                };
                let writers = keyring.writers(&thread);
                let _ = done.blocking_send(Done::Loaded { thread, logs, writers });
            });
        }
    }

    /// Gives a command to the network that must not get lost.
    fn must(&mut self, command: Command) {
        // Never given back: it waits for room.
        let _ = self.outbox.command(command, true);
    }
}
