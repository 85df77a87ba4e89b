//! `spool daemon`

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::OptionFuture;
use spool_proto::Multiaddr;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::context::{self, Context};
use super::exit::{Exit, Failure};
use super::settings::Settings;
use super::signals::Signals;
use crate::api::{self, Access, Server};
use crate::config::{Config, LogFormat};
use crate::model;
use crate::node::Node;
use crate::operate;
use crate::repo::{AddressFile, Init, Locked, Repo};
use crate::web;

/// How long is waited for the first address to listen on, where there may be no network.
const LISTEN_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Run the node
///
/// Prints its version, peer id and addresses, and `ready` once it answers. The log goes to standard error. SIGINT (Ctrl-C) and SIGTERM end it
/// cleanly with exit code 0; a second signal ends it at once.
///
/// Settings come from flags, then the environment, then config.toml in the repository, then defaults: `spool config show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool daemon
  spool daemon --init --log info,spool_net=debug
  spool daemon --passphrase-fd 3 3< /run/keys/spool
  SPOOL_LISTEN=/ip4/0.0.0.0/tcp/4106 spool daemon --api 127.0.0.1:6106 --web off --http off --repo ~/.spool-two")]
pub(super) struct Args {
    /// Make the repository first where there is none, under a passphrase if one is given. Its recovery phrase is then only in the file `identity`: keep a copy elsewhere
    #[arg(long)]
    init: bool,
    /// End when standard input does: for programs that run a node as their child, which then never outlives them
    #[arg(long)]
    until_eof: bool,
    #[command(flatten)]
    settings: Settings,
}

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let repo = open(context, args.init)?;
    let config = context.settings(&args.settings)?.config;
    start_log(&config)?;
    for (path, mode) in repo.exposed() {
        context
            .out
            .warn(format!("others on this machine can read {} (mode {mode:o}); run `chmod 600` on it", path.display()));
    }
    let repo = Arc::new(context.locked(repo)?);
    let server = Server::bind(config.api).await?;
    let web = match config.web {
        Some(address) => {
            let origins = web::Origins::new(config.web_origins.iter().cloned());
            Some(web::Server::bind(address).await?.with_origins(origins))
        }
        None => None,
    };
    let mut signals = if args.until_eof { Signals::or_end_of_input()? } else { Signals::new()? };
    let operators = Operators::start(&config, &repo).await?;
    if let Some(fault) = crate::process::clock_fault(std::time::SystemTime::now()) {
        context.out.warn(format!(
            "{fault}; set it, or events of others are held back and those of this node are late everywhere"
        ));
    }
    let node = Node::start(repo.clone(), &config).await.map_err(failed_node)?;
    // Set once, here.
    let _ = operators.node.set(node.clone());
    let ended = serve(context, &config, &repo, &node, (server, web, operators.address()), &mut signals).await;
    operators.stop().await;
    tracing::info!("stopping");
    tokio::select! {
        () = node.stop() => ended,
        () = signals.next() => Err(Failure::new(Exit::Failed, "interrupted", "ended by a second signal before everything was put away")),
    }
}

/// What is served to operators, from before the node starts until after it has stopped serving others.
struct Operators {
    node: Arc<OnceLock<Node>>,
    stopping: CancellationToken,
    serving: Option<(AddressFile, SocketAddr, JoinHandle<()>)>,
}

impl Operators {
    async fn start(config: &Config, repo: &Locked) -> Result<Self, Failure> {
        let (node, stopping) = (Arc::default(), CancellationToken::new());
        let Some(address) = config.http else { return Ok(Self { node, stopping, serving: None }) };
        let server = operate::Server::bind(address).await?;
        let address = server.address();
        let file = repo.publish_http(address)?;
        let serving = tokio::spawn(server.serve(node.clone(), stopping.clone()));
        Ok(Self { node, stopping, serving: Some((file, address, serving)) })
    }

    fn address(&self) -> Option<SocketAddr> {
        self.serving.as_ref().map(|(_, address, _)| *address)
    }

    async fn stop(self) {
        self.stopping.cancel();
        if let Some((_file, _, serving)) = self.serving {
            // A panic there has been logged, and ends nothing else.
            let _ = serving.await;
        }
    }
}

fn open(context: &Context, init: bool) -> Result<Repo, Failure> {
    match Repo::open(context.dir()?) {
        Err(error) if init && context::is_missing(&error) => {
            let passphrase = context.given()?;
            let is_protected = passphrase.is_some();
            let (repo, _) = Repo::create(context.dir()?, &Init { passphrase, ..Init::default() })?;
            let place = match is_protected {
                true => "shown by `spool id --phrase`, with the passphrase".to_owned(),
                false => format!("in {}", repo.dir().join("identity").display()),
            };
            context.out.warn(format!("made a new identity; its recovery phrase is {place}: keep a copy elsewhere"));
            Ok(repo)
        }
        opened => Ok(opened?),
    }
}

