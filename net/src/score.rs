//! How peers are judged: points for misbehaviour that fade with time, and a ban when there are too many.
//!
//! The points of a peer are its application score in gossipsub as well, so that a peer that lies in pulls loses its
//! place in the meshes before it is banned.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::limits::{BAN_POINTS, BAN_TIME, MAX_BLOCKED_PEERS, MAX_SCORED_PEERS, POINTS_HALF_LIFE};

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Offence {
    MalformedRequest,
    OversizeRequest,
    MalformedResponse,
    MismatchedResponse,
    StalledResponse,
    GossipFlood,
    RejectedGossip,
    /// By the consumer's judgement.
    Reported {
        points: u32,
        reason: &'static str,
    },
}

impl Offence {
    /// Four malformed messages within minutes are a ban, or two oversize ones. A flood is a matter of quantity.
    fn points(self) -> f64 {
        match self {
            Self::MalformedRequest | Self::MalformedResponse | Self::MismatchedResponse => 30.0,
            Self::OversizeRequest => 60.0,
            // Three are less than the graylist of gossipsub, so that the fourth is heard.
            Self::RejectedGossip => 26.0,
            Self::StalledResponse => 2.0,
            Self::GossipFlood => 0.1,
            Self::Reported { points, .. } => f64::from(points),
        }
    }

    /// Whether the consumer is told: not of what it reported itself, nor of every message of a flood.
    pub(crate) fn is_news(self) -> bool {
        !matches!(self, Self::Reported { .. } | Self::RejectedGossip | Self::GossipFlood)
    }

    /// A stable name, for counting; what the consumer reported it counts itself.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::MalformedRequest => Some("malformed-request"),
            Self::OversizeRequest => Some("oversize-request"),
            Self::MalformedResponse => Some("malformed-response"),
            Self::MismatchedResponse => Some("mismatched-response"),
            Self::StalledResponse => Some("stalled-response"),
            Self::GossipFlood => Some("gossip-flood"),
            Self::RejectedGossip => Some("rejected-gossip"),
            Self::Reported { .. } => None,
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed request",
            Self::OversizeRequest => "request larger than a frame",
            Self::MalformedResponse => "malformed response",
            Self::MismatchedResponse => "response of another kind than the request",
            Self::StalledResponse => "response that breaks off in the middle",
            Self::GossipFlood => "gossip flood",
            Self::RejectedGossip => "invalid gossip",
            Self::Reported { reason, .. } => reason,
        }
    }
}

/// A peer that is kept out for what it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked {
    /// The peer.
    pub peer: PeerId,
    /// Its points now; they fade.
    pub points: f64,
    /// For how long still.
    pub remaining: Duration,
}

/// The points of all peers, and who is banned until when.
#[derive(Default)]
pub(crate) struct Scores {
    points: HashMap<PeerId, Points>,
    /// In the order in which the bans end.
    banned: VecDeque<(Instant, PeerId)>,
}

#[derive(Clone, Copy)]
struct Points {
    value: f64,
    at: Instant,
}

impl Points {
    fn now(self, now: Instant) -> f64 {
        let halvings = now.saturating_duration_since(self.at).as_secs_f64() / POINTS_HALF_LIFE.as_secs_f64();
        self.value * 0.5f64.powf(halvings)
    }
}

/// What follows from an offence.
#[derive(Debug, PartialEq)]
pub(crate) struct Sentence {
    /// The peer's points now.
    pub(crate) points: f64,
    /// Whether it is to be blocked.
    pub(crate) ban: bool,
    /// Who is to be let go to make room.
    pub(crate) pardoned: Option<PeerId>,
}

impl Scores {
    pub(crate) fn penalize(&mut self, peer: PeerId, offence: Offence, now: Instant) -> Sentence {
        if !self.points.contains_key(&peer) && self.points.len() >= MAX_SCORED_PEERS {
            self.forget_the_mildest(now);
        }
        let entry = self.points.entry(peer).or_insert(Points { value: 0.0, at: now });
        let points = entry.now(now) + offence.points();
        *entry = Points { value: points, at: now };
        let ban = points >= BAN_POINTS && !self.banned.iter().any(|(_, banned)| *banned == peer);
        let mut pardoned = None;
        if ban {
            if self.banned.len() >= MAX_BLOCKED_PEERS {
                pardoned = self.banned.pop_front().map(|(_, peer)| peer);
            }
            self.banned.push_back((now + BAN_TIME, peer));
        }
        Sentence { points, ban, pardoned }
    }

    /// The next peer whose ban has ended; call it until `None`.
    pub(crate) fn pardon(&mut self, now: Instant) -> Option<PeerId> {
        let (until, peer) = *self.banned.front()?;
        if until > now {
            return None;
        }
        self.banned.pop_front();
        Some(peer)
    }

