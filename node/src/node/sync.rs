//! Synchronising on demand, with progress.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::{
    PeerId, ThreadId,
    sync::{LogStatus, Outcome, ThreadStatus},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Node,
    append::refused,
    call::{Answer, Call},
    limits::PROGRESS_INTERVAL,
    threads::storage,
};
use crate::model::{Error, SyncEvent, SyncOptions, SyncOutcome, SyncProgress, SyncSummary};

type Step = Result<SyncEvent, Error>;

impl Node {
    /// Asks all peers of a thread, or of all threads, and tells how it goes.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub async fn sync(&self, options: SyncOptions) -> Result<BoxStream<'static, Step>, Error> {
        let threads = match &options.thread {
            Some(thread) => vec![self.thread_keys(thread)?.thread.clone()],
            None => self.keyring().all().iter().map(|keys| keys.thread.clone()).collect(),
        };
        let (sender, steps) = mpsc::channel(16);
        let run = Run { node: self.clone(), threads, timeout: options.timeout, single: options.thread, sender };
        tokio::spawn(async move {
            let sender = run.sender.clone();
            if let Err(error) = run.run().await {
                // The caller may have gone.
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(ReceiverStream::new(steps).boxed())
    }
}

struct Run {
    node: Node,
    threads: Vec<ThreadId>,
    timeout: Duration,
    single: Option<ThreadId>,
    sender: mpsc::Sender<Step>,
}

/// What is here and what is missing, over all threads of a run.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    records: u64,
    missing: u64,
    blocks: u64,
    blocks_missing: u64,
    bytes: u64,
}

impl Run {
    async fn run(self) -> Result<(), Error> {
        let start = self.standing().await?;
        let mut waiting: Vec<oneshot::Receiver<Answer>> = Vec::new();
        for thread in &self.threads {
            let (answer, done) = oneshot::channel();
            self.node.call(Call::Sync { thread: thread.clone(), answer }).await?;
            waiting.push(done);
        }
        let (mut peers, mut failed) = (0, 0);
        let mut last = start;
        let mut moved = Instant::now();
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        while !waiting.is_empty() && moved.elapsed() < self.timeout {
            tokio::select! {
                () = self.sender.closed() => return Ok(()),
                answer = futures::future::select_all(waiting.iter_mut()) => {
                    let (answer, index, _) = answer;
                    drop(waiting.swap_remove(index));
                    moved = Instant::now();
                    match answer.map_err(|_| Error::Stopping)? {
                        Ok(Outcome::Synced { peers: answered, failed: silent }) => {
                            peers += answered;
                            failed += silent;
                        }
                        Ok(_) => {}
                        Err(error) => return Err(refused(self.threads.first().unwrap_or_else(|| unreachable!("one was asked")), error)),
                    }
                }
                _ = ticks.tick() => {
                    let now = self.standing().await?;
                    if now != last {
                        (last, moved) = (now, Instant::now());
                    }
                    self.send(SyncEvent::Progress(progress(&start, &now))).await;
                }
            }
        }
        self.peer_events().await?;
        let end = self.standing().await?;
        if let (Some(thread), 0) = (&self.single, peers) {
            return Err(Error::Unreachable(thread.clone()));
        }
        let progress = progress(&start, &end);
        // Not whether peers have the same: what is written here goes on its way to them by itself.
        let complete = waiting.is_empty() && end.missing == 0 && end.blocks_missing == 0;
        let summary = SyncSummary { progress, peers: peers as u32, failed: failed as u32, complete };
        self.send(SyncEvent::Done(summary)).await;
        Ok(())
    }

    async fn send(&self, event: SyncEvent) {
        // Whether anybody listens is checked in the loop.
        let _ = self.sender.send(Ok(event)).await;
    }

    async fn statuses(&self) -> Result<Vec<ThreadStatus>, Error> {
        let threads = self.threads.clone();
        self.node.inspect(move |engine| threads.iter().filter_map(|thread| engine.status(thread)).collect()).await
    }

    /// Tells for each peer whether it has the same by now.
    async fn peer_events(&self) -> Result<(), Error> {
        let mut shares: BTreeMap<PeerId, (u32, bool)> = BTreeMap::new();
        for status in self.statuses().await? {
            for peer in &status.peers {
                let differs = status.logs.iter().flatten().any(|log| {
                    let here = log.head.map_or(0, |head| head.counter);
                    peer.heads.iter().any(|(id, there)| *id == log.log && *there != here)
                });
                let share = shares.entry(peer.peer).or_insert((0, true));
                share.0 += 1;
                share.1 &= !differs;
            }
        }
        for (peer, (threads, equal)) in shares {
            let outcome = if equal { SyncOutcome::Equal } else { SyncOutcome::Shares(threads) };
            self.send(SyncEvent::Peer { peer, outcome }).await;
        }
        Ok(())
    }

    async fn standing(&self) -> Result<Standing, Error> {
        let missing =
            self.statuses().await?.iter().flat_map(|status| status.logs.iter().flatten()).map(LogStatus::missing).sum();
        let (node, threads) = (self.node.clone(), self.threads.clone());
        let sizes = self.node.blocking(move || {
            let mut sizes = Standing { missing, ..Standing::default() };
            for thread in &threads {
                let statistics = node.store().thread_statistics(thread).map_err(storage)?;
                sizes.records += statistics.records;
                sizes.blocks += statistics.blocks;
                sizes.blocks_missing += statistics.wanted;
                sizes.bytes += statistics.block_bytes;
            }
            Ok(sizes)
        });
        sizes.await
    }
}

fn progress(start: &Standing, now: &Standing) -> SyncProgress {
    SyncProgress {
        records: now.records.saturating_sub(start.records),
        records_missing: now.missing,
        blocks: now.blocks.saturating_sub(start.blocks),
        blocks_missing: now.blocks_missing,
        bytes: now.bytes.saturating_sub(start.bytes),
    }
}
