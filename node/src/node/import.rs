//! Takes an archive of a thread.
//!
//! The archive is checked to its end first. Then it becomes a guest: to the engine it is a peer that has what the file has, proves access, and answers. So what
//! is in it enters on the one road on which all foreign records do, with gaps, forks and blocks as from anybody.

mod answer;
mod file;

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use futures::{StreamExt as _, stream::BoxStream};
use spool_proto::{ThreadId, envelope::peer_id, sync::Input};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use self::file::Archive;
use super::{
    Node,
    call::{Call, points},
    guests::Asked,
    keyring::Keys,
    limits::{GUEST_QUESTIONS, IMPORT_PATIENCE, LEAST_FREE_BYTES, PROGRESS_INTERVAL},
    threads::storage,
};
use crate::model::{BoxError, Error, ImportProgress, ImportReport, ImportStep};

type Steps = mpsc::Sender<Result<ImportStep, Error>>;

impl Node {
    /// Takes what an archive has of a thread that is here, and tells how it goes. One that is not good to its end is refused whole.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`]; as a step of the stream [`Error::Archive`], [`Error::Busy`] if nothing moves for a long while, [`Error::Storage`].
    pub async fn import(
        &self,
        thread: &ThreadId,
        content: BoxStream<'static, Result<Bytes, BoxError>>,
    ) -> Result<BoxStream<'static, Result<ImportStep, Error>>, Error> {
        let keys = self.thread_keys(thread)?;
        let (sender, steps) = mpsc::channel(4);
        let node = self.clone();
        tokio::spawn(async move {
            let ended = node.take_archive(keys, content, &sender).await;
            // Whoever asked may have gone.
            let _ = sender.send(ended.map(ImportStep::Done)).await;
        });
        Ok(ReceiverStream::new(steps).boxed())
    }

    async fn take_archive(
        &self,
        keys: Arc<Keys>,
        content: BoxStream<'static, Result<Bytes, BoxError>>,
        steps: &Steps,
    ) -> Result<ImportReport, Error> {
        let file = self.receive(content).await?;
        let (checking, told) = (keys.clone(), steps.clone());
        let archive = self.blocking(move || {
            let mut last = Instant::now();
            Archive::open(file, &checking, &mut |bytes| {
                if last.elapsed() >= PROGRESS_INTERVAL {
                    last = Instant::now();
                    // A slow listener misses some.
                    let _ = told.try_send(Ok(ImportStep::Checked { bytes }));
                }
            })
        });
        let archive = Arc::new(archive.await?);
        let before = self.count_records(&keys.thread).await?;
        let key = SigningKey::from_bytes(&rand::random());
        let (questions, asked) = mpsc::channel(GUEST_QUESTIONS);
        let visit = self.guests().welcome(peer_id(&key), questions);
        let visitor = Visit { node: self, keys: &keys, archive, key, before, steps };
        let ended = visitor.run(asked).await;
        self.call(Call::Input(Box::new(Input::PeerGone { peer: visit.peer }))).await?;
        ended
    }

    /// Puts what comes into a file without a name on the disk of the repository.
    async fn receive(&self, mut content: BoxStream<'static, Result<Bytes, BoxError>>) -> Result<std::fs::File, Error> {
        let disk = |error: std::io::Error| Error::Storage(Box::new(error));
        let file = match self.repo() {
            Some(repo) => tempfile::tempfile_in(repo.dir()),
            None => tempfile::tempfile(),
        };
        let mut file = file.map_err(disk)?;
        let repo = self.repo().cloned();
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(|error| Error::Invalid(error.to_string()))?;
            let repo = repo.clone();
            let write = move || {
                // What is taken in must not take the room from what the store writes.
                if let Some(repo) = &repo
                    && fs4::available_space(repo.dir()).map_err(disk)? < LEAST_FREE_BYTES + piece.len() as u64
                {
                    return Err(disk(std::io::ErrorKind::StorageFull.into()));
                }
                file.write_all(&piece).map(|()| file).map_err(disk)
            };
            file = self.blocking(write).await?;
        }
        Ok(file)
    }

    /// Records here, valid and inert.
    async fn count_records(&self, thread: &ThreadId) -> Result<u64, Error> {
        let (store, thread) = (self.store().clone(), thread.clone());
        self.blocking(move || {
            let states = store.log_states(&thread).map_err(storage)?;
            Ok(states.iter().map(|(_, state)| state.counter()).sum())
        })
        .await
    }
}

