//! The one road on which verified foreign records enter a log.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;

use super::{
    commit::{Pending, Then},
    effect::{Durability, Effect, Lookup, Misbehaviour, Write},
    engine::{Context, World},
    hot::{Hot, Thread},
    ingest::{Fate, Origin, Verification, What},
    limits::{MAX_AHEAD_BYTES, MAX_UNADMITTED_LOGS},
    log::Log,
    pull::{Ahead, Blocks},
    serve::Asked,
    state::LogState,
    verify::{Ticket, Verified},
};
use crate::{
    id::{LogId, ThreadId},
    record::{Control, VerifiedRecord},
};

/// How a verified record relates to its log.
enum Fit {
    /// Follows the head.
    Next,
    /// Is here already.
    Known,
    /// Is older than what memory can tell: the store has to be asked.
    Behind,
    /// Leaves a gap.
    Ahead,
    /// At or after a known fork.
    Inert,
    /// Follows another record than the head: the log may be forked.
    OtherBranch,
    /// Its writer broke a rule of the chain, so no correct peer has taken it.
    Broken,
}

impl World {
    pub(super) fn on_verified(&mut self, ticket: Ticket, result: Verified, context: &mut Context<'_>) {
        let Some(Verification { thread, what }) = context.shared.verifications.remove(&ticket) else { return };
        match (what, result) {
            (
                What::Records { log, origin },
                Verified::Records { records, invalid, admitted, blocks, forged_envelope },
            ) => {
                self.verification_ended(&thread, &log);
                let fate = if forged_envelope {
                    Some(Fate::Bad(Misbehaviour::InvalidEnvelope))
                } else if records.is_empty() {
                    Some(invalid.as_ref().map_or(Fate::Dropped, |_| Fate::Bad(Misbehaviour::InvalidRecord)))
                } else {
                    self.admission(&thread, admitted, &records)
                };
                if let Some(fate) = fate {
                    self.finish_run(&thread, &log, origin, fate, context);
                    // It counted as a page under way.
                    return self.pull(&thread, &log, context);
                }
                if invalid.is_some() {
                    context.penalize(origin.peer(), Misbehaviour::InvalidRecord);
                }
                match origin {
                    Origin::Descend { .. } | Origin::Inert { .. } => {
                        self.look_up_own(&thread, log, records, origin, context);
                        self.pull(&thread, &log, context);
                    }
                    Origin::Gossip { .. } | Origin::Push { .. } | Origin::Pull { .. } | Origin::Check { .. } => {
                        self.accept(&thread, log, (records, admitted), blocks, origin, context);
                    }
                }
            }
            (What::Blocks { peer }, Verified::Blocks { blocks, invalid }) => {
                if invalid {
                    context.penalize(peer, Misbehaviour::InvalidData);
                }
                self.keep_blocks(&thread, blocks, context);
            }
            // A job and its result are of one kind by construction of the pool.
            (What::Records { .. } | What::Blocks { .. }, _) => {}
        }
    }

    fn verification_ended(&mut self, thread: &ThreadId, log: &LogId) {
        if let Some(log) = self.log_mut(thread, log) {
            log.pull.verifying = log.pull.verifying.saturating_sub(1);
        }
    }

    pub(super) fn log_mut(&mut self, thread: &ThreadId, log: &LogId) -> Option<&mut Log> {
        self.threads.get_mut(thread)?.hot()?.logs.get_mut(log)
    }

    /// Forgets a log of which nothing valid has come, once those who spoke of it have failed a few times.
    pub(super) fn drop_empty(&mut self, thread: &ThreadId, log_id: &LogId) {
        let Some(hot) = self.threads.get_mut(thread).and_then(Thread::hot) else { return };
        let hopeful = |log: &Log| log.sources.values().any(|source| source.counter > 0 && source.failures < 3);
        if hot.logs.get(log_id).is_some_and(|log| log.is_empty() && !hopeful(log)) {
            hot.logs.remove(log_id);
        }
    }

    /// Why the first record of a log may not open it.
    fn admission(
        &mut self,
        thread: &ThreadId,
        admitted: Option<bool>,
        records: &[Arc<VerifiedRecord>],
    ) -> Option<Fate> {
        if records.first()?.counter() != 1 {
            return None;
        }
        match admitted {
            Some(true) => None,
            Some(false) => Some(Fate::Bad(Misbehaviour::UnadmittedLog)),
            // Only a Textile service key is known, nobody can be admitted: a quota takes the place of admission.
            None => {
                let hot = self.threads.get_mut(thread).and_then(Thread::hot)?;
                let unadmitted = |log: &&Log| log.state.head.is_some() && !log.state.admitted;
                (hot.logs.values().filter(unadmitted).count() >= MAX_UNADMITTED_LOGS).then_some(Fate::Busy)
            }
        }
    }

