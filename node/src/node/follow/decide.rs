//! Answers to invitations, by the node's policy. One at a time: what does not fit into the queue is told that this node is busy.

use std::time::SystemTime;

use bytes::Bytes;
use serde_bytes::ByteBuf;
use spool_net::{self as net, Command};
use spool_proto::{
    IdentityKey, Invitation, PeerId, ThreadId, Ticket,
    id::Variant,
    invitation::Act,
    limits::MAX_ADDRESSES,
    wire::{Declined, InviteAnswer, Response},
};
use spool_store::addresses::Source;
use tokio::sync::mpsc;

use super::limits::{AGREEMENTS_INTERVAL, INVALID_INVITATION_POINTS, WRONG_CODE_POINTS};
use crate::{
    config::{Allowed, Follow},
    model::Error,
    node::{Node, call::Call, threads::storage},
};

/// An invitation that waits for its answer.
pub(in crate::node) struct Invited {
    pub(in crate::node) peer: PeerId,
    pub(in crate::node) inbound: net::InboundId,
    pub(in crate::node) sealed: Bytes,
}

impl Node {
    /// Runs until the node ends.
    pub(in crate::node) async fn answer_invitations(self, mut invited: mpsc::Receiver<Invited>) {
        while let Some(Invited { peer, inbound, sealed }) = invited.recv().await {
            let answer = match self.decide(&peer, &sealed).await {
                Ok(answer) => answer,
                Err(why) => {
                    self.blame(peer, why).await;
                    InviteAnswer::Declined(why)
                }
            };
            if let InviteAnswer::Declined(why) = &answer {
                tracing::info!(%peer, why = why.name(), "an invitation was declined");
            }
            let response = Response::Invite(answer);
            if self.network().command(Command::Respond { inbound, response }).await.is_err() {
                return;
            }
        }
    }

    /// Codes are not to be found out by trying.
    async fn blame(&self, peer: PeerId, why: Declined) {
        let (points, reason) = if why == Declined::WrongCode {
            (WRONG_CODE_POINTS, "showed a wrong code with an invitation")
        } else if why == Declined::Invalid {
            (INVALID_INVITATION_POINTS, "sent an invalid invitation")
        } else {
            return;
        };
        // If the network has ended there is nobody to blame.
        let _ = self.network().command(Command::Penalize { peer, points, reason }).await;
    }

