//! Threads that are followed for others: what is taken of them, how fast, and what peers are told about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cid::Cid;

use super::{
    commit::{Pending, Then},
    effect::{AppendError, Durability, RequestId, Write},
    engine::{Context, World},
    hot::Thread,
    ingest::Origin,
    limits::RATE_BURST,
    timers::Timer,
};
use crate::{
    id::{LogId, ThreadId},
    wire::{Refusal, Terms},
};

/// What a node has agreed to keep of a thread, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Following {
    /// What peers are told.
    pub terms: Terms,
    /// Threads with one account share its rate.
    pub account: u64,
    /// Records that the account's threads may bring in one second, on average; `None`: as many as come.
    pub records_per_second: Option<u32>,
}

/// What the threads of one account may bring now. It runs into debt by the run that exceeds it, so that no run is too large to be taken ever.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Millionths of a record.
    tokens: i64,
    filled: Duration,
}

const MILLION: i64 = 1_000_000;

impl Bucket {
    fn new(rate: u32, now: Duration) -> Self {
        Self { tokens: full(rate), filled: now }
    }

    fn fill(&mut self, rate: u32, now: Duration) {
        let micros = i64::try_from(now.saturating_sub(self.filled).as_micros()).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(micros.saturating_mul(i64::from(rate))).min(full(rate));
        self.filled = now;
    }

    /// How long until there is something to take.
    fn wait(&self, rate: u32) -> Option<Duration> {
        (self.tokens <= 0).then(|| Duration::from_micros((1 - self.tokens).unsigned_abs() / u64::from(rate) + 1))
    }

    fn take(&mut self, records: usize) {
        let records = i64::try_from(records).unwrap_or(i64::MAX / MILLION);
        self.tokens = self.tokens.saturating_sub(records.saturating_mul(MILLION));
    }
}

fn full(rate: u32) -> i64 {
    i64::from(rate) * i64::try_from(RATE_BURST.as_micros()).unwrap_or(i64::MAX / MILLION)
}

impl World {
    /// A thread is followed on these terms from now on, or not for others any more.
    pub(super) fn on_following(&mut self, id: &ThreadId, following: Option<Following>, context: &mut Context<'_>) {
        let Some(thread) = self.threads.get_mut(id) else { return };
        let before = std::mem::replace(&mut thread.following, following);
        let account = before.map(|before| before.account);
        if let Some(account) = account.filter(|account| following.is_none_or(|now| now.account != *account)) {
            self.close_account(account, context);
        }
        let terms = |following: Option<Following>| following.unwrap_or_default().terms;
        if terms(before) == terms(following) {
            return;
        }
        // Proofs carry the terms.
        self.prove_to_all(id, context);
        if terms(before).is_full {
            let peers: Vec<_> =
                self.threads.get(id).map(|thread| thread.peers.iter().copied().collect()).unwrap_or_default();
            peers.iter().for_each(|peer| self.check_heads(peer, id, context));
            self.resume_blocks(id, context);
        }
    }

    /// Blocks are not kept any more, if the logs are where they were when that was decided.
    pub(super) fn on_drop_blocks(
        &mut self,
        request: RequestId,
        id: &ThreadId,
        cids: Vec<Cid>,
        heads: &[(LogId, u64)],
        context: &mut Context<'_>,
    ) {
        let Some(hot) = self.threads.get_mut(id).and_then(Thread::hot) else {
            return context.reply(request, Err(AppendError::ThreadNotFound));
        };
        let logs = hot.logs.iter().filter(|(_, log)| log.state.head.is_some());
        let here = logs.map(|(id, log)| (*id, log.state.counter()));
        // Nor while blocks are on their way: they would be kept.
        if !here.eq(heads.iter().copied()) || !hot.wants.is_quiet() {
            return context.reply(request, Err(AppendError::Busy));
        }
        let dropped: BTreeSet<_> = cids.iter().copied().collect();
        hot.wants.queue.retain(|(cid, _)| !dropped.contains(cid));
        hot.wants.vain.retain(|cid, _| !dropped.contains(cid));
        let write = Write::DropBlocks { thread: id.clone(), cids };
        let then = Then::Stored { request };
        context.persist(Durability::Sync, vec![write], |batch| Pending::new(batch, id.clone(), then));
    }

