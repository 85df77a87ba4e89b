//! Puts a node together and starts it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ed25519_dalek::SigningKey;
use spool_net as net;
use spool_proto::{
    DeviceId, Identity, ThreadId,
    envelope::peer_id,
    sync::{self, Engine, Input, Now},
    vault,
};
use spool_store::{Committer, Store, commit::Options as CommitOptions, kv::rocks};
use tokio::sync::{Semaphore, broadcast, mpsc, watch};

use super::{
    Node,
    addresses::AddressKeeper,
    database::Databases,
    executor::Executor,
    feed::Feed,
    follow::{Agreements, Followers, Notices, limits::INVITATIONS},
    guests::Guests,
    handle::{End, Inner},
    home::Home,
    keyring::Keyring,
    limits::{BODY_BYTES, CALLS, NEWS, RESULTS},
    outbox::Outbox,
    runtime::{Runtime, Waiting},
    scheduler::Scheduler,
    serve::Server,
    standings::Standings,
    status::Counters,
    threads::storage,
};
use crate::{
    config::{Config, Dht, Relay},
    model::{BoxError, Error},
    repo,
};

/// What a node is made of; for programs that embed one without a repository, and for tests.
pub struct Parts {
    /// The owner.
    pub identity: Identity,
    /// This installation.
    pub device: DeviceId,
    /// Seed of the node's own key.
    pub node_seed: [u8; 32],
    /// Its store, which nobody else writes to.
    pub store: Store,
    /// Its network.
    pub network: net::Config,
    /// Its settings.
    pub config: Config,
}

fn internal(context: &'static str, source: impl Into<BoxError>) -> Error {
    Error::Internal { context, source: source.into() }
}

fn not_started(error: net::Error) -> Error {
    match error {
        net::Error::Listen { address, source } => Error::Listen { address, source: Box::new(source) },
        error => internal("start the network", error),
    }
}

impl Node {
    /// Starts store, engine and network of a repository; returns when it listens.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`]; [`Error::Internal`] says what else could not be started and why.
    pub async fn start(repo: Arc<repo::Locked>, config: &Config) -> Result<Node, Error> {
        let open = {
            let (repo, config) = (repo.clone(), config.clone());
            tokio::task::spawn_blocking(move || -> Result<Parts, Error> {
                let identity = repo.identity().map_err(|error| internal("read the identity", error))?;
                let device = repo.device().map_err(|error| internal("read the device id", error))?;
                let seed = repo.node_seed().map_err(|error| internal("read the node's key", error))?;
                let options =
                    rocks::Options { cache_bytes: config.cache_mib as usize * 1024 * 1024, ..Default::default() };
                let store = {
                    let key = repo.key().map_err(|error| internal("read the repository's key", error))?;
                    open_with(&repo.store_dir(), &options, key)?
                };
                let network = network(&config, *seed);
                Ok(Parts { identity, device, node_seed: *seed, store, network, config })
            })
        };
        let parts = open.await.map_err(|error| internal("open the repository", error))??;
        Self::assemble(parts, Some(repo)).await
    }

    /// Starts a node from its parts.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`]; [`Error::Internal`] says what else could not be started and why.
    pub async fn from_parts(parts: Parts) -> Result<Node, Error> {
        Self::assemble(parts, None).await
    }

