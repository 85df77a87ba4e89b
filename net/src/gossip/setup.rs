use std::time::Duration;

use libp2p::{
    gossipsub::{
        AllowAllSubscriptionFilter, Behaviour, ConfigBuilder, MaxCountSubscriptionFilter, Message, MessageAuthenticity,
        MessageId, PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode, score_parameter_decay,
    },
    identity::Keypair,
};
use sha2::{Digest, Sha256};

use crate::{Error, limits};

/// Gossipsub for many topics whose messages are judged by the consumer.
pub(crate) fn behaviour(keypair: &Keypair) -> Result<Behaviour, Error> {
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        // The same record published by two replicators is one message.
        .message_id_fn(|message: &Message| MessageId::new(&Sha256::digest(&message.data)))
        .max_transmit_size(limits::MAX_GOSSIP_FRAME_BYTES)
        .max_control_message_size(limits::MAX_CONTROL_BYTES)
        .max_control_messages_sent(limits::MAX_IHAVE_IDS)
        .max_ihave_messages_heartbeat(limits::MAX_IHAVE_A_SECOND)
        .connection_handler_queue_len(limits::GOSSIP_SEND_QUEUE)
        .build()
        .map_err(|error| setup(error.into()))?;
    // Not a whitelist of our own topics: filtered subscriptions are forgotten, and joining a topic later would not see
    // the peers that are connected already.
    let filter = MaxCountSubscriptionFilter {
        filter: AllowAllSubscriptionFilter {},
        max_subscribed_topics: limits::MAX_PEER_TOPICS,
        max_subscriptions_per_request: limits::MAX_PEER_TOPICS,
    };
    let authenticity = MessageAuthenticity::Signed(keypair.clone());
    let mut behaviour =
        Behaviour::new_with_subscription_filter(authenticity, config, filter).map_err(|error| setup(error.into()))?;
    behaviour.with_peer_score(peer_score(), thresholds()).map_err(|error| setup(error.into()))?;
    Ok(behaviour)
}

fn setup(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Transport { what: "gossipsub", source }
}

fn peer_score() -> PeerScoreParams {
    PeerScoreParams {
        topic_score_cap: 50.0,
        // Our own points, below zero: the graylist is reached at 80, the ban at 100.
        app_specific_weight: 1.0,
        // Many devices behind one address are a household, or a test.
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -5.0,
        behaviour_penalty_threshold: 5.0,
        behaviour_penalty_decay: score_parameter_decay(Duration::from_secs(60)),
        // A slow peer does no wrong: what is dropped on the way to it, it pulls.
        slow_peer_weight: 0.0,
        ..PeerScoreParams::default()
    }
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -20.0,
        publish_threshold: -50.0,
        graylist_threshold: -80.0,
        accept_px_threshold: 1_000.0,
        opportunistic_graft_threshold: 1.0,
    }
}

/// For a thread's topic, where hours may pass between two messages: being there counts for little, delivering little for
/// nothing, and silence is no failure. The defaults would graylist whoever leaves the mesh of a quiet thread.
pub(super) fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: score_parameter_decay(Duration::from_secs(10 * 60)),
        first_message_deliveries_cap: 50.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // Four invalid messages within minutes are the graylist.
        invalid_message_deliveries_weight: -5.0,
        invalid_message_deliveries_decay: score_parameter_decay(Duration::from_secs(10 * 60)),
        ..TopicScoreParams::default()
    }
}
