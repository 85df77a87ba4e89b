//! Requests of peers, and the answers to our own.

use std::{ops::Bound, sync::Arc, time::Duration};

use super::{
    effect::{Effect, InboundId, Misbehaviour, Outcome, RequestId, Serve},
    engine::{Context, World},
    hot::Thread,
    ingest::Origin,
    input::{Failure, Found},
    push::PushedRun,
    state::Head,
};
use crate::{
    PeerId,
    id::{LogId, ThreadId, TopicId},
    record::VerifiedRecord,
    wire::{self, Refusal, Request, Response, limits::MAX_HEADS},
};

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) enum Asked {
    /// Proofs for proofs of these threads.
    Proofs { peer: PeerId, topics: Vec<TopicId> },
    /// Edges.
    Edges { peer: PeerId },
    /// A page of heads.
    Heads { peer: PeerId, thread: ThreadId },
    /// A page of records.
    Records { peer: PeerId, thread: ThreadId, log: LogId, range: Range, since: Duration },
    /// Older records than ours, to find where a log forked.
    Descend { peer: PeerId, thread: ThreadId, log: LogId, after: u64, step: u64 },
    /// A page of inert records.
    Inert { peer: PeerId, thread: ThreadId, log: LogId },
    /// A push.
    Push { peer: PeerId, thread: ThreadId, runs: Vec<PushedRun> },
    /// Blocks.
    Blocks { peer: PeerId, thread: ThreadId, since: Duration },
    /// An invitation, for a caller of the API.
    Invite { peer: PeerId, request: RequestId },
    /// CIDs of the own chain, to compare valid records with.
    Cids { thread: ThreadId, log: LogId, records: Vec<Arc<VerifiedRecord>>, origin: Origin },
    /// Whether the own chain has the peer's head.
    HasHead { peer: PeerId, thread: ThreadId, log: LogId, head: Head },
    /// The record before a fork.
    BeforeFork { thread: ThreadId, log: LogId },
    /// How many inert records there are.
    InertCount { thread: ThreadId, log: LogId, fork: u64 },
    /// Wanted blocks.
    Wants { thread: ThreadId },
    /// Whether a cold thread wants blocks.
    Missing { thread: ThreadId },
}

/// Records that are asked for: those after one counter up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) after: u64,
    pub(super) until: u64,
}

impl Asked {
    /// The peer that was asked; none for the store.
    pub(super) fn peer(&self) -> Option<PeerId> {
        match self {
            Asked::Proofs { peer, .. }
            | Asked::Edges { peer }
            | Asked::Heads { peer, .. }
            | Asked::Records { peer, .. }
            | Asked::Descend { peer, .. }
            | Asked::Inert { peer, .. }
            | Asked::Push { peer, .. }
            | Asked::Blocks { peer, .. }
            | Asked::Invite { peer, .. } => Some(*peer),
            Asked::Cids { .. }
            | Asked::HasHead { .. }
            | Asked::BeforeFork { .. }
            | Asked::InertCount { .. }
            | Asked::Wants { .. }
            | Asked::Missing { .. } => None,
        }
    }

    /// The thread whose logs the answer needs.
    pub(super) fn thread(&self) -> Option<ThreadId> {
        match self {
            Asked::Push { .. } | Asked::Missing { .. } => None,
            asked => asked.about().cloned(),
        }
    }

    /// The thread that the question is about.
    pub(super) fn about(&self) -> Option<&ThreadId> {
        match self {
            Asked::Proofs { .. } | Asked::Edges { .. } | Asked::Invite { .. } => None,
            Asked::Push { thread, .. }
            | Asked::Missing { thread }
            | Asked::Heads { thread, .. }
            | Asked::Records { thread, .. }
            | Asked::Descend { thread, .. }
            | Asked::Inert { thread, .. }
            | Asked::Blocks { thread, .. }
            | Asked::Cids { thread, .. }
            | Asked::HasHead { thread, .. }
            | Asked::BeforeFork { thread, .. }
            | Asked::InertCount { thread, .. }
            | Asked::Wants { thread } => Some(thread),
        }
    }
}

impl World {
    /// The thread whose logs a request needs. A push takes its threads one by one.
    ///
    /// Nothing is read for a peer that has not proven access: the refusal would come later than for an unknown thread.
    pub(super) fn request_needs(&self, peer: &PeerId, request: &Request) -> Option<ThreadId> {
        let topic = match request {
            Request::Heads { topic, .. }
            | Request::Records { topic, .. }
            | Request::Inert { topic, .. }
            | Request::Blocks { topic, .. } => topic,
            Request::Push(envelopes) => &envelopes.first()?.topic,
            Request::Proofs(_) | Request::Edges(_) | Request::Invite { .. } => return None,
        };
        let proven = self.sessions.get(peer).is_some_and(|session| session.proven.contains_key(topic));
        self.topics.get(topic).filter(|_| proven).cloned()
    }