    /// Takes verified records of one log, in order.
    pub(super) fn accept(
        &mut self,
        id: &ThreadId,
        log_id: LogId,
        (records, admitted): (Vec<Arc<VerifiedRecord>>, Option<bool>),
        blocks: Vec<(Cid, Bytes, Vec<Cid>)>,
        origin: Origin,
        context: &mut Context<'_>,
    ) {
        let peer = origin.peer();
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else {
            return self.finish_run(id, &log_id, origin, Fate::Dropped, context);
        };
        let log = hot.logs.entry(log_id).or_default();
        let mut blocks: Blocks = blocks.into_iter().map(|(cid, bytes, links)| (cid, (bytes, links))).collect();
        let mut taken = Vec::new();
        let mut behind = Vec::new();
        let mut inert = Vec::new();
        let mut fate = Fate::Old;
        let newest = records.last().map(|record| record.counter()) == Some(log.state.counter());
        for record in records {
            log.pull.note_size(page_bytes(&record, &blocks));
            match fit(&log.state, log, &record) {
                Fit::Next => taken.push(take(log, record, admitted)),
                Fit::Known => {}
                Fit::Behind => behind.push(record),
                Fit::Inert => inert.push(record),
                Fit::Ahead => {
                    if self.sessions.contains_key(&peer) {
                        log.note_source(peer, record.counter());
                    }
                    // Nothing is kept of a log that nobody has admitted yet.
                    fate = Fate::Dropped;
                    if log.state.head.is_some() {
                        fate = Fate::Kept;
                        let links = record.links().as_slice();
                        let blocks = links.iter().filter_map(|cid| blocks.remove_entry(cid)).collect();
                        log.pull.keep_ahead(Ahead { record, blocks, peer }, MAX_AHEAD_BYTES);
                    }
                }
                Fit::OtherBranch => {
                    fate = Fate::Dropped;
                    let counter = record.counter();
                    self.descend(peer, id, &log_id, counter - 1, 1, context);
                    break;
                }
                Fit::Broken => {
                    fate = Fate::Bad(Misbehaviour::BrokenChain);
                    break;
                }
            }
        }
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else { return };
        let suspect = take_ahead(hot, &log_id, &mut taken, &mut blocks);
        if !taken.is_empty() {
            keep(id, hot, log_id, taken, std::mem::take(&mut blocks), origin, context);
            if let Fate::Bad(what) = fate {
                context.penalize(peer, what);
            }
        } else if !behind.is_empty() && !matches!(fate, Fate::Bad(_)) {
            self.look_up_own(id, log_id, std::mem::take(&mut behind), origin, context);
        } else if !inert.is_empty() {
            self.take_inert(id, log_id, std::mem::take(&mut inert), peer, context);
            self.finish_run(id, &log_id, origin, Fate::Old, context);
        } else if newest && fate == Fate::Old && matches!(origin, Origin::Push { .. }) {
            // Its answer says how far this node has come, which is more once they are durable.
            self.wait_for_commit(id, &log_id, origin, context);
        } else {
            self.finish_run(id, &log_id, origin, fate, context);
        }
        if !blocks.is_empty() {
            let blocks = blocks.into_iter().map(|(cid, (bytes, links))| (cid, bytes, links)).collect();
            self.keep_late_blocks(id, &log_id, blocks, context);
        }
        // What came in the same run besides: nobody waits for it.
        if !behind.is_empty() {
            self.look_up_own(id, log_id, behind, Origin::Check { peer }, context);
        }
        if !inert.is_empty() {
            self.take_inert(id, log_id, inert, peer, context);
        }
        if let Some((peer, counter)) = suspect {
            self.descend(peer, id, &log_id, counter - 1, 1, context);
        }
        self.pull(id, &log_id, context);
    }

    /// Asks the store for the own CIDs that valid older records have to be compared with.
    pub(super) fn look_up_own(
        &mut self,
        id: &ThreadId,
        log: LogId,
        records: Vec<Arc<VerifiedRecord>>,
        origin: Origin,
        context: &mut Context<'_>,
    ) {
        let counters = records.iter().map(|record| record.counter());
        let Some(first) = counters.clone().min() else { return };
        let until = counters.max().unwrap_or(first);
        let lookup = Lookup::Cids { log, from: first.saturating_sub(1).max(1), until };
        context.look_up(id.clone(), lookup, Asked::Cids { thread: id.clone(), log, records, origin });
    }
}

