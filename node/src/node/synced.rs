//! Am I synced? How a thread stands here and at its peers, and waiting until enough followers have a record.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use spool_proto::{LogId, PeerId, ThreadId, sync::ThreadStatus, wire::Role};

use super::{Node, follow::limits::DURABLE_LOOK, standings::Standing, threads::storage};
use crate::model::{Durable, Error, LogStanding, PeerStanding, ThreadStanding};

impl Node {
    /// How a thread stands: each log here and at each known peer.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub async fn thread_status(&self, thread: &ThreadId) -> Result<ThreadStanding, Error> {
        self.thread_keys(thread)?;
        let status = self.observe(thread).await?.ok_or_else(|| Error::ThreadNotFound(thread.clone()))?;
        let (node, id) = (self.clone(), thread.clone());
        let (states, missing_blocks) = self
            .blocking(move || {
                let states = node.store().log_states(&id).map_err(storage)?;
                Ok((states, node.store().thread_statistics(&id).map_err(storage)?.wanted))
            })
            .await?;
        let peers = self.peer_standings(thread, &status);
        let live = status.logs.iter().flatten().map(|log| (log.log, log)).collect::<BTreeMap<_, _>>();
        let own = self.keyring().writers(thread).into_iter().map(|writer| writer.log).collect::<BTreeSet<_>>();
        let all: BTreeSet<LogId> = states.iter().map(|(log, _)| *log).chain(live.keys().copied()).collect();
        let states: BTreeMap<_, _> = states.into_iter().collect();
        let logs = all.into_iter().map(|log| {
            let (live, state) = (live.get(&log), states.get(&log));
            let here = match live {
                Some(live) => live.head.map_or(0, |head| head.counter),
                None => state.map_or(0, spool_proto::sync::LogState::active_counter),
            };
            let newest = peers.iter().filter_map(|peer| peer.heads.get(&log).copied()).max().unwrap_or(0);
            LogStanding {
                log,
                own: own.contains(&log),
                head: here,
                newest: newest.max(live.map_or(0, |live| live.target)).max(here),
                durable: durable(&peers, &log, here),
                pulled_from: live.map(|live| live.pulled_from.clone()).unwrap_or_default(),
                forked: state.is_some_and(|state| state.fork.is_some()),
                retired: state.is_some_and(|state| state.retired),
            }
        });
        let logs: Vec<_> = logs.collect();
        let followers = peers.iter().filter(|peer| peer.is_counted()).count() as u32;
        let followed = self.list_followed().into_iter().find(|followed| followed.thread == *thread);
        Ok(ThreadStanding {
            thread: thread.clone(),
            followers,
            durable: peers.iter().filter(|peer| peer.is_counted() && peer.has_all(&logs)).count() as u32,
            logs,
            peers,
            missing_blocks,
            followed,
        })
    }

    /// All peers of a thread that are connected, were asked to follow, or were heard of.
    fn peer_standings(&self, thread: &ThreadId, status: &ThreadStatus) -> Vec<PeerStanding> {
        let known = self.standings().of(thread);
        let followers: BTreeMap<_, _> =
            self.followers().of(thread).into_iter().map(|follower| (follower.peer, follower)).collect();
        let connected: BTreeMap<_, _> = status.peers.iter().map(|peer| (peer.peer, peer)).collect();
        let all: BTreeSet<PeerId> = known.keys().chain(followers.keys()).chain(connected.keys()).copied().collect();
        let nothing = Standing::default();
        let standing = |peer: PeerId| {
            let (known, follower, live) =
                (known.get(&peer).unwrap_or(&nothing), followers.get(&peer), connected.get(&peer));
            let said = live.and_then(|live| live.terms.bodies_days).map(std::num::NonZeroU32::get);
            let gone = follower.and_then(|follower| follower.gone_millis);
            PeerStanding {
                peer,
                role: live
                    .map_or(if known.follows || follower.is_some() { Role::Follower } else { Role::Reader }, |live| {
                        live.role
                    }),
                asked: follower.is_some(),
                gone: gone.map(|millis| std::time::UNIX_EPOCH + Duration::from_millis(millis)),
                connected: live.is_some(),
                last_contact: known.last_contact,
                heads: known.heads.clone(),
                bodies_days: match live {
                    Some(_) => said.unwrap_or(0),
                    None => known.bodies_days.max(follower.map_or(0, |follower| follower.bodies_days)),
                },
                is_full: live.is_some_and(|live| live.terms.is_full),
                trouble: live.and_then(|live| live.trouble),
            }
        };
        all.into_iter().map(standing).collect()
    }

    /// Waits until so many followers have a record on their disks.
    ///
    /// # Errors
    ///
    /// [`Error::NotInTime`]; the record is in the log all the same.
    pub async fn wait_for_followers(
        &self,
        thread: &ThreadId,
        log: &LogId,
        counter: u64,
        wanted: u32,
        timeout: Duration,
    ) -> Result<Durable, Error> {
        let end = tokio::time::Instant::now() + timeout;
        let mut changes = self.standings().changes();
        loop {
            changes.mark_unchanged();
            let status = self.observe(thread).await?.ok_or_else(|| Error::ThreadNotFound(thread.clone()))?;
            // What was just observed is no news.
            changes.mark_unchanged();
            let peers = self.peer_standings(thread, &status);
            let followers = peers.iter().filter(|peer| peer.is_counted()).count() as u32;
            let durable = Durable { durable: durable(&peers, log, counter), followers };
            if durable.durable >= wanted {
                return Ok(durable);
            }
            if tokio::time::Instant::now() >= end {
                let Durable { durable, followers } = durable;
                return Err(Error::NotInTime { durable, followers, wanted });
            }
            // An acknowledgement comes as a change; that a peer agrees shows when one looks.
            let look = tokio::time::Instant::now() + DURABLE_LOOK;
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(end.min(look)) => {}
                () = self.ended() => return Err(Error::Stopping),
            }
        }
    }
}

/// How many followers have a log up to a counter.
fn durable(peers: &[PeerStanding], log: &LogId, counter: u64) -> u32 {
    let has = |peer: &&PeerStanding| peer.heads.get(log).copied().unwrap_or(0) >= counter;
    peers.iter().filter(|peer| peer.is_counted()).filter(has).count() as u32
}
