use std::{
    io,
    net::{IpAddr, TcpListener},
    num::NonZeroU8,
};

use libp2p::{Multiaddr, Swarm, SwarmBuilder, TransportError, identity::Keypair, multiaddr::Protocol, noise, relay};
use tokio::sync::mpsc;

use crate::{
    Config, Error, Event, Handle,
    behaviour::Behaviour,
    discovery::Bootstrap,
    exchange::{self, Patience},
    gossip,
    limits::{COMMAND_QUEUE, DIAL_CONCURRENCY, DIAL_TIMEOUT, EVENT_QUEUE, MAX_RESPONSE_PAUSE, MAX_SILENCE},
    task::Task,
    traffic::Traffic,
    transport::{transport, yamux},
};

/// The network of a node: a libp2p swarm in a task of its own.
pub struct Network;

impl Network {
    /// Starts the network. It runs until all handles, or the receiver, are dropped.
    ///
    /// While the receiver is not read, peers are not either; commands are still carried out.
    ///
    /// # Errors
    ///
    /// [`Error`], when a setting cannot be or an address cannot be listened on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn spawn(config: Config) -> Result<(Handle, mpsc::Receiver<Event>), Error> {
        config.check()?;
        let keypair = config.keypair();
        let patience = Patience {
            silence: MAX_SILENCE.min(config.request_timeout),
            pause: MAX_RESPONSE_PAUSE.min(config.request_timeout / 2),
        };
        let codec = exchange::Codec::new(patience);
        let traffic = Traffic::default();
        let mut swarm = swarm(&config, keypair, codec, &traffic)?;
        let (inbox, bootstrap) = (gossip::Inbox::new(config.gossip), Bootstrap::new(&config));
        for address in config.listen {
            probe(&address)?;
            swarm.listen_on(address.clone()).map_err(|source| Error::Listen { address, source })?;
        }
        for address in config.external {
            swarm.add_external_address(address);
        }
        let (message_sender, messages) = mpsc::channel(COMMAND_QUEUE);
        let (events, event_receiver) = mpsc::channel(EVENT_QUEUE);
        let handle = Handle::new(message_sender, *swarm.local_peer_id());
        tokio::spawn(Task::new(swarm, traffic, inbox, bootstrap).run(messages, events));
        Ok((handle, event_receiver))
    }
}

fn swarm(
    config: &Config,
    keypair: Keypair,
    codec: exchange::Codec,
    traffic: &Traffic,
) -> Result<Swarm<Behaviour>, Error> {
    let mut setup_error = None;
    let built = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_other_transport(|keypair| Ok(transport(keypair, traffic)?))
        .map_err(|error| unavailable("noise", error))?
        .with_dns()
        .map_err(|error| unavailable("dns", error))?
        .with_relay_client(noise::Config::new, yamux)
        .map_err(|error| unavailable("relay client", error))?
        .with_behaviour(|keypair, relay: relay::client::Behaviour| {
            Behaviour::new(config, keypair, relay, codec).map_err(|error| {
                let text = error.to_string();
                setup_error = Some(error);
                text.into()
            })
        });
    let Ok(builder) = built else {
        return Err(setup_error.unwrap_or(Error::Config { setting: "network", reason: "unknown".to_owned() }));
    };
    Ok(builder
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(config.idle_timeout)
                .with_dial_concurrency_factor(NonZeroU8::new(DIAL_CONCURRENCY).unwrap_or(NonZeroU8::MIN))
        })
        .with_connection_timeout(DIAL_TIMEOUT)
        .build())
}

/// Refuses a TCP port that somebody listens on. libp2p shares its ports (`SO_REUSEPORT`), so a second node would start,
/// and each would get some of the other's connections.
fn probe(address: &Multiaddr) -> Result<(), Error> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    let Some(Protocol::Tcp(port)) = parts.next() else { return Ok(()) };
    match TcpListener::bind((ip, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(Error::Listen { address: address.clone(), source: TransportError::Other(error) })
        }
        // What else may be wrong, the transport says.
        _ => Ok(()),
    }
}

fn unavailable(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Transport { what, source: Box::new(error) }
}