    async fn assemble(parts: Parts, repo: Option<Arc<repo::Locked>>) -> Result<Node, Error> {
        let Parts { identity, device, node_seed, store, network, config } = parts;
        let start = Instant::now();
        let node_key = SigningKey::from_bytes(&node_seed);
        let keyring = Arc::new(Keyring::new(identity, device, node_key.clone()));
        let feed = Feed::default();
        let committer = {
            let feed = feed.clone();
            Committer::spawn(&store, CommitOptions::default(), move |event| feed.push(event))
                .map_err(|error| internal("start the store's writer", error))?
        };
        let (network, events) = net::Network::spawn(network).map_err(not_started)?;
        let mut engine = Engine::new(sync::Config { peer: peer_id(&node_key), node_key: node_key.clone() });
        let (call_sender, calls) = mpsc::channel(CALLS);
        let (done_sender, done) = mpsc::channel(RESULTS);
        let (news, _) = broadcast::channel(NEWS);
        let guests = Guests::default();
        let counters = Arc::new(Counters::default());
        let known = known_threads(&store, &keyring, start)?;
        let is_here = |thread: &ThreadId| keyring.get(thread).is_some();
        let agreements = Arc::new(Agreements::load(&store, &config, is_here).map_err(storage)?);
        let followers = Arc::new(Followers::load(&store, is_here).map_err(storage)?);
        let notices = Arc::new(Notices::load(&store).map_err(storage)?);
        let threads = keyring.all().into_iter().map(|keys| keys.thread.clone());
        let standings = Arc::new(Standings::load(&store, threads).map_err(storage)?);
        let addresses = AddressKeeper::new(store.clone(), keyring.clone(), network.clone(), standings.clone());
        let addresses = Arc::new(addresses.map_err(storage)?);
        let (invited_sender, invited) = mpsc::channel(INVITATIONS);
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|index| format!("spool-verify-{index}"))
            .build()
            .map_err(|error| internal("start the verification pool", error))?;
        let mut executor = Executor {
            store: store.clone(),
            keyring: keyring.clone(),
            outbox: Outbox::new(committer.handle(), network.clone()),
            scheduler: Scheduler::default(),
            pool: Arc::new(pool),
            done: done_sender,
            network: network.clone(),
            server: Server { store: store.clone(), keyring: keyring.clone(), node_key },
            news: news.clone(),
            addresses: addresses.clone(),
            counters: counters.clone(),
            agreements: agreements.clone(),
            invited: invited_sender,
            standings: standings.clone(),
            guests: guests.clone(),
        };
        let mut waiting = Waiting::default();
        let following = agreements.all().into_iter().map(|(thread, _)| {
            let following = agreements.following(&thread);
            (Input::Following { thread, following }, now(start))
        });
        for (input, now) in known.into_iter().chain(following) {
            let mut effects = Vec::new();
            engine.handle(input, now, &mut effects);
            for effect in effects {
                executor.execute(effect, &mut waiting);
            }
        }
        let (end, ended) = watch::channel(End::Running);
        let runtime = Runtime { engine, executor, calls, events, done, feed, start, waiting, stop: None };
        let inner = Inner {
            keyring,
            store,
            network: network.clone(),
            addresses: addresses.clone(),
            calls: call_sender,
            committer: committer.handle(),
            news,
            counters,
            agreements: agreements.clone(),
            followers,
            notices,
            standings: standings.clone(),
            guests,
            databases: Databases::default(),
            home: Home::default(),
            config,
            repo,
            body_room: Arc::new(Semaphore::new(BODY_BYTES)),
            ended,
            started: start,
        };
        let node = Node(Arc::new(inner));
        let mut background = vec![
            tokio::spawn(addresses.clone().keep()).abort_handle(),
            tokio::spawn(node.clone().announce_addresses()).abort_handle(),
            tokio::spawn(node.clone().answer_invitations(invited)).abort_handle(),
            tokio::spawn(node.clone().keep_agreements()).abort_handle(),
            tokio::spawn(node.clone().deliver_notices()).abort_handle(),
            tokio::spawn(node.clone().keep_standings()).abort_handle(),
            tokio::spawn(node.clone().keep_retention()).abort_handle(),
        ];
        if node.config().home {
            background.push(tokio::spawn(node.clone().keep_home()).abort_handle());
        }
        tokio::spawn(async move {
            let stop = runtime.run().await;
            background.iter().for_each(tokio::task::AbortHandle::abort);
            // Commits what is queued and closes; then the addresses, which need no writer.
            let closed = tokio::task::spawn_blocking(move || {
                committer.shutdown();
                addresses.flush();
                if let Err(error) = agreements.flush().and_then(|()| standings.flush()) {
                    tracing::warn!(error = crate::chain(&error), "what is known of peers could not be written");
                }
            });
            let how = match (&stop, closed.await) {
                (Some(_), Ok(())) => End::Stopped,
                (None, _) => End::Failed("its network or its store has ended".to_owned()),
                (_, Err(error)) => End::Failed(error.to_string()),
            };
            end.send_replace(how);
            if let Some(stop) = stop {
                // Whoever asked may have gone.
                let _ = stop.send(());
            }
        });
        Ok(node)
    }
}

/// Opens the store of a repository that no daemon runs on.
pub(crate) fn open_store(path: &Path, key: Option<&vault::Key>) -> Result<Store, Error> {
    open_with(path, &rocks::Options::default(), key)
}

fn open_with(path: &Path, options: &rocks::Options, key: Option<&vault::Key>) -> Result<Store, Error> {
    Store::open(path, options, key).map_err(|error| internal("open the store", error))
}

/// All threads of the store, as inputs for the engine, and in the keyring.
fn known_threads(store: &Store, keyring: &Keyring, start: Instant) -> Result<Vec<(Input, Now)>, Error> {
    let mut inputs = Vec::new();
    for (thread, state) in store.threads().map_err(storage)? {
        let logs = store.log_states(&thread).map_err(storage)?;
        let state = Arc::new(state);
        keyring.insert(thread.clone(), state.clone());
        inputs.push((Input::Known { thread, state, logs }, now(start)));
    }
    Ok(inputs)
}

fn now(start: Instant) -> Now {
    let wall_millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
    Now { monotonic: start.elapsed(), wall_millis }
}

/// The network's settings from the node's.
fn network(config: &Config, seed: [u8; 32]) -> net::Config {
    let defaults = net::ConnectionLimits::default();
    let mut network = net::Config::new(seed);
    network.listen.clone_from(&config.listen);
    network.external.clone_from(&config.announce);
    network.bootstrap.clone_from(&config.bootstrap);
    network.mdns = config.mdns;
    network.kad = match config.dht {
        Dht::Auto => net::KadMode::Auto,
        Dht::Client => net::KadMode::Client,
        Dht::Server => net::KadMode::Server,
        Dht::Off => net::KadMode::Off,
    };
    network.relay_server = config.relay == Relay::Server;
    network.hole_punching = config.relay != Relay::Off;
    network.reserve = config.relay == Relay::Client;
    network.connections = net::ConnectionLimits {
        per_peer: config.max_connections_per_peer,
        incoming: config.max_connections,
        outgoing: config.max_connections,
        ..defaults
    };
    network
}
