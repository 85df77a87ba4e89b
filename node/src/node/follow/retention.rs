//! Retention: bodies that came long ago are dropped from threads that this node only follows. Their records stay, with links and signatures, so that chains still
//! verify.
//!
//! Followers cannot read when something was written, so age counts from arrival: now and then it is noted how far each log has come (a *mark*), and what was
//! there at a mark that is old enough is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    time::{Duration, SystemTime},
};

use spool_proto::{
    Cid, LogId, ThreadId,
    body::Manifest,
    record::{self, Links, SealedRecord},
    wire::limits::MAX_BODIES_DAYS,
};
use spool_store::{View, store::Page, view};
use tokio::sync::oneshot;

use super::{
    followers::millis,
    limits::{
        DROP_TRIES, DROPPED_BLOCKS, EXPIRED_RECORDS, LEAST_MARK_INTERVAL, MARKS_IN_RETENTION, RETENTION_INTERVAL,
    },
};
use crate::{
    model::{Error, FollowedThread},
    node::{
        Node,
        append::refused,
        call::Call,
        keyring::Keys,
        limits::{READ_BYTES, READ_RECORDS},
        threads::storage,
    },
};

/// The number of the view in which marks are kept, beside those of the database and of followers.
const VIEW: u8 = 4;
/// Key of a mark: this ‖ public key of the log ‖ milliseconds; its value is a counter.
const MARK: u8 = 0;
/// Key of how far bodies of a log are dropped: this ‖ public key; its value is a counter.
const DROPPED: u8 = 1;
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What has come too long ago in a thread.
struct Expired {
    /// How far each log is here, by id.
    heads: Vec<(LogId, u64)>,
    blocks: Vec<Cid>,
    /// What is to be noted once they are dropped.
    done: view::Batch,
    /// There is more.
    more: bool,
}

impl Node {
    /// Sets after how many days bodies of a followed thread are dropped here; 0 for never.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if this node reads the thread, or for too many days.
    pub async fn set_retention(&self, thread: &ThreadId, bodies_days: u32) -> Result<FollowedThread, Error> {
        let keys = self.thread_keys(thread)?;
        if keys.state.keys.can_read() {
            return Err(Error::Invalid(format!(
                "this node reads thread {thread}: only followers, who serve what others have, drop bodies"
            )));
        }
        if bodies_days > MAX_BODIES_DAYS {
            return Err(Error::Invalid(format!("bodies are kept for at most {MAX_BODIES_DAYS} days, or for good")));
        }
        let (node, id) = (self.clone(), thread.clone());
        let set = move || {
            let new = super::agreements::Agreement { since_millis: millis(SystemTime::now()), ..Default::default() };
            let mut agreement = node.agreements().get(&id).unwrap_or(new);
            agreement.bodies_days = bodies_days;
            node.agreements().put(&id, agreement).map_err(storage)
        };
        self.blocking(set).await?;
        self.tell_engine(thread).await?;
        // From now on age counts for what is here.
        self.retain_thread(thread, SystemTime::now()).await?;
        let followed = self.list_followed().into_iter().find(|followed| followed.thread == *thread);
        followed.ok_or_else(|| Error::ThreadNotFound(thread.clone()))
    }

    /// Drops bodies of followed threads that came too long ago, as of a time. Returns how many blocks. The node does this by itself, every hour.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the store cannot be read; what was dropped until then is.
    pub async fn retain(&self, now: SystemTime) -> Result<u64, Error> {
        let mut dropped = 0;
        for (thread, agreement) in self.agreements().all() {
            if agreement.bodies_days > 0 {
                dropped += self.retain_thread(&thread, now).await?;
            }
        }
        Ok(dropped)
    }

    /// Runs until the node ends.
    pub(in crate::node) async fn keep_retention(self) {
        let mut interval = tokio::time::interval(RETENTION_INTERVAL);
        loop {
            interval.tick().await;
            match self.retain(SystemTime::now()).await {
                Ok(0) => {}
                Ok(blocks) => tracing::info!(blocks, "bodies that came long ago were dropped"),
                Err(Error::Stopping) => return,
                Err(error) => tracing::warn!(error = crate::chain(&error), "bodies could not be dropped"),
            }
        }
    }

    async fn retain_thread(&self, thread: &ThreadId, now: SystemTime) -> Result<u64, Error> {
        let mut dropped = 0;
        // Where records keep coming, their links may be to what is about to be dropped: it is looked again, and at last left to the next time.
        let mut tries = 0;
        while tries < DROP_TRIES {
            let (node, id) = (self.clone(), thread.clone());
            let Some(expired) = self.blocking(move || node.expired(&id, now)).await? else { return Ok(dropped) };
            if !self.drop_blocks(thread, &expired).await? {
                tries += 1;
                continue;
            }
            dropped += expired.blocks.len() as u64;
            let (node, id) = (self.clone(), thread.clone());
            let done = expired.done;
            let note = move || match node.store().view(&id, VIEW).map_err(storage)? {
                Some(view) => view.write(done).map_err(storage),
                None => Ok(()),
            };
            self.blocking(note).await?;
            if !expired.more {
                return Ok(dropped);
            }
        }
        Ok(dropped)
    }