/// Serves until a signal, or until the node or the API fails.
async fn serve(
    context: &mut Context,
    config: &Config,
    repo: &Locked,
    node: &Node,
    (server, web, http): (Server, Option<web::Server>, Option<SocketAddr>),
    signals: &mut Signals,
) -> Result<(), Failure> {
    let _api_file = repo.publish_api(server.address())?;
    let address = server.address();
    let web_address = web.as_ref().map(web::Server::address);
    let stopping = CancellationToken::new();
    // However this ends, running calls end with it.
    let _stop = stopping.clone().drop_guard();
    let addresses = [Some(config.api), config.web];
    let is_wide = addresses.into_iter().flatten().any(|address| !address.ip().is_loopback());
    let tokens = std::iter::once(repo.make_api_token()?).chain(config.api_token.clone());
    let access = Access::new(tokens, is_wide);
    let routes = api::routes(node.clone(), config.name.clone(), access, stopping.clone());
    let mut serving = tokio::spawn(both(server, web, routes, stopping.clone()));
    greet(context, node, address, [("web", web_address), ("http", http)]).await?;
    tokio::select! {
        () = signals.next() => {}
        ended = node.stopped() => return ended.map_err(failed_node),
        ended = &mut serving => {
            return match ended {
                Ok(Ok(())) => Err(Failure::new(Exit::Failed, "api", "the API ended by itself")),
                Ok(Err(error)) => Err(error.into()),
                Err(panic) => Err(anyhow::Error::new(panic).context("the API failed").into()),
            };
        }
    }
    stopping.cancel();
    tokio::select! {
        ended = serving => match ended {
            Ok(ended) => Ok(ended?),
            Err(panic) => Err(anyhow::Error::new(panic).context("the API failed").into()),
        },
        () = signals.next() => Err(Failure::new(Exit::Failed, "interrupted", "ended by a second signal while calls were running")),
    }
}

/// Serves on both sockets; where the first ends by itself, so does the second.
async fn both(
    server: Server,
    web: Option<web::Server>,
    routes: tonic::service::Routes,
    stopping: CancellationToken,
) -> Result<(), api::Error> {
    let web = OptionFuture::from(web.map(|web| web.serve(routes.clone(), api::methods(), stopping.clone())));
    let server = async {
        let ended = server.serve(routes, stopping.clone()).await;
        stopping.cancel();
        ended
    };
    let (ended, _) = tokio::join!(server, web);
    ended
}

async fn greet(
    context: &mut Context,
    node: &Node,
    api: SocketAddr,
    others: [(&'static str, Option<SocketAddr>); 2],
) -> Result<(), Failure> {
    let info = node.info();
    let listen = listening(node).await?;
    let out = &mut context.out;
    if listen.is_empty() && !node.config().listen.is_empty() {
        out.warn("no other node can reach this one: there is no network to listen on; `spool doctor` tells more");
    }
    if out.is_json() {
        let listen: Vec<String> = listen.iter().map(ToString::to_string).collect();
        let mut greeting = serde_json::json!({
            "version": info.version, "peer_id": info.peer.to_string(), "listen": listen, "api": api, "ready": true,
        });
        for (name, address) in others {
            greeting[name] = serde_json::json!(address);
        }
        out.json(&greeting)?;
    } else {
        out.line(format!("spool {}", info.version))?;
        let mut fields = vec![("peer id", info.peer.to_string())];
        fields.extend(listen.iter().map(|address| ("listening", address.to_string())));
        fields.push(("api", api.to_string()));
        fields.extend(others.into_iter().filter_map(|(name, address)| Some((name, address?.to_string()))));
        out.fields(&fields)?;
        out.line("ready")?;
    }
    out.flush()
}

/// Where the node listens for others. The system tells of its networks only a moment after it was asked.
async fn listening(node: &Node) -> Result<Vec<Multiaddr>, Failure> {
    let begun = tokio::time::Instant::now();
    loop {
        let listen = node.addresses().await.map_err(failed_node)?.listen;
        if !listen.is_empty() || node.config().listen.is_empty() || begun.elapsed() > LISTEN_PATIENCE {
            return Ok(listen);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Gossipsub warns of messages that are known already, which is how it goes where several nodes announce the same heads. Whoever names it in the filter gets it back.
const QUIET: &str = "libp2p_gossipsub=error";

fn start_log(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.log))
        .map_err(|error| Failure::usage(format!("log filter: {error}")))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match config.log_format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|error| anyhow::Error::msg(error.to_string()).context("cannot start the log").into())
}

fn failed_node(error: model::Error) -> Failure {
    tonic::Status::from(error).into()
}