    pub(super) fn on_request(&mut self, peer: PeerId, inbound: InboundId, request: Request, context: &mut Context<'_>) {
        match request {
            Request::Proofs(proofs) => self.on_proofs(peer, inbound, proofs, context),
            Request::Edges(nodes) => self.on_edges(peer, inbound, nodes, context),
            Request::Push(envelopes) => self.on_push(peer, inbound, envelopes, context),
            Request::Invite { sealed } => {
                context.push(Effect::Invited { peer, inbound, sealed });
            }
            Request::Heads { topic, after } => {
                let Some(thread) = self.proven_thread(&peer, &topic, inbound, context) else { return };
                let (heads, more) = heads_after(thread, after);
                context.push(Effect::Respond { inbound, response: Response::Heads { heads, more } });
            }
            Request::Records { topic, log, after, until } => {
                let Some(thread) = self.proven_thread(&peer, &topic, inbound, context) else { return };
                let id = thread.id.clone();
                let durable =
                    thread.hot().and_then(|hot| hot.logs.get(&log)).map_or(0, super::log::Log::durable_counter);
                let until = until.min(durable);
                if after >= until {
                    let response = Response::Records { envelope: None, more: false };
                    return context.push(Effect::Respond { inbound, response });
                }
                let query = Serve::Records { thread: id, topic, log, after, until };
                context.push(Effect::Serve { inbound, query });
            }
            Request::Inert { topic, log, after } => {
                let Some(thread) = self.proven_thread(&peer, &topic, inbound, context) else { return };
                let id = thread.id.clone();
                let fork = thread.hot().and_then(|hot| hot.logs.get(&log)).and_then(|log| log.state.fork);
                let Some(fork) = fork else {
                    let response = Response::Inert { records: Vec::new(), more: false };
                    return context.push(Effect::Respond { inbound, response });
                };
                let query = Serve::Inert { thread: id, log, fork: fork.counter, after };
                context.push(Effect::Serve { inbound, query });
            }
            Request::Blocks { topic, cids } => {
                let Some(thread) = self.proven_thread(&peer, &topic, inbound, context) else { return };
                let query = Serve::Blocks { thread: thread.id.clone(), cids };
                context.push(Effect::Serve { inbound, query });
            }
        }
    }

    /// The thread of a topic, if the peer has proven access. An unknown thread and a missing proof get the same answer.
    pub(super) fn proven_thread(
        &mut self,
        peer: &PeerId,
        topic: &TopicId,
        inbound: InboundId,
        context: &mut Context<'_>,
    ) -> Option<&mut Thread> {
        let proven = self.sessions.get(peer).is_some_and(|session| session.proven.contains_key(topic));
        let Some(id) = self.topics.get(topic).filter(|_| proven) else {
            context.refuse(inbound, Refusal::Unknown);
            if !self.may_believe(peer, topic, context) {
                context.penalize(*peer, Misbehaviour::NoProof);
            }
            return None;
        };
        self.threads.get_mut(id)
    }

    pub(super) fn on_response(
        &mut self,
        request: RequestId,
        result: Result<Response, Failure>,
        context: &mut Context<'_>,
    ) {
        let Some(asked) = context.shared.asked.remove(&request) else { return };
        if let Asked::Invite { request, .. } = asked {
            let answer = match result {
                Ok(Response::Invite(answer)) => Ok(answer),
                Ok(Response::Refusal(Refusal::Malformed)) => Err(Failure::Malformed),
                Ok(_) => Err(Failure::Busy),
                Err(failure) => Err(failure),
            };
            return context.reply(request, Ok(Outcome::Invited(answer)));
        }
        self.note_trouble(&asked, &result);
        // A refusal counts as a failure of the request; what did not fit the question is the peer's fault.
        let result = match result {
            Ok(Response::Refusal(refusal)) => {
                if let (Refusal::Unknown, Some(peer), Some(thread)) = (refusal, asked.peer(), asked.about()) {
                    self.disowned(&peer, thread, context);
                }
                Err(Failure::Busy)
            }
            other => other,
        };
        if let Asked::Records { peer, since, .. } | Asked::Blocks { peer, since, .. } = &asked
            && let Some(session) = self.sessions.get_mut(peer)
        {
            session.pace.answered(&result, context.time().saturating_sub(*since));
        }
        let page_of = if let Asked::Records { peer, .. } = &asked { Some(*peer) } else { None };
        if let Some(session) = page_of.and_then(|peer| self.sessions.get_mut(&peer)) {
            session.pages = session.pages.saturating_sub(1);
        }
        match (asked, result) {
            (Asked::Proofs { peer, topics }, Ok(Response::Proofs(proofs))) => {
                self.on_proofs_answer(peer, &topics, Ok(proofs), context);
            }
            (Asked::Edges { peer }, Ok(Response::Edges(opened))) => self.on_edges_answer(peer, Ok(opened), context),
            (Asked::Heads { peer, thread }, Ok(Response::Heads { heads, more })) => {
                self.on_heads(peer, &thread, heads, more, context);
            }
            (Asked::Records { peer, thread, log, range, .. }, Ok(Response::Records { envelope, .. })) => {
                self.on_records(peer, &thread, &log, request, range, envelope, context);
            }
            (Asked::Descend { peer, thread, log, after, step }, Ok(Response::Records { envelope, .. })) => {
                self.on_older_records(peer, &thread, &log, (after, step), envelope, context);
            }
            (Asked::Inert { peer, thread, log }, Ok(Response::Inert { records, more })) => {
                self.on_inert_page(peer, &thread, &log, records, more, context);
            }
            (Asked::Push { peer, thread, runs }, Ok(Response::Push(acks))) => {
                self.on_acks(peer, &thread, &runs, Some(&acks), context);
            }
            (Asked::Blocks { thread, .. }, Ok(Response::Blocks { blocks, more })) => {
                self.on_blocks(&thread, request, Ok((blocks, more)), context);
            }
            (asked, result) => self.on_failure(request, asked, result, context),
        }
        if let Some(peer) = page_of {
            self.pull_stalled(&peer, context);
        }
    }

