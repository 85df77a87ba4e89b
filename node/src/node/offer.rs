//! Takes one record that somebody in this process brings.
//!
//! It enters as a push of a peer that is not on the network: on the road, and by the rules, of all foreign records.

use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use spool_proto::{
    Cid, KeyId, LogId, PeerId, ThreadId, block,
    envelope::{Run, peer_id},
    keys::Direction,
    limits::{MAX_BLOCK_BYTES, MAX_RECORD_BYTES},
    record::{SealedRecord, VerifiedRecord},
    sync::{Failure, Input, Job, Verified},
    wire::{Proof, Request, Response, Role, Terms},
};
use tokio::sync::mpsc;

use super::{
    Node,
    call::{Call, points},
    guests::Asked,
    keyring::Keys,
    limits::{GUEST_QUESTIONS, OFFER_PATIENCE},
    threads::storage,
};
use crate::model::Error;

/// A record as it is brought: sealed, and the block of its body unless that is within.
pub(crate) struct Offer {
    pub(crate) thread: ThreadId,
    pub(crate) log: LogId,
    pub(crate) record: Bytes,
    pub(crate) body: Option<Bytes>,
}

/// An offer that was found good.
struct Good {
    offer: Offer,
    key_id: KeyId,
    counter: u64,
    cid: Cid,
}

impl Node {
    /// Takes a record of any log of a thread, unless it is here: returns when it is synced to disk.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`]; [`Error::LogNotFound`] if it is not the first of a log of which nothing is here; [`Error::Invalid`] if it is not valid, if records before it
    /// are missing, or if its log is forked there; [`Error::TooLarge`]; [`Error::Busy`]; [`Error::Storage`].
    pub(crate) async fn offer(&self, offer: Offer) -> Result<(), Error> {
        let sized = |what, bytes: &[u8], limit: usize| match bytes.len() > limit {
            true => Err(Error::TooLarge { what, size: bytes.len() as u64, limit: limit as u64 }),
            false => Ok(()),
        };
        sized("the record", &offer.record, MAX_RECORD_BYTES)?;
        sized("the block of the body", offer.body.as_deref().unwrap_or_default(), MAX_BLOCK_BYTES)?;
        let keys = self.thread_keys(&offer.thread)?;
        let store = self.store().clone();
        let checked = keys.clone();
        let good = self.blocking(move || {
            let good = check(offer, &checked)?;
            let (thread, log) = (&good.offer.thread, &good.offer.log);
            let here = store.log_state(thread, log).map_err(storage)?.map_or(0, |state| state.counter());
            if store.record(thread, log, good.counter).map_err(storage)?.is_some_and(|known| known.cid() == good.cid) {
                return Ok(None);
            }
            match here + 1 < good.counter {
                false => Ok(Some(good)),
                true if here == 0 => Err(Error::LogNotFound { thread: thread.clone(), log: *log }),
                true => Err(Error::Invalid(format!(
                    "it is record {} of its log, of which {here} are here: those between them come first",
                    good.counter
                ))),
            }
        });
        let Some(good) = good.await? else { return Ok(()) };
        let node = self.clone();
        // Whoever asked may go: a guest that has come still has to leave.
        let visit = tokio::spawn(async move { node.visit(good, &keys).await });
        visit.await.map_err(|error| Error::Internal { context: "offer a record", source: Box::new(error) })?
    }

    async fn visit(&self, good: Good, keys: &Keys) -> Result<(), Error> {
        let (thread, log, counter, cid) = (good.offer.thread.clone(), good.offer.log, good.counter, good.cid);
        let key = SigningKey::from_bytes(&rand::random());
        let (questions, asked) = mpsc::channel(GUEST_QUESTIONS);
        let guest = self.guests().welcome(peer_id(&key), questions);
        self.say(Input::PeerConnected { peer: guest.peer }).await?;
        let pushed = tokio::time::timeout(OFFER_PATIENCE, self.push(good, keys, &key, asked)).await;
        self.say(Input::PeerGone { peer: guest.peer }).await?;
        pushed.unwrap_or(Err(BUSY))?;
        let store = self.store().clone();
        self.blocking(move || {
            if store.record(&thread, &log, counter).map_err(storage)?.is_some_and(|known| known.cid() == cid) {
                return Ok(());
            }
            let state = store.log_state(&thread, &log).map_err(storage)?;
            match state.and_then(|state| state.fork) {
                Some(fork) if fork.counter <= counter => Err(Error::Invalid(format!(
                    "log {log} is forked from its record {} on: what comes there does not count, and is kept as evidence",
                    fork.counter
                ))),
                _ => Err(BUSY),
            }
        })
        .await
    }

