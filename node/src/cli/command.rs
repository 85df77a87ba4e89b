//! All commands, and how the chosen one is run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tokio::runtime::Builder;

use super::context::Context;
use super::exit::{EXIT_CODES, Exit, Failure};
use super::output::Output;
use super::{
    append, bench, config, daemon, db, doctor, follower, home, id, init, log, man, object, peers, repo, stat, sync,
    testnet, thread, verify,
};

/// A peer-to-peer node for threads: encrypted logs of several writers, replicated by followers that cannot read them
#[derive(Debug, Parser)]
#[command(name = "spool", version, after_help = EXAMPLE, after_long_help = long_help(), max_term_width = 120)]
pub(super) struct Cli {
    /// Where the repository is [default: ~/.spool]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SPOOL_REPO",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    repo: Option<PathBuf>,
    /// The daemon to talk to, or for `daemon` where to listen [default: what the daemon of the repository uses] [env: SPOOL_API]
    #[arg(long, alias = "apiAddr", global = true, value_name = "HOST:PORT", help_heading = "Global options")]
    api: Option<String>,
    /// What to show to a daemon that is not that of the repository, or for `daemon` what callers may show [env: SPOOL_API_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Global options")]
    api_token: Option<String>,
    /// Read the passphrase of the repository from this open file: its first line. For commands that open a repository themselves [env: SPOOL_PASSPHRASE]
    #[arg(long, global = true, value_name = "NUMBER", help_heading = "Global options")]
    passphrase_fd: Option<u32>,
    /// Print results as JSON
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLE: &str = "\
Example:
  spool init && spool daemon &
  spool thread create notes
  spool append notes 'buy milk'
  spool log notes";

fn long_help() -> String {
    format!("{EXAMPLE}\n\n{EXIT_CODES}")
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Daemon(daemon::Args),
    Id(id::Args),
    #[command(subcommand)]
    Thread(thread::Args),
    #[command(subcommand)]
    Follower(follower::Args),
    Append(append::Args),
    Log(log::Args),
    Get(object::GetArgs),
    Add(object::AddArgs),
    Cat(object::CatArgs),
    Sync(sync::Args),
    Verify(verify::Args),
    Home(home::Args),
    Recover(home::RecoverArgs),
    #[command(subcommand)]
    Db(db::Args),
    Peers(peers::Args),
    Addr(peers::AddrArgs),
    Keys(stat::KeysArgs),
    Stat(stat::Args),
    #[command(subcommand)]
    Repo(repo::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    #[command(subcommand)]
    Testnet(testnet::Args),
    #[command(subcommand)]
    Config(config::Args),
    Man(man::Args),
    /// Print a script that completes commands in a shell
    #[command(after_help = "Example:\n  spool completions bash > ~/.local/share/bash-completion/completions/spool")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// How long the end of a daemon waits for reads that are under way.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the command line of this process and returns its exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut failures = Output::new(cli.json);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            failures.failure(&failure);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Whether this processor has the instructions that RocksDB was compiled for, see `.cargo/config.toml`. Without them the process would be killed in the
/// middle of its first write.
fn suits_processor() -> bool {
    #[cfg(target_arch = "x86_64")]
    let suits = option_env!("CXXFLAGS_x86_64_unknown_linux_gnu").is_none_or(|flags| !flags.contains("-msse4.2"))
        || std::arch::is_x86_feature_detected!("sse4.2");
    #[cfg(not(target_arch = "x86_64"))]
    let suits = true;
    suits
}

fn run(cli: Cli) -> Result<(), Failure> {
    if !suits_processor() {
        let message = "this build needs a processor with SSE 4.2: build with an empty CXXFLAGS_x86_64_unknown_linux_gnu in the environment";
        return Err(Failure::new(Exit::Failed, "processor", message));
    }
    let many_threads = matches!(cli.command, Command::Daemon(_) | Command::Bench(_));
    let mut builder = if many_threads { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    let runtime = builder.enable_all().build().map_err(|error| anyhow::Error::new(error).context("cannot start"))?;
    let ended = runtime.block_on(dispatch(cli));
    if many_threads {
        // The process must not end under threads that are in the database.
        runtime.shutdown_timeout(SHUTDOWN_PATIENCE);
    } else {
        // Standard input may be in the middle of a read that never ends.
        runtime.shutdown_background();
    }
    ended
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let mut context = Context {
        repo: cli.repo,
        api: cli.api,
        api_token: cli.api_token,
        passphrase_fd: cli.passphrase_fd,
        out: Output::new(cli.json),
    };
    let ended = match cli.command {
        // It ends cleanly on signals by itself.
        Command::Daemon(args) => Box::pin(daemon::run(&mut context, args)).await,
        Command::Testnet(args) if args.ends_by_itself() => Box::pin(testnet::run(&mut context, args)).await,
        command => {
            let follows = match &command {
                Command::Log(args) => args.follows(),
                Command::Db(args) => args.follows(),
                Command::Testnet(args) => args.follows(),
                _ => false,
            };
            tokio::select! {
                ended = Box::pin(one(&mut context, command)) => ended,
                _ = tokio::signal::ctrl_c() => match follows {
                    true => Ok(()),
                    false => Err(Failure::new(Exit::Interrupted, "interrupted", "interrupted")),
                },
            }
        }
    };
    // Results that could not be written were not delivered, whatever else went well.
    ended.and(context.out.flush())
}

async fn one(context: &mut Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Daemon(args) => daemon::run(context, args).await,
        Command::Id(args) => id::run(context, args).await,
        Command::Thread(args) => thread::run(context, args).await,
        Command::Follower(args) => follower::run(context, args).await,
        Command::Append(args) => append::run(context, args).await,
        Command::Log(args) => log::run(context, args).await,
        Command::Get(args) => object::get(context, args).await,
        Command::Add(args) => object::add(context, args).await,
        Command::Cat(args) => object::cat(context, args).await,
        Command::Sync(args) => sync::run(context, args).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Home(args) => home::run(context, args).await,
        Command::Recover(args) => home::recover(context, args).await,
        Command::Db(args) => Box::pin(db::run(context, args)).await,
        Command::Peers(args) => peers::run(context, args).await,
        Command::Addr(args) => peers::addr(context, args).await,
        Command::Keys(args) => stat::keys(context, args).await,
        Command::Stat(args) => stat::run(context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Man(args) => man::run(context, args),
        Command::Repo(args) => repo::run(context, args).await,
        Command::Bench(args) => Box::pin(bench::run(context, args)).await,
        Command::Testnet(args) => Box::pin(testnet::run(context, args)).await,
        Command::Config(args) => config::run(context, args),
        Command::Completions { shell } => completions(context, shell),
    }
}

fn completions(context: &mut Context, shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "spool", &mut script);
    context.out.bytes(&script)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command that does something, with its path.
    fn leaves(command: &clap::Command, path: &str) -> Vec<(String, clap::Command)> {
        let path = format!("{path} {}", command.get_name());
        let below: Vec<_> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
        let here = below.is_empty() || !command.is_subcommand_required_set();
        let here = here.then(|| (path.trim().to_owned(), command.clone()));
        here.into_iter().chain(below.into_iter().flat_map(|below| leaves(below, &path))).collect()
    }

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_gives_an_example_of_itself() {
        for (path, command) in leaves(&Cli::command(), "") {
            assert!(command.get_about().is_some(), "{path} has no description");
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("xample") && examples.contains(&path), "{path}: {examples}");
        }
    }

    #[test]
    fn every_command_takes_the_global_flags() {
        let mut command = Cli::command();
        command.build();
        for (path, command) in leaves(&command, "") {
            for flag in ["json", "repo", "api"] {
                assert!(command.get_arguments().any(|arg| arg.get_id() == flag), "{path} lacks --{flag}");
            }
        }
    }

    #[test]
    fn the_handbook_has_every_command_setting_and_exit_code() {
        let handbook = include_str!("../../../docs/cli.md");
        for (path, _) in leaves(&Cli::command(), "") {
            assert!(handbook.contains(&format!("\n{path}")), "docs/cli.md has no example of `{path}`");
        }
        for key in crate::config::Key::ALL {
            assert!(handbook.contains(&format!("\n| `{key}` | ")), "docs/cli.md has no setting `{key}`");
        }
        for line in EXIT_CODES.lines().skip(1) {
            let code = line.split_whitespace().next().unwrap();
            assert!(handbook.contains(&format!("\n| {code} | ")), "docs/cli.md has no exit code {code}");
        }
    }

    #[test]
    fn flags_of_threadsd_set_what_they_set_there() {
        let of = |line: &str| match Cli::try_parse_from(line.split(' ')).map(|cli| (cli.api, cli.command)) {
            Ok((api, Command::Daemon(args))) => (api, format!("{args:?}")),
            other => panic!("{line}: {other:?}"),
        };
        let theirs = "spool daemon --hostAddr /ip4/0.0.0.0/tcp/4006 --apiAddr /ip4/127.0.0.1/tcp/6006 --apiProxyAddr /ip4/127.0.0.1/tcp/6007 --connHighWater 7";
        let ours = "spool daemon --listen /ip4/0.0.0.0/tcp/4006 --api /ip4/127.0.0.1/tcp/6006 --web /ip4/127.0.0.1/tcp/6007 --max-connections 7";
        assert_eq!(of(theirs), of(ours));
    }

    #[test]
    fn arguments_that_exclude_each_other_are_refused() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|_| ());
        for line in [
            "spool thread share notes",
            "spool thread share notes --read --follow",
            "spool append notes event --file x",
            "spool append notes event --public --to bafz",
            "spool log notes --follow --limit 3",
            "spool log notes --last 3 --limit 3",
            "spool log notes --bodies --json",
            "spool sync --timeout 0",
            "spool daemon --no-such-setting 1",
            "spool db create notes films {} --stdin",
            "spool db create notes films --batch 0",
            "spool db find notes films --sort .",
            "spool db get notes films x --at yesterday",
            "spool db update notes films x",
            "spool db update notes films x --set =1",
            "spool db update notes films x --inc year=more",
            "spool db update notes films x --replace {} --set a=1",
            "spool db define notes films --schema - --no-schema",
            "spool db index notes films add",
            "spool db tag notes --rm",
            "spool db tag notes cut --rm --at @0",
            "spool db restore notes",
            "spool db watch notes films --after x --from-start",
            "spool testnet up -n 0",
            "spool testnet up -n 3 --log debug",
            "spool testnet exec writer1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        for line in [
            "spool --json thread ls",
            "spool thread share notes --read --to bafz --json",
            "spool log notes -f -n 10",
            "spool db resolve notes films x year -5",
            "spool db find notes films --sort year:desc --sort title --fields title,cast.0",
            "spool db update notes films x --set title=Brazil --inc year=-1 --unset cast",
            "spool db index notes films",
            "spool db index notes films add year --unique",
            "spool db watch",
            "spool db undo notes films x",
            "spool daemon --hostAddr /ip4/0.0.0.0/tcp/4006 --announceAddr /dns4/x.example.org/tcp/4006 --apiAddr /ip4/127.0.0.1/tcp/6006 --apiProxyAddr /ip4/127.0.0.1/tcp/6007 --connHighWater 400",
            "spool testnet up -n 3 --followers 1 -- --log debug",
            "spool testnet exec writer1 -- append testnet x --json",
            "spool daemon --init --listen /ip4/127.0.0.1/tcp/0,/ip6/::1/tcp/0 --listen /ip4/127.0.0.1/udp/0/quic-v1 --mdns false",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