    async fn decide(&self, peer: &PeerId, sealed: &[u8]) -> Result<InviteAnswer, Declined> {
        let invitation = Invitation::open(self.keyring().node_key(), peer, sealed).map_err(|error| {
            tracing::debug!(%peer, error = crate::chain(&error), "invitation");
            Declined::Invalid
        })?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if !invitation.is_timely(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)) {
            return Err(Declined::Expired);
        }
        let by = (invitation.identity, *peer);
        match invitation.act {
            Act::Follow { ticket, code } => self.consider(by, &ticket, code.as_deref()).await,
            Act::Withdraw(thread) => self.withdrawn(by, &thread).await,
            Act::Leave(thread) => self.left(peer, &thread).await,
        }
    }

    /// Somebody asks this node to follow a thread.
    async fn consider(
        &self,
        by: (IdentityKey, PeerId),
        ticket: &Ticket,
        code: Option<&str>,
    ) -> Result<InviteAnswer, Declined> {
        self.permits(by, code)?;
        let thread = ticket.thread();
        if thread.variant() != Variant::Raw {
            return Err(Declined::Invalid);
        }
        let agreements = self.agreements();
        let known = agreements.get(thread);
        let own = known.as_ref().is_none_or(|known| known.inviters.is_empty()) && self.keyring().get(thread).is_some();
        // A thread that the owner has joined is not given up, and costs nobody's quota.
        if !own {
            let is_new = known.as_ref().is_none_or(|known| known.account() != Some(by.0));
            if known.is_none() {
                agreements.admit(&by.0)?;
            }
            tracing::info!(thread = thread.short(), peer = %by.1, identity = by.0.short(), is_new, "follows for others");
            self.agree(thread, by).await.map_err(|error| busy(&error))?;
        }
        let keys = ticket.keys().clone().into_keys();
        let addresses: Vec<_> = ticket.addresses().iter().map(|address| ByteBuf::from(address.base.to_vec())).collect();
        self.address_keeper().add(&addresses, Source::Ticket);
        if let Err(error) = self.keep(thread, keys, None, addresses).await {
            if known.is_none() && !own {
                self.disagree(thread).await.map_err(|error| busy(&error))?;
            }
            return Err(busy(&error));
        }
        self.tell_engine(thread).await.map_err(|error| busy(&error))?;
        let mut addresses = self.addresses().await.map_err(|error| busy(&error))?.announced;
        addresses.truncate(MAX_ADDRESSES);
        let bodies_days = agreements.get(thread).and_then(|agreement| agreement.bodies_days.try_into().ok());
        Ok(InviteAnswer::Accepted { bodies_days, addresses })
    }

    fn permits(&self, (identity, peer): (IdentityKey, PeerId), code: Option<&str>) -> Result<(), Declined> {
        let config = self.config();
        let listed = config.follow_allow.iter().any(|allowed| match allowed {
            Allowed::Peer(listed) => *listed == peer,
            Allowed::Identity(listed) => *listed == identity,
        });
        match config.follow {
            Follow::Off => Err(Declined::NotOffered),
            Follow::Allow | Follow::Code if listed => Ok(()),
            Follow::Allow => Err(Declined::NotListed),
            Follow::Code => {
                let right = config.follow_code.as_ref().zip(code).is_some_and(|(right, shown)| right.is(shown));
                if right { Ok(()) } else { Err(Declined::WrongCode) }
            }
            Follow::Open => Ok(()),
        }
    }

    /// Somebody does not want a thread to be followed any more.
    async fn withdrawn(&self, by: (IdentityKey, PeerId), thread: &ThreadId) -> Result<InviteAnswer, Declined> {
        let mut agreement = self.agreements().get(thread).ok_or(Declined::NotFollowed)?;
        let before = agreement.inviters.len();
        agreement.inviters.retain(|(identity, _)| *identity != by.0);
        if agreement.inviters.len() == before {
            return Err(Declined::NotFollowed);
        }
        tracing::info!(thread = thread.short(), peer = %by.1, identity = by.0.short(), "an invitation was withdrawn");
        if agreement.inviters.is_empty() {
            self.remove_thread(thread).await.map_err(|error| busy(&error))?;
        } else {
            let (node, thread) = (self.clone(), thread.clone());
            let keep = move || node.agreements().put(&thread, agreement).map_err(storage);
            self.blocking(keep).await.map_err(|error| busy(&error))?;
        }
        Ok(InviteAnswer::Accepted { bodies_days: None, addresses: Vec::new() })
    }

    /// A follower says that it has left.
    async fn left(&self, peer: &PeerId, thread: &ThreadId) -> Result<InviteAnswer, Declined> {
        let (node, followers, peer, thread) = (self.clone(), self.followers().clone(), *peer, thread.clone());
        let gone = {
            let thread = thread.clone();
            move || followers.set_gone(&thread, &peer).map_err(storage)
        };
        if !self.blocking(gone).await.map_err(|error| busy(&error))? {
            return Err(Declined::NotFollowed);
        }
        tracing::warn!(thread = thread.short(), %peer, "a follower has left the thread");
        // Readers need not look for it any more. The answer does not wait for that.
        tokio::spawn(async move { node.announce_followers(&thread).await });
        Ok(InviteAnswer::Accepted { bodies_days: None, addresses: Vec::new() })
    }

    async fn agree(&self, thread: &ThreadId, by: (IdentityKey, PeerId)) -> Result<(), Error> {
        let (node, thread, days) = (self.clone(), thread.clone(), self.config().follow_bodies_days);
        self.blocking(move || node.agreements().invite(&thread, by, days).map_err(storage)).await
    }

    pub(in crate::node) async fn disagree(&self, thread: &ThreadId) -> Result<(), Error> {
        let (node, thread) = (self.clone(), thread.clone());
        self.blocking(move || node.agreements().remove(&thread).map_err(storage)).await
    }

    /// Tells the engine on which terms a thread is followed.
    pub(in crate::node) async fn tell_engine(&self, thread: &ThreadId) -> Result<(), Error> {
        let following = self.agreements().following(thread);
        self.call(Call::Following { thread: thread.clone(), following }).await
    }

    /// Stops or resumes threads as their quotas are used up or not, and writes how much is used. Runs until the node ends.
    pub(in crate::node) async fn keep_agreements(self) {
        loop {
            // Whichever comes first; both mean "look".
            let _ = tokio::time::timeout(AGREEMENTS_INTERVAL, self.agreements().changed.notified()).await;
            for (thread, following) in self.agreements().take_changed() {
                if following.terms.is_full {
                    tracing::warn!(
                        thread = thread.short(),
                        "takes nothing more: its identity's quota of bytes is used up"
                    );
                }
                if self.call(Call::Following { thread, following: Some(following) }).await.is_err() {
                    return;
                }
            }
            let node = self.clone();
            if let Err(error) = self.blocking(move || node.agreements().flush().map_err(storage)).await {
                tracing::warn!(error = crate::chain(&error), "what followed threads use could not be written");
            }
        }
    }
}

/// The reason is this node's own, and is in its log.
fn busy(error: &Error) -> Declined {
    tracing::warn!(error = crate::chain(error), "an invitation could not be taken");
    Declined::Busy
}