    /// Forgets an account that no thread has any more.
    pub(super) fn close_account(&mut self, account: u64, context: &mut Context<'_>) {
        let of_account = |thread: &Thread| thread.following.is_some_and(|following| following.account == account);
        if !self.threads.values().any(of_account) {
            context.shared.accounts.remove(&account);
        }
    }

    /// Why no record of a thread is taken now, if so.
    pub(super) fn declines(&self, id: &ThreadId, context: &mut Context<'_>) -> Option<Refusal> {
        let following = self.threads.get(id)?.following?;
        if following.terms.is_full {
            return Some(Refusal::Full);
        }
        wait(&mut context.shared.accounts, following, context.now.monotonic).map(|_| Refusal::TooFast)
    }

    /// Whether records of a log may be asked for now; if that has to wait, it is remembered.
    pub(super) fn may_pull(&self, id: &ThreadId, log: &LogId, context: &mut Context<'_>) -> bool {
        let Some(following) = self.threads.get(id).and_then(|thread| thread.following) else { return true };
        if following.terms.is_full {
            return false;
        }
        match wait(&mut context.shared.accounts, following, context.now.monotonic) {
            None => true,
            Some(wait) => {
                context.after(wait, Timer::Pull(id.clone(), *log));
                false
            }
        }
    }

    /// Whether nothing of a thread is taken any more.
    pub(super) fn is_full(&self, id: &ThreadId) -> bool {
        self.threads.get(id).and_then(|thread| thread.following).is_some_and(|following| following.terms.is_full)
    }

    /// Records that are about to be verified count against the rate; evidence of forks does not.
    pub(super) fn charge(&self, id: &ThreadId, records: usize, origin: &Origin, context: &mut Context<'_>) {
        let (Origin::Gossip { .. } | Origin::Push { .. } | Origin::Pull { .. }) = origin else { return };
        let Some(following) = self.threads.get(id).and_then(|thread| thread.following) else { return };
        let Some(rate) = following.records_per_second else { return };
        bucket(&mut context.shared.accounts, following.account, rate, context.now.monotonic).take(records);
    }
}

fn bucket(accounts: &mut BTreeMap<u64, Bucket>, account: u64, rate: u32, now: Duration) -> &mut Bucket {
    let bucket = accounts.entry(account).or_insert_with(|| Bucket::new(rate, now));
    bucket.fill(rate, now);
    bucket
}

fn wait(accounts: &mut BTreeMap<u64, Bucket>, following: Following, now: Duration) -> Option<Duration> {
    let rate = following.records_per_second?;
    bucket(accounts, following.account, rate, now).wait(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_long_run_no_more_comes_than_the_rate() {
        let (rate, mut now, mut taken) = (50, Duration::ZERO, 0u64);
        let mut bucket = Bucket::new(rate, now);
        while now < Duration::from_secs(1_000) {
            bucket.fill(rate, now);
            match bucket.wait(rate) {
                None => {
                    bucket.take(700);
                    taken += 700;
                }
                Some(wait) => now += wait,
            }
        }
        let (allowed, burst) = (1_000 * u64::from(rate), RATE_BURST.as_secs() * u64::from(rate));
        assert!((allowed - 700..=allowed + burst + 700).contains(&taken), "{taken}");
    }

    #[test]
    fn what_is_not_used_is_not_saved_up_for_ever() {
        let mut bucket = Bucket::new(10, Duration::ZERO);
        bucket.fill(10, Duration::from_secs(u64::MAX / 2));
        bucket.take(10 * usize::try_from(RATE_BURST.as_secs()).unwrap());
        assert!(bucket.wait(10).is_some());
    }
}
