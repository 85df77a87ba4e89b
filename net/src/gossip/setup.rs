use std::time::Duration;

use libp2p::{
    gossipsub::{
        AllowAllSubscriptionFilter, Behaviour, ConfigBuilder, MaxCountSubscriptionFilter, Message, MessageAuthenticity,
        MessageId, PeerScoreParams, PeerScoreThresholds, ValidationMode, score_parameter_decay,
    },
    identity::Keypair,
};
use sha2::{Digest, Sha256};

use crate::{ConnectionLimits, Error, limits};

/// Gossipsub for many topics whose messages are judged by the consumer.
pub(crate) fn behaviour(keypair: &Keypair, connections: ConnectionLimits) -> Result<Behaviour, Error> {
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
        // Whoever asks into a mesh stays. A mesh of twelve, the default, prunes all other peers of an always-on follower, and
        // each of them asks again every minute, for every thread. A node asks six by itself, so that meshes stay small where
        // many are connected to many.
        .mesh_n_high(connections.most_peers() + 1)
        // A follower has callers only: it would look for others at every heartbeat, for every thread.
        .mesh_outbound_min(0)
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

/// Topics have no scores of their own: with thousands of them for each peer they cost more than all else of an idle node, and
/// what they would count of a quiet thread, deliveries, says nothing. Whoever sends what is invalid gets points from this crate.
fn peer_score() -> PeerScoreParams {
    PeerScoreParams {
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

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream::SelectAll};
    use libp2p::{Multiaddr, Swarm, SwarmBuilder, gossipsub::IdentTopic, noise, swarm::SwarmEvent, tcp, yamux};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);
    /// The first heartbeat comes after five seconds, and then one every second.
    const HEARTBEATS: Duration = Duration::from_secs(9);

    fn node(topic: &IdentTopic) -> Swarm<Behaviour> {
        let keypair = Keypair::generate_ed25519();
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|keypair| behaviour(keypair, ConnectionLimits::default()).unwrap())
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(2 * PATIENCE))
            .build();
        swarm.behaviour_mut().subscribe(topic).unwrap();
        swarm
    }

    async fn listen(swarm: &mut Swarm<Behaviour>) -> Multiaddr {
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    }

    /// An always-on follower has more callers than a mesh takes by default, which would send most of them away, again and again.
    #[tokio::test]
    async fn everybody_who_asks_into_a_mesh_stays() {
        const CALLERS: usize = 20;
        let topic = IdentTopic::new("thread");
        let mut hub = node(&topic);
        let address = listen(&mut hub).await;
        let mut callers = SelectAll::new();
        for _ in 0..CALLERS {
            let mut caller = node(&topic);
            caller.dial(address.clone()).unwrap();
            callers.push(caller);
        }
        let all = async {
            while hub.behaviour().mesh_peers(&topic.hash()).count() < CALLERS {
                tokio::select! {
                    _ = hub.select_next_some() => {}
                    _ = callers.select_next_some() => {}
                    // Who is taken is not an event.
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, all).await.expect("all are taken");
        let run = async {
            loop {
                tokio::select! {
                    _ = hub.select_next_some() => {}
                    _ = callers.select_next_some() => {}
                }
            }
        };
        assert!(tokio::time::timeout(HEARTBEATS, run).await.is_err());
        assert_eq!(hub.behaviour().mesh_peers(&topic.hash()).count(), CALLERS);
    }
}
