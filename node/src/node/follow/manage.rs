//! The calls of the interface: ask others to follow, and end that, on either side.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spool_proto::{
    Address, Multiaddr, PeerId, ThreadId, Ticket, address::Target, invitation::Act, key_set::Scope, wire::InviteAnswer,
};
use spool_store::addresses::Source;

use super::{
    followers::{Follower, millis},
    limits::{FOLLOWER_ADDRESSES, FOLLOWERS},
    notices::Notice,
};
use crate::{
    model::{Error, FollowedThread, FollowerInfo},
    node::{Node, status::is_public_enough, threads::storage},
};

impl Node {
    /// Asks a node to follow a thread: hands over the follow keys, and nothing that reads. `peer` is its id, or an address that ends in it.
    ///
    /// # Errors
    ///
    /// [`Error::Declined`] with the reason of that node, [`Error::PeerUnreachable`], [`Error::NoReadKey`] where this node only follows itself.
    pub async fn add_follower(
        &self,
        peer: &str,
        thread: &ThreadId,
        code: Option<String>,
    ) -> Result<FollowerInfo, Error> {
        let (peer, addresses) = parse(peer)?;
        let follower = self.ask_to_follow(peer, &addresses, thread, code.clone()).await?;
        let home = self.keyring().home();
        // Whoever keeps a thread for the owner keeps what it takes to find it again.
        if self.config().home && self.followers().of(home).iter().all(|known| known.peer != peer) {
            let asked = match self.open_home().await {
                Ok(home) => self.ask_to_follow(peer, &addresses, &home, code).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = asked {
                tracing::warn!(%peer, error = crate::chain(&error), "it follows the thread, and not the home thread");
            }
        }
        Ok(follower)
    }

    async fn ask_to_follow(
        &self,
        peer: PeerId,
        addresses: &[Multiaddr],
        thread: &ThreadId,
        code: Option<String>,
    ) -> Result<FollowerInfo, Error> {
        let keys = self.thread_keys(thread)?;
        if !keys.state.keys.can_read() {
            return Err(Error::NoReadKey(thread.clone()));
        }
        if peer == self.network().local_peer() {
            return Err(Error::Invalid("a node does not follow itself: name another one".into()));
        }
        let known = self.followers().of(thread);
        let others = known.iter().filter(|known| known.peer != peer && known.gone_millis.is_none()).count();
        if others >= FOLLOWERS {
            return Err(Error::Invalid(format!(
                "a thread has at most {FOLLOWERS} followers; remove one with `spool follower rm`"
            )));
        }
        let set = keys.state.keys.to_set(Scope::Follow).map_err(|error| Error::Invalid(crate::chain(&error)))?;
        let here = self.ticket_addresses(thread).await?;
        // Without the name: a follower learns nothing of what it keeps.
        let ticket = Ticket::new(thread.clone(), set, here, None).map_err(|error| Error::Ticket(Box::new(error)))?;
        self.reach(peer, addresses).await?;
        let act = Act::Follow { ticket: Box::new(ticket), code };
        let (bodies_days, mut said) = match self.deliver(peer, act).await? {
            InviteAnswer::Accepted { bodies_days, addresses } => (bodies_days, addresses),
            InviteAnswer::Declined(why) => return Err(Error::Declined { peer, why }),
        };
        // It can speak for itself only.
        said.retain(|address| Address { base: address.clone(), target: Target::None }.peer() == Some(peer));
        said.truncate(FOLLOWER_ADDRESSES);
        said.extend(addresses.iter().filter(|address| !said.contains(address)).cloned().collect::<Vec<_>>());
        let follower = Follower {
            peer,
            addresses: said,
            bodies_days: bodies_days.map_or(0, std::num::NonZeroU32::get),
            since_millis: millis(SystemTime::now()),
            gone_millis: None,
        };
        let book: Vec<_> = follower.addresses.iter().map(|address| address.to_vec().into()).collect();
        self.address_keeper().add(&book, Source::Ticket);
        let (node, id, kept) = (self.clone(), thread.clone(), follower.clone());
        let keep = move || {
            node.followers().put(&id, kept).map_err(storage)?;
            // What it was to be told is past.
            node.notices().remove(&peer, &id).map_err(storage)
        };
        self.blocking(keep).await?;
        self.announce_followers(thread).await;
        self.follower_at_home(peer, follower.addresses.clone(), thread).await;
        Ok(info(thread, follower))
    }

    /// Followers that this node has asked, of one thread or of all.
    ///
    /// # Errors
    ///
    /// [`Error::ThreadNotFound`].
    pub fn list_followers(&self, thread: Option<&ThreadId>) -> Result<Vec<FollowerInfo>, Error> {
        let mut threads = match thread {
            Some(thread) => vec![self.thread_keys(thread)?.thread.clone()],
            None => self.followers().threads(),
        };
        threads.sort_unstable();
        let of = |thread: ThreadId| {
            self.followers().of(&thread).into_iter().map(move |follower| info(&thread, follower)).collect::<Vec<_>>()
        };
        Ok(threads.into_iter().flat_map(of).collect())
    }

    /// Threads that this node follows for others.
    pub fn list_followed(&self) -> Vec<FollowedThread> {
        let mut followed: Vec<_> = self.agreements().all().into_iter().collect();
        followed.sort_unstable_by(|a, b| (a.1.since_millis, &a.0).cmp(&(b.1.since_millis, &b.0)));
        let thread = |(thread, agreement): (ThreadId, super::agreements::Agreement)| {
            let (quota_used, quota) = agreement.account().map_or((0, 0), |account| self.agreements().used(&account));
            let is_full = self.agreements().following(&thread).is_some_and(|following| following.terms.is_full);
            FollowedThread {
                thread,
                inviters: agreement.inviters,
                since: UNIX_EPOCH + Duration::from_millis(agreement.since_millis),
                bodies_days: agreement.bodies_days,
                used_bytes: agreement.used_bytes,
                quota_used,
                quota,
                is_full,
            }
        };
        followed.into_iter().map(thread).collect()
    }

    /// Withdraws an invitation: the follower is told, now or when it is reachable, and readers are told that it is no place to ask any more. Returns whether
    /// the follower knows already.
    ///
    /// # Errors
    ///
    /// [`Error::NotAFollower`].
    pub async fn remove_follower(&self, peer: &str, thread: &ThreadId) -> Result<bool, Error> {
        let (peer, addresses) = parse(peer)?;
        self.thread_keys(thread)?;
        let (node, id) = (self.clone(), thread.clone());
        let remove = move || {
            let Some(follower) = node.followers().remove(&id, &peer).map_err(storage)? else {
                return Err(Error::NotAFollower(peer));
            };
            let addresses = addresses.into_iter().chain(follower.addresses).collect();
            let since_millis = millis(SystemTime::now());
            let notice = Notice { peer, addresses, thread: id, withdraws: true, since_millis };
            node.notices().put(notice.clone()).map_err(storage)?;
            node.standings().forget_peer(&notice.thread, &peer).map_err(storage)?;
            Ok(notice)
        };
        let notice = self.blocking(remove).await?;
        self.announce_followers(thread).await;
        self.unfollow_at_home(peer, thread).await;
        let told = self.tell(&notice).await;
        self.notices().new.notify_one();
        Ok(told)
    }

    /// Stops following a thread: removes it here, and tells those for whom it was followed. Returns how many nodes are to be told, and how many know already.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if it is not followed for others.
    pub async fn drop_followed(&self, thread: &ThreadId) -> Result<(usize, usize), Error> {
        let keys = self.thread_keys(thread)?;
        let agreement = self.agreements().get(thread).filter(|agreement| !agreement.inviters.is_empty());
        let Some(agreement) = agreement else {
            return Err(Error::Invalid(format!(
                "thread {thread} is not followed for others; `spool thread rm` removes it"
            )));
        };
        let from_ticket = keys.state.addresses.iter().filter_map(|bytes| Multiaddr::try_from(bytes.to_vec()).ok());
        let from_ticket: Vec<_> = from_ticket.collect();
        let since_millis = millis(SystemTime::now());
        let notices = agreement.inviters.iter().map(|(_, peer)| {
            let is_its =
                |address: &&Multiaddr| Address { base: (*address).clone(), target: Target::None }.peer() == Some(*peer);
            let addresses = from_ticket.iter().filter(is_its).cloned().chain(self.address_keeper().of(peer)).collect();
            Notice { peer: *peer, addresses, thread: thread.clone(), withdraws: false, since_millis }
        });
        let notices: Vec<_> = notices.collect();
        let (node, kept) = (self.clone(), notices.clone());
        self.blocking(move || kept.into_iter().try_for_each(|notice| node.notices().put(notice).map_err(storage)))
            .await?;
        self.remove_thread(thread).await?;
        let told = futures::future::join_all(notices.iter().map(|notice| self.tell(notice))).await;
        self.notices().new.notify_one();
        Ok((notices.len(), told.into_iter().filter(|told| *told).count()))
    }

    /// Where followers of a thread can be reached, as it is announced: those that others can use, else those of this machine. One of each first.
    pub(in crate::node) fn follower_addresses(&self, thread: &ThreadId) -> Vec<Multiaddr> {
        let followers = self.followers().of(thread);
        let followers = followers.into_iter().filter(|follower| follower.gone_millis.is_none());
        let usable = |follower: Follower| {
            let (public, local): (Vec<_>, Vec<_>) = follower.addresses.into_iter().partition(is_public_enough);
            if public.is_empty() { local } else { public }
        };
        let mut rounds: Vec<_> = followers.map(usable).map(Vec::into_iter).collect();
        let mut addresses = Vec::new();
        loop {
            let round: Vec<_> = rounds.iter_mut().filter_map(Iterator::next).collect();
            if round.is_empty() {
                return addresses;
            }
            addresses.extend(round);
        }
    }
}

/// A peer id, or an address that ends in one.
fn parse(text: &str) -> Result<(PeerId, Vec<Multiaddr>), Error> {
    if let Ok(peer) = text.parse::<PeerId>() {
        return Ok((peer, Vec::new()));
    }
    let shown: String = text.chars().take(64).collect();
    let wrong =
        || Error::Invalid(format!("`{}` is neither a peer id nor an address that ends in one", shown.escape_debug()));
    let address: Address = text.parse().map_err(|_| wrong())?;
    let peer = address.peer().ok_or_else(wrong)?;
    Ok((peer, vec![address.base]))
}

fn info(thread: &ThreadId, follower: Follower) -> FollowerInfo {
    FollowerInfo {
        thread: thread.clone(),
        peer: follower.peer,
        addresses: follower.addresses,
        bodies_days: follower.bodies_days,
        since: UNIX_EPOCH + Duration::from_millis(follower.since_millis),
        gone: follower.gone_millis.map(|millis| UNIX_EPOCH + Duration::from_millis(millis)),
    }
}