    /// A request that came to nothing.
    fn on_failure(
        &mut self,
        request: RequestId,
        asked: Asked,
        result: Result<Response, Failure>,
        context: &mut Context<'_>,
    ) {
        let failure = result.err();
        let wrong_answer = failure.is_none();
        let failure = failure.unwrap_or(Failure::Malformed);
        let peer = match asked {
            Asked::Proofs { peer, topics } => {
                self.on_proofs_answer(peer, &topics, Err(failure), context);
                peer
            }
            Asked::Edges { peer } => {
                self.on_edges_answer(peer, Err(failure), context);
                peer
            }
            Asked::Heads { peer, thread } => {
                self.heads_done(&peer, &thread, false, context);
                peer
            }
            Asked::Records { peer, thread, log, range, .. } => {
                self.on_page_failed(peer, &thread, &log, request, range, context);
                peer
            }
            Asked::Push { peer, thread, runs } => {
                self.on_acks(peer, &thread, &runs, None, context);
                peer
            }
            Asked::Blocks { peer, thread, .. } => {
                self.on_blocks(&thread, request, Err(failure), context);
                peer
            }
            Asked::Inert { peer, thread, log } => {
                self.list_again(&peer, &thread, &log);
                peer
            }
            Asked::Descend { peer, .. } | Asked::Invite { peer, .. } => peer,
            Asked::Cids { .. }
            | Asked::HasHead { .. }
            | Asked::BeforeFork { .. }
            | Asked::InertCount { .. }
            | Asked::Wants { .. }
            | Asked::Missing { .. } => return,
        };
        if wrong_answer {
            context.penalize(peer, Misbehaviour::WrongAnswer);
        }
    }

    pub(super) fn on_found(&mut self, request: RequestId, found: Found, context: &mut Context<'_>) {
        let Some(asked) = context.shared.asked.remove(&request) else { return };
        match (asked, found) {
            (Asked::Cids { thread, log, records, origin }, Found::Cids(own)) => {
                self.compare_records(&thread, &log, records, &own, origin, context);
            }
            (Asked::HasHead { peer, thread, log, head }, Found::Cids(own))
                if own.first().is_some_and(|ours| ours.counter == head.counter && ours.cid != head.cid) =>
            {
                self.descend(peer, &thread, &log, head.counter, 1, context);
            }
            (Asked::BeforeFork { thread, log }, Found::Cids(own)) => {
                self.set_before_fork(&thread, &log, own.first().copied(), context);
            }
            (Asked::InertCount { thread, log, fork }, Found::Inert { count, digest }) => {
                self.on_inert_count(&thread, &log, fork, count, digest, context);
            }
            (Asked::Wants { thread }, Found::Wants(wants)) => self.on_wants(&thread, wants, context),
            // The store failed: what was asked is asked again by the next comparison, and the node has said why in its log.
            (Asked::Cids { thread, log, origin, .. }, _) => {
                self.finish_run(&thread, &log, origin, super::ingest::Fate::Busy, context);
            }
            (Asked::InertCount { thread, log, .. }, _) => self.inert_count_failed(&thread, &log, context),
            (Asked::Missing { thread }, Found::Wants(wants)) => {
                if let Some(thread) = self.threads.get_mut(&thread) {
                    thread.incomplete |= !wants.is_empty();
                }
                self.resume_blocks(&thread, context);
            }
            (Asked::Wants { thread }, _) => self.on_wants(&thread, Vec::new(), context),
            _ => {}
        }
    }
}

/// A page of durable heads, sorted by log.
fn heads_after(thread: &mut Thread, after: Option<LogId>) -> (Vec<wire::Head>, bool) {
    let Some(hot) = thread.hot() else { return (Vec::new(), false) };
    let start = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut heads = hot.logs.range((start, Bound::Unbounded)).filter_map(|(id, log)| super::announce::head(id, log));
    let page: Vec<_> = heads.by_ref().take(MAX_HEADS).collect();
    let more = heads.next().is_some();
    (page, more)
}
