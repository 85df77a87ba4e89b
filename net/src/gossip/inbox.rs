use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Instant,
};

use bytes::Bytes;
use libp2p::{
    PeerId,
    gossipsub::{self, Behaviour, IdentTopic, MessageAcceptance, MessageId, PublishError},
};
use spool_proto::TopicId;

use crate::{
    Event, GossipCounts, GossipId, Verdict,
    config::GossipLimits,
    limits::{JUDGE_TIMEOUT, MAX_GOSSIP_BYTES, MAX_TOPICS, MAX_UNJUDGED, MAX_UNJUDGED_BYTES},
    out::Out,
    score::{Bucket, Offence},
};

/// The topics of this node, and the messages that wait for a verdict.
pub(crate) struct Inbox {
    limits: GossipLimits,
    topics: HashSet<TopicId>,
    /// Ids only grow, so the first has waited longest.
    waiting: BTreeMap<GossipId, Waiting>,
    waiting_bytes: usize,
    next: u64,
    rates: HashMap<PeerId, Rate>,
    counts: GossipCounts,
}

struct Waiting {
    message: MessageId,
    source: PeerId,
    bytes: usize,
    since: Instant,
}

struct Rate {
    messages: Bucket,
    bytes: Bucket,
}

impl Inbox {
    pub(crate) fn new(limits: GossipLimits) -> Self {
        Self {
            limits,
            topics: HashSet::new(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            next: 0,
            rates: HashMap::new(),
            counts: GossipCounts::default(),
        }
    }

    pub(crate) fn subscribe(&mut self, behaviour: &mut Behaviour, topic: TopicId) {
        if self.topics.len() >= MAX_TOPICS && !self.topics.contains(&topic) {
            tracing::warn!(topic = %topic.short(), limit = MAX_TOPICS, "too many topics, not joined");
            return;
        }
        self.topics.insert(topic);
        let name = IdentTopic::new(topic.to_string());
        if let Err(error) = behaviour.subscribe(&name) {
            tracing::warn!(topic = %topic.short(), %error, "not joined");
        }
    }

    pub(crate) fn unsubscribe(&mut self, behaviour: &mut Behaviour, topic: TopicId) {
        if self.topics.remove(&topic) {
            behaviour.unsubscribe(&IdentTopic::new(topic.to_string()));
        }
    }

    pub(crate) fn publish(&mut self, behaviour: &mut Behaviour, topic: TopicId, data: Bytes) {
        if data.len() > MAX_GOSSIP_BYTES {
            tracing::error!(bytes = data.len(), limit = MAX_GOSSIP_BYTES, "too large to publish");
            return;
        }
        let name = IdentTopic::new(topic.to_string());
        match behaviour.publish(name, Vec::from(data)) {
            Ok(_) => self.counts.published += 1,
            // Alone on the topic, or another replicator was faster: both are as good as done.
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::Duplicate) => {}
            Err(PublishError::AllQueuesFull(peers)) => {
                tracing::debug!(topic = %topic.short(), peers, "not published, all peers are slow");
            }
            Err(error) => tracing::warn!(topic = %topic.short(), %error, "not published"),
        }
    }

    pub(crate) fn judge(&mut self, behaviour: &mut Behaviour, id: GossipId, verdict: Verdict, out: &mut Out) {
        let Some(waiting) = self.waiting.remove(&id) else {
            tracing::trace!(id = id.0, "judged too late, or twice");
            return;
        };
        self.waiting_bytes -= waiting.bytes;
        let counted = match verdict {
            Verdict::Accept => &mut self.counts.accepted,
            Verdict::Ignore => &mut self.counts.ignored,
            Verdict::Reject => &mut self.counts.rejected,
        };
        *counted += 1;
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => {
                out.offence(waiting.source, Offence::RejectedGossip);
                MessageAcceptance::Reject
            }
        };
        behaviour.report_message_validation_result(&waiting.message, &waiting.source, acceptance);
    }

    pub(crate) fn on_event(&mut self, behaviour: &mut Behaviour, event: gossipsub::Event, now: Instant, out: &mut Out) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(behaviour, propagation_source, message_id, message, now, out);
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => tracing::debug!(peer = %peer_id, "slow, messages dropped"),
            gossipsub::Event::GossipsubNotSupported { peer_id } => tracing::trace!(peer = %peer_id, "no gossip"),
            gossipsub::Event::Subscribed { .. } | gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn on_message(
        &mut self,
        behaviour: &mut Behaviour,
        source: PeerId,
        message_id: MessageId,
        message: gossipsub::Message,
        now: Instant,
        out: &mut Out,
    ) {
        self.counts.bytes_received += message.data.len() as u64;
        let flooded = !self.admit(source, message.data.len(), now);
        if flooded {
            out.offence(source, Offence::GossipFlood);
        }
        let topic = message.topic.as_str().parse::<TopicId>().ok().filter(|topic| self.topics.contains(topic));
        let room = self.waiting.len() < MAX_UNJUDGED && self.waiting_bytes < MAX_UNJUDGED_BYTES;
        let known = topic.filter(|_| room && !flooded);
        let Some(topic) = known else {
            self.counts.dropped += 1;
            behaviour.report_message_validation_result(&message_id, &source, MessageAcceptance::Ignore);
            return;
        };
        let id = GossipId(self.next);
        self.next += 1;
        let bytes = message.data.len();
        self.waiting_bytes += bytes;
        self.waiting.insert(id, Waiting { message: message_id, source, bytes, since: now });
        out.event(Event::Gossip { id, source, topic, data: message.data.into() });
    }

    fn admit(&mut self, source: PeerId, bytes: usize, now: Instant) -> bool {
        let limits = self.limits;
        let rate = self.rates.entry(source).or_insert_with(|| Rate {
            messages: Bucket::full(limits.messages_burst, now),
            bytes: Bucket::full(limits.bytes_burst, now),
        });
        rate.messages.take(1.0, limits.messages_a_second, limits.messages_burst, now)
            && rate.bytes.take(bytes as f64, limits.bytes_a_second, limits.bytes_burst, now)
    }

    /// Drops the messages that were not judged in time.
    pub(crate) fn expire(&mut self, behaviour: &mut Behaviour, now: Instant) {
        while let Some(first) = self.waiting.first_entry() {
            if now.saturating_duration_since(first.get().since) < JUDGE_TIMEOUT {
                return;
            }
            let waiting = first.remove();
            self.waiting_bytes -= waiting.bytes;
            self.counts.dropped += 1;
            behaviour.report_message_validation_result(&waiting.message, &waiting.source, MessageAcceptance::Ignore);
        }
    }

    pub(crate) fn on_gone(&mut self, peer: &PeerId) {
        self.rates.remove(peer);
    }

    pub(crate) fn counts(&self) -> GossipCounts {
        GossipCounts { waiting: self.waiting.len() as u64, ..self.counts }
    }

    pub(crate) fn topics(&self) -> usize {
        self.topics.len()
    }
}