/// An archive as a guest of the engine.
struct Visit<'a> {
    node: &'a Node,
    keys: &'a Keys,
    archive: Arc<Archive>,
    key: SigningKey,
    before: u64,
    steps: &'a Steps,
}

impl Visit<'_> {
    /// Answers until all is here, or nothing moves any more.
    async fn run(&self, mut asked: mpsc::Receiver<Asked>) -> Result<ImportReport, Error> {
        self.node.call(Call::Input(Box::new(Input::PeerConnected { peer: peer_id(&self.key) }))).await?;
        let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut progress, mut moved) = (ImportProgress::default(), Instant::now());
        loop {
            tokio::select! {
                question = asked.recv() => match question {
                    None => return Err(Error::Stopping),
                    Some(Asked::Penalized(what)) => {
                        return Err(Error::Archive(crate::car::Error::Content(format!("it {}", points(what).1))));
                    }
                    Some(Asked::Request { request, body }) => {
                        let (archive, me, key) = (self.archive.clone(), self.node.network().local_peer(), self.key.clone());
                        let access = self.keys.state.keys.access().clone();
                        let answer = self.node.blocking(move || answer::answer(&archive, &access, &me, &key, body));
                        let result = answer.await.map_err(|error| {
                            tracing::warn!(error = crate::chain(&error), "answer from an archive");
                            spool_proto::sync::Failure::Disconnected
                        });
                        self.node.call(Call::Input(Box::new(Input::Response { request, result }))).await?;
                    }
                },
                _ = tick.tick() => {
                    if self.steps.is_closed() {
                        // Whoever asked has gone.
                        return Err(Error::Stopping);
                    }
                    let (now, report) = self.look().await?;
                    if let Some(report) = report {
                        return Ok(report);
                    }
                    if now != progress {
                        (progress, moved) = (now, Instant::now());
                        let _ = self.steps.try_send(Ok(ImportStep::Progress(now)));
                    }
                    if moved.elapsed() > IMPORT_PATIENCE {
                        return Err(Error::Busy("nothing of the archive was taken for a while"));
                    }
                }
            }
        }
    }

    /// How far it is; and what came of it once nothing is missing.
    async fn look(&self) -> Result<(ImportProgress, Option<ImportReport>), Error> {
        let (store, thread, archive, before) =
            (self.node.store().clone(), self.keys.thread.clone(), self.archive.clone(), self.before);
        self.node
            .blocking(move || {
                let states: BTreeMap<_, _> = store.log_states(&thread).map_err(storage)?.into_iter().collect();
                let (mut complete, mut forked, mut missing) = (true, Vec::new(), 0);
                for (log, part) in &archive.logs {
                    let state = states.get(log);
                    let fork = state.and_then(|state| state.fork);
                    forked.extend(fork.map(|_| *log));
                    let counter = state.map_or(0, spool_proto::sync::LogState::active_counter);
                    complete &= match (&part.fork, fork) {
                        (Some(_), None) => false,
                        (Some(theirs), Some(ours)) if ours.counter == theirs.counter => {
                            ours.inert >= theirs.digest.count
                        }
                        (_, Some(ours)) => counter + 1 >= ours.counter.min(part.counter() + 1),
                        // Another record in its place is a fork that nobody has found yet.
                        (None, None) => match part.head {
                            None => true,
                            Some((place, cid)) => {
                                let here = store.record(&thread, log, place).map_err(storage)?;
                                here.is_some_and(|record| record.cid() == cid)
                            }
                        },
                    };
                    missing += part.counter().saturating_sub(counter);
                }
                let mut blocks_missing = 0;
                let mut after = None;
                loop {
                    let wants = store.wants(&thread, after.as_ref(), super::limits::LOOKUP_CIDS).map_err(storage)?;
                    blocks_missing += wants.iter().filter(|(cid, _)| archive.has(cid)).count() as u64;
                    match wants.last() {
                        Some((cid, _)) => after = Some(*cid),
                        None => break,
                    }
                }
                let records = states.values().map(|state| state.counter()).sum::<u64>().saturating_sub(before);
                let progress = ImportProgress { records, records_missing: missing, blocks_missing };
                let report =
                    ImportReport { records, blocks: archive.block_count(), logs: archive.logs.len() as u64, forked };
                Ok((progress, (complete && blocks_missing == 0).then_some(report)))
            })
            .await
    }
}