fn fit(state: &LogState, log: &Log, record: &VerifiedRecord) -> Fit {
    let counter = record.counter();
    if state.fork.is_some_and(|fork| counter >= fork.counter) {
        return Fit::Inert;
    }
    if counter <= state.counter() {
        let known = state.known_cid(counter).or_else(|| log.recent_cid(counter));
        return if known == Some(record.cid()) { Fit::Known } else { Fit::Behind };
    }
    if counter > state.counter() + 1 {
        return Fit::Ahead;
    }
    let (prev, skip) = state.next_links();
    if record.prev() != prev.as_ref() {
        return Fit::OtherBranch;
    }
    if record.skip() != skip.as_ref() || state.retired {
        return Fit::Broken;
    }
    Fit::Next
}

/// What a record takes of a page, with those of its blocks that came along.
fn page_bytes(record: &VerifiedRecord, blocks: &Blocks) -> usize {
    let linked = record.links().as_slice().iter().filter_map(|cid| blocks.get(cid));
    record.sealed().bytes.len() + linked.map(|(bytes, _)| bytes.len()).sum::<usize>()
}

/// Moves the log to `record`.
fn take(log: &mut Log, record: Arc<VerifiedRecord>, admitted: Option<bool>) -> Arc<VerifiedRecord> {
    let own = log.writer.is_some();
    let state = Arc::make_mut(&mut log.state);
    state.advance(&record);
    if record.counter() == 1 {
        state.admitted = admitted == Some(true);
    }
    // A record of an own log that was never written here: this node has gone back in time.
    if own {
        state.rolled_back = Some(record.counter());
        log.rolled_back = state.rolled_back;
    }
    if let Some(event) = record.opened().event() {
        for head in &event.heads {
            let cited = log.cites.entry(head.log).or_default();
            *cited = head.counter.max(*cited);
        }
    }
    log.remember(record.clone(), Vec::new());
    record
}

/// Takes what was waiting for the records that have just come. Returns who sent a record that does not follow.
fn take_ahead(
    hot: &mut Hot,
    log: &LogId,
    taken: &mut Vec<Arc<VerifiedRecord>>,
    blocks: &mut Blocks,
) -> Option<(crate::PeerId, u64)> {
    let log = hot.logs.get_mut(log)?;
    while let Some(Ahead { record, blocks: own, peer }) = log.pull.next_ahead(log.state.counter()) {
        match fit(&log.state, log, &record) {
            Fit::Next => {
                taken.push(take(log, record, None));
                blocks.extend(own);
            }
            Fit::OtherBranch => return Some((peer, record.counter())),
            Fit::Known | Fit::Behind | Fit::Ahead | Fit::Inert | Fit::Broken => {}
        }
    }
    None
}

/// Writes a run and the log's new state as one batch; its road is told once that is durable.
fn keep(
    id: &ThreadId,
    hot: &mut Hot,
    log_id: LogId,
    taken: Vec<Arc<VerifiedRecord>>,
    blocks: Blocks,
    origin: Origin,
    context: &mut Context<'_>,
) {
    let Some(log) = hot.logs.get_mut(&log_id) else { return };
    let Some(head) = log.state.head else { return };
    log.uncommitted += 1;
    hot.fresh.insert(log_id);
    let mut writes = Vec::with_capacity(taken.len() + blocks.len() + 1);
    let mut links = taken.iter().flat_map(|record| record.links().as_slice());
    let wants = links.any(|cid| !blocks.contains_key(cid)) || blocks.values().any(|(_, links)| !links.is_empty());
    for (cid, (bytes, links)) in blocks {
        writes.push(Write::Block { thread: id.clone(), cid, bytes, links });
    }
    for record in &taken {
        if let Some(Control::Addresses(_)) = record.control() {
            let addresses = log.state.addresses.clone();
            context.push(Effect::Addresses { thread: id.clone(), log: log_id, addresses });
        }
    }
    writes.extend(taken.into_iter().map(|record| Write::Record { record }));
    writes.push(Write::Log { thread: id.clone(), log: log_id, state: log.state.clone() });
    let then = Then::Foreign { log: log_id, head, origin: vec![origin], wants };
    context.persist(Durability::Sync, writes, |batch| Pending::new(batch, id.clone(), then));
}
