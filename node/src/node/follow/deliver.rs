//! Delivering invitations and notices to peers that may not be connected.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use futures::future::select_ok;
use spool_proto::{
    Multiaddr, PeerId,
    invitation::Act,
    sync::{Failure, Outcome},
    wire::InviteAnswer,
};
use tokio::sync::oneshot;

use super::{
    followers::millis,
    limits::{MAX_NOTICE_WAIT, NOTICE_INTERVAL},
    notices::Notice,
};
use crate::{
    model::Error,
    node::{Node, call::Call, status::ending, threads::storage},
};

impl Node {
    /// Connects with a peer, at the addresses given or known, unless it is connected.
    pub(super) async fn reach(&self, peer: PeerId, addresses: &[Multiaddr]) -> Result<(), Error> {
        let connected = self.network().peers().await.map_err(|_| Error::Stopping)?;
        if connected.iter().any(|connected| connected.peer == peer) {
            return Ok(());
        }
        let mut addresses: Vec<_> = addresses.iter().cloned().chain(self.address_keeper().of(&peer)).collect();
        addresses.iter_mut().for_each(|address| *address = ending(address.clone(), peer));
        addresses.sort_unstable();
        addresses.dedup();
        let dials: Vec<_> = addresses.into_iter().map(|address| Box::pin(self.network().dial(address))).collect();
        if dials.is_empty() {
            let why = "no address of it is known: name one that ends in /p2p/ and its id".to_owned();
            return Err(Error::PeerUnreachable { peer, why });
        }
        let dialled = select_ok(dials).await;
        dialled.map(|_| ()).map_err(|error| Error::PeerUnreachable { peer, why: crate::chain(&error) })
    }

    /// Signs and seals what there is to say, and waits for the answer.
    pub(super) async fn deliver(&self, to: PeerId, act: Act) -> Result<InviteAnswer, Error> {
        let issued = millis(SystemTime::now());
        let from = self.network().local_peer();
        let sealed = self.keyring().identity().invite(act, from, to, issued, rand::random());
        let sealed = sealed.map_err(|error| Error::Invalid(crate::chain(&error)))?;
        let (answer, done) = oneshot::channel();
        self.call(Call::Invite { peer: to, sealed: sealed.into(), answer }).await?;
        let why = match done.await.map_err(|_| Error::Stopping)? {
            Ok(Outcome::Invited(Ok(answer))) => return Ok(answer),
            Ok(Outcome::Invited(Err(failure))) => match failure {
                Failure::Disconnected => "the connection broke",
                Failure::Timeout => "it did not answer in time",
                Failure::Malformed => "it does not understand invitations: is it of another version?",
                Failure::Busy => "it is busy",
            },
            Ok(_) | Err(_) => "this node is stopping",
        };
        Err(Error::PeerUnreachable { peer: to, why: why.to_owned() })
    }

    /// Tells a peer what a notice says. Returns whether it has heard it.
    pub(super) async fn tell(&self, notice: &Notice) -> bool {
        let told = async {
            self.reach(notice.peer, &notice.addresses).await?;
            self.deliver(notice.peer, notice.act()).await
        };
        match told.await {
            // Whatever it answers, it knows.
            Ok(_) => {
                let (node, notice) = (self.clone(), notice.clone());
                let forget = move || node.notices().remove(&notice.peer, &notice.thread).map_err(storage);
                if let Err(error) = self.blocking(forget).await {
                    tracing::warn!(error = crate::chain(&error), "a notice that was delivered will be delivered again");
                }
                true
            }
            Err(error) => {
                tracing::debug!(peer = %notice.peer, error = crate::chain(&error), "a notice waits");
                false
            }
        }
    }

    /// Tells others what they could not be told yet, ever less often. Runs until the node ends.
    pub(in crate::node) async fn deliver_notices(self) {
        let mut waits: HashMap<PeerId, (Instant, Duration)> = HashMap::new();
        loop {
            // Whichever comes first; both mean "look".
            let _ = tokio::time::timeout(NOTICE_INTERVAL, self.notices().new.notified()).await;
            let node = self.clone();
            if let Err(error) = self.blocking(move || node.notices().purge().map_err(storage)).await {
                tracing::warn!(error = crate::chain(&error), "old notices could not be removed");
            }
            let notices = self.notices().all();
            waits.retain(|peer, _| notices.iter().any(|notice| notice.peer == *peer));
            for notice in notices {
                let now = Instant::now();
                if waits.get(&notice.peer).is_some_and(|(at, _)| *at > now) {
                    continue;
                }
                if self.tell(&notice).await {
                    waits.remove(&notice.peer);
                } else {
                    let (_, wait) = waits.get(&notice.peer).copied().unwrap_or((now, NOTICE_INTERVAL));
                    waits.insert(notice.peer, (Instant::now() + wait, (wait * 2).min(MAX_NOTICE_WAIT)));
                }
            }
        }
    }
}