    /// Proves access and pushes. What the engine asks meanwhile gets no answer: this peer has nothing else.
    async fn push(
        &self,
        good: Good,
        keys: &Keys,
        key: &SigningKey,
        mut asked: mpsc::Receiver<Asked>,
    ) -> Result<(), Error> {
        let (peer, me) = (peer_id(key), self.network().local_peer());
        let access = keys.state.keys.access();
        let topic = access.topic();
        let mac = access.proof(&peer, &me, Direction::Request);
        let proof = Proof { topic, mac, role: Role::Reader, terms: Terms::default() };
        self.ask(peer, Request::Proofs(vec![proof]), &mut asked).await?;
        let Good { offer, key_id, counter, .. } = good;
        let blocks = offer.body.into_iter().collect();
        let run = Run { log: offer.log, counter, key_id, records: vec![offer.record], blocks };
        match self.ask(peer, Request::Push(vec![run.sign(topic, key)]), &mut asked).await? {
            Response::Push(acks) if acks.iter().all(|ack| !ack.busy) => Ok(()),
            _ => Err(BUSY),
        }
    }

    async fn ask(&self, peer: PeerId, body: Request, asked: &mut mpsc::Receiver<Asked>) -> Result<Response, Error> {
        let mut question = self.guests().question();
        self.say(Input::Request { peer, inbound: question.inbound, body }).await?;
        loop {
            tokio::select! {
                answer = &mut question.answer => return answer.map_err(|_| Error::Stopping),
                wanted = asked.recv() => match wanted {
                    None => return Err(Error::Stopping),
                    Some(Asked::Penalized(what)) => return Err(Error::Invalid(format!("whoever made it {}", points(what).1))),
                    Some(Asked::Request { request, .. }) => {
                        self.say(Input::Response { request, result: Err(Failure::Disconnected) }).await?;
                    }
                },
            }
        }
    }

    async fn say(&self, input: Input) -> Result<(), Error> {
        self.call(Call::Input(Box::new(input))).await
    }
}

const BUSY: Error = Error::Busy("the record was not taken in time");

/// Opens the record under whichever key of the thread fits, and checks it. The peers' keys have names, the record has none.
fn check(offer: Offer, keys: &Arc<Keys>) -> Result<Good, Error> {
    let mut why = None;
    for key_id in keys.state.keys.key_ids() {
        let Some(log_keys) = keys.log(&key_id, &offer.log) else { continue };
        let sealed = SealedRecord { key_id, bytes: offer.record.clone() };
        let job = Job::Records {
            thread: offer.thread.clone(),
            log: offer.log,
            records: vec![(sealed, log_keys)],
            blocks: Vec::new(),
            sender: None,
        };
        // A job and its result are of one kind.
        let Verified::Records { records, invalid, admitted, .. } = job.run() else { continue };
        match records.first() {
            Some(_) if admitted == Some(false) => {
                return Err(Error::Invalid(format!("nobody has admitted log {} to the thread", offer.log)));
            }
            Some(record) => {
                let (counter, cid) = (record.counter(), *record.cid());
                belongs(record, offer.body.as_ref())?;
                return Ok(Good { offer, key_id, counter, cid });
            }
            None => why = invalid,
        }
    }
    let why = why.map_or_else(|| "no key of it is here".to_owned(), |error| crate::chain(&error));
    Err(Error::Invalid(format!("it is no valid record of log {}: {why}", offer.log)))
}

/// Whether a body is one that the record links to.
fn belongs(record: &VerifiedRecord, body: Option<&Bytes>) -> Result<(), Error> {
    match body.map(|body| block::cid(body)) {
        Some(cid) if !record.links().as_slice().contains(&cid) => {
            Err(Error::Invalid(format!("the body {cid} is not one that the record links to")))
        }
        _ => Ok(()),
    }
}