    /// Points of a peer, faded to `now`.
    pub(crate) fn points(&self, peer: &PeerId, now: Instant) -> f64 {
        self.points.get(peer).map(|points| points.now(now)).unwrap_or_default()
    }

    /// All peers with points, faded to `now`; those that have faded away are forgotten.
    pub(crate) fn fade(&mut self, now: Instant) -> impl Iterator<Item = (PeerId, f64)> + '_ {
        self.points.retain(|_, points| points.now(now) >= 1.0);
        self.points.iter().map(move |(peer, points)| (*peer, points.now(now)))
    }

    /// Peers that are banned, soonest to be pardoned first.
    pub(crate) fn blocked(&self, now: Instant) -> impl Iterator<Item = Blocked> + '_ {
        self.banned.iter().map(move |(until, peer)| Blocked {
            peer: *peer,
            points: self.points(peer, now),
            remaining: until.saturating_duration_since(now),
        })
    }

    fn forget_the_mildest(&mut self, now: Instant) {
        let mildest = self.points.iter().min_by(|(_, a), (_, b)| a.now(now).total_cmp(&b.now(now)));
        if let Some((&peer, _)) = mildest {
            self.points.remove(&peer);
        }
    }
}

/// Lets so much through a second, and a burst at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full(burst: f64, now: Instant) -> Self {
        Self { level: burst, at: now }
    }

    /// Takes `amount`, or nothing if there is not enough.
    pub(crate) fn take(&mut self, amount: f64, a_second: f64, burst: f64, now: Instant) -> bool {
        let passed: Duration = now.saturating_duration_since(self.at);
        self.level = (self.level + passed.as_secs_f64() * a_second).min(burst);
        self.at = now;
        if self.level < amount {
            return false;
        }
        self.level -= amount;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(points: u32) -> Offence {
        Offence::Reported { points, reason: "test" }
    }

    #[test]
    fn a_habit_is_banned_and_a_rare_mistake_is_not() {
        let (mut scores, now, peer) = (Scores::default(), Instant::now(), PeerId::random());
        for strike in 1..4 {
            assert!(!scores.penalize(peer, Offence::MalformedRequest, now).ban, "strike {strike}");
        }
        assert!(scores.penalize(peer, Offence::MalformedRequest, now).ban);
        let rare = PeerId::random();
        for hour in 0..24 {
            let now = now + Duration::from_secs(3600) * hour;
            assert!(!scores.penalize(rare, Offence::OversizeRequest, now).ban, "hour {hour}");
        }
    }

    #[test]
    fn a_ban_ends_and_half_of_the_points_stay() {
        let (mut scores, now, peer) = (Scores::default(), Instant::now(), PeerId::random());
        assert_eq!(scores.penalize(peer, reported(100), now), Sentence { points: 100.0, ban: true, pardoned: None });
        assert!(!scores.penalize(peer, reported(100), now).ban, "banned already");
        assert_eq!(scores.pardon(now + BAN_TIME - Duration::from_secs(1)), None);
        let later = now + BAN_TIME;
        assert_eq!(scores.pardon(later), Some(peer));
        assert_eq!(scores.pardon(later), None);
        assert!((scores.points(&peer, later) - 100.0).abs() < 1e-6);
        assert!(scores.penalize(peer, reported(1), later).ban, "and who goes on is banned again");
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let (mut scores, now, worst) = (Scores::default(), Instant::now(), PeerId::random());
        scores.penalize(worst, reported(50), now);
        for _ in 0..MAX_SCORED_PEERS + 10 {
            scores.penalize(PeerId::random(), reported(2), now);
        }
        assert_eq!(scores.points.len(), MAX_SCORED_PEERS);
        assert!((scores.points(&worst, now) - 50.0).abs() < 1e-6);
        assert_eq!(scores.fade(now + Duration::from_secs(3600)).count(), 0);
    }

    #[test]
    fn the_longest_banned_is_let_go_when_there_are_too_many() {
        let (mut scores, now) = (Scores::default(), Instant::now());
        let peers: Vec<_> = (0..=MAX_BLOCKED_PEERS).map(|_| PeerId::random()).collect();
        let sentences: Vec<_> = peers.iter().map(|peer| scores.penalize(*peer, reported(100), now)).collect();
        assert_eq!(sentences.last().and_then(|sentence| sentence.pardoned), Some(peers[0]));
        assert_eq!(scores.blocked(now).count(), MAX_BLOCKED_PEERS);
    }

    #[test]
    fn a_bucket_lets_through_its_burst_and_then_its_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::full(10.0, now);
        let taken = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.take(1.0, 5.0, 10.0, now)).count();
        assert_eq!(taken(&mut bucket, now), 10);
        assert_eq!(taken(&mut bucket, now + Duration::from_secs(1)), 5);
        assert_eq!(taken(&mut bucket, now + Duration::from_secs(60)), 10);
    }
}