    /// Returns whether all of them were dropped: not if records have come meanwhile.
    async fn drop_blocks(&self, thread: &ThreadId, expired: &Expired) -> Result<bool, Error> {
        for cids in expired.blocks.chunks(DROPPED_BLOCKS) {
            let (node, blocks) = (self.clone(), cids.to_vec());
            let sizes = move || blocks.iter().map(|cid| node.store().block_size(cid).map_err(storage)).sum();
            let bytes: u64 = self.blocking(sizes).await?;
            let (answer, done) = oneshot::channel();
            let (cids, heads) = (cids.to_vec(), expired.heads.clone());
            self.call(Call::DropBlocks { thread: thread.clone(), cids, heads, answer }).await?;
            match done.await.map_err(|_| Error::Stopping)? {
                Ok(_) => self.agreements().free(thread, bytes),
                Err(spool_proto::sync::AppendError::Busy) => return Ok(false),
                Err(error) => return Err(refused(thread, error)),
            }
        }
        Ok(true)
    }

    /// Notes how far the logs are, and finds what was there long enough ago. Blocks.
    fn expired(&self, thread: &ThreadId, now: SystemTime) -> Result<Option<Expired>, Error> {
        let (Some(agreement), Some(keys)) = (self.agreements().get(thread), self.keyring().get(thread)) else {
            return Ok(None);
        };
        let Some(view) = self.store().view(thread, VIEW).map_err(storage)? else { return Ok(None) };
        let age = DAY.saturating_mul(agreement.bodies_days);
        let (now, interval) = (millis(now), (age / MARKS_IN_RETENTION).max(LEAST_MARK_INTERVAL).as_millis() as u64);
        let oldest = now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let (mut marks, mut done, mut more) = (view::Batch::default(), view::Batch::default(), false);
        let mut heads = BTreeMap::new();
        let mut ranges = BTreeMap::new();
        for (log, state) in self.store().log_states(thread).map_err(storage)? {
            let head = state.counter();
            if head > 0 {
                heads.insert(log, head);
            }
            let dropped = counter_at(&view, &key(DROPPED, &log))?;
            let (mut through, mut last, mut passed) = (dropped, None, Vec::new());
            let scan = view.reader().scan_prefix(&key(MARK, &log), &mut |key, value| {
                if let (Some(at), Some(counter)) = (number(&key[key.len().saturating_sub(8)..]), number(value)) {
                    last = Some((at, counter));
                    if at <= oldest {
                        through = through.max(counter);
                        passed.push(key.to_vec());
                    }
                }
                ControlFlow::Continue(())
            });
            scan.map_err(storage)?;
            if last.is_none_or(|(at, counter)| counter < head && at.saturating_add(interval) <= now) && head > dropped {
                marks.put([&key(MARK, &log)[..], &now.to_be_bytes()].concat(), head.to_be_bytes().to_vec());
            }
            let until = through.min(dropped + EXPIRED_RECORDS);
            more |= until < through;
            if until == through {
                passed.into_iter().for_each(|mark| done.delete(mark));
            }
            if until > dropped {
                done.put(key(DROPPED, &log), until.to_be_bytes().to_vec());
            }
            ranges.insert(log, (dropped, until, head));
        }
        view.write(marks).map_err(storage)?;
        if ranges.values().all(|(dropped, until, _)| dropped == until) {
            return Ok(None);
        }
        let (mut old, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for (log, (dropped, until, head)) in ranges {
            self.linked(&keys, &log, dropped, until, &mut old)?;
            self.linked(&keys, &log, until, head, &mut kept)?;
        }
        // What newer bodies consist of as well stays.
        let blocks = old.difference(&kept).copied().collect();
        Ok(Some(Expired { heads: heads.into_iter().collect(), blocks, done, more }))
    }

    /// Blocks that records of a log link to, with the chunks that their manifests list.
    fn linked(&self, keys: &Keys, log: &LogId, after: u64, until: u64, found: &mut BTreeSet<Cid>) -> Result<(), Error> {
        let mut after = after;
        while after < until {
            let page = Page { bytes: READ_BYTES, count: READ_RECORDS };
            let run = self.store().records(&keys.thread, log, after, until, page).map_err(storage)?;
            let Some(run) = run else { return Ok(()) };
            after = run.first + run.records.len() as u64 - 1;
            let Some(log_keys) = keys.log(&run.key_id, log) else { continue };
            for bytes in run.records {
                let sealed = SealedRecord { key_id: run.key_id, bytes };
                // What does not open here was verified when it came: the disk is damaged, and `verify` says so.
                let Ok(links) = record::links(&keys.thread, log, &log_keys, &sealed) else { continue };
                found.extend(links.as_slice());
                let Links::Manifests(manifests) = &links else { continue };
                for cid in manifests {
                    let Some(block) = self.store().block_in_thread(&keys.thread, cid).map_err(storage)? else {
                        continue;
                    };
                    let Ok(manifest) = Manifest::open(&log_keys, &keys.thread, &block) else { continue };
                    found.extend(manifest.chunks().iter().map(|chunk| chunk.cid));
                }
            }
        }
        Ok(())
    }

    /// Whether the body of a record was dropped here. Blocks.
    pub(in crate::node) fn is_dropped(&self, thread: &ThreadId, log: &LogId, counter: u64) -> Result<bool, Error> {
        match self.store().view(thread, VIEW).map_err(storage)? {
            Some(view) => Ok(counter <= counter_at(&view, &key(DROPPED, log))?),
            None => Ok(false),
        }
    }
}

fn key(kind: u8, log: &LogId) -> Vec<u8> {
    [&[kind], &log.public_key()[..]].concat()
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

fn counter_at(view: &View, key: &[u8]) -> Result<u64, Error> {
    Ok(view.reader().get(key).map_err(storage)?.and_then(|value| number(&value)).unwrap_or(0))
}
