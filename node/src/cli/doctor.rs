//! `spool doctor`

mod local;
mod running;

use serde_json::json;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::settings::Settings;

/// Look for what keeps a node from working
///
/// Configuration, repository, disk, clock, ports, and what the daemon says of itself, whether it runs or not. Each line is `ok`, `warn` or `FAIL`, and says what to do.
/// Exit code 1 if there is a FAIL. Nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  spool doctor
  spool doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
pub(super) struct Args {}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Good,
    /// It works, and should be looked at.
    Doubtful,
    /// It does not work.
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    name: &'static str,
    state: State,
    found: String,
    /// What to do.
    advice: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Good, found: found.into(), advice: None }
    }

    fn doubtful(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Doubtful, found: found.into(), advice: Some(advice.into()) }
    }

    fn broken(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Broken, found: found.into(), advice: Some(advice.into()) }
    }
}

pub(super) async fn run(context: &mut Context, _: Args) -> Result<(), Failure> {
    let (mut checks, repo) = local::repository(context)?;
    checks.push(local::clock(repo.as_ref()));
    checks.extend(local::files());
    let config = match context.settings(&Settings::default()) {
        Ok(effective) => {
            checks.push(Check::good("configuration", "valid"));
            Some(effective.config)
        }
        Err(failure) => {
            let found = format!("{:#}", failure.error);
            checks.push(Check::broken("configuration", found, "correct it; `spool config show` tells what holds"));
            None
        }
    };
    if repo.is_some() || context.names_daemon() {
        match context.client().await {
            Ok(client) => checks.extend(running::checks(client, repo.as_ref()).await),
            Err(failure) if local::is_held(repo.as_ref()) => {
                let advice = "it may be starting; if it stays so, end that process and look at its log";
                checks.push(Check::broken(
                    "daemon",
                    format!("a process has the repository, and {:#}", failure.error),
                    advice,
                ));
            }
            Err(_) => {
                checks.push(Check::doubtful("daemon", "it is not running", "start it with `spool daemon`"));
                checks.extend(config.iter().flat_map(local::ports));
            }
        }
    }
    print(context, &checks)
}

fn print(context: &mut Context, checks: &[Check]) -> Result<(), Failure> {
    let out = &mut context.out;
    let broken = checks.iter().filter(|check| check.state == State::Broken).count();
    let word = |state| match state {
        State::Good => "ok",
        State::Doubtful => "warn",
        State::Broken => "fail",
    };
    if out.is_json() {
        let checks: Vec<_> = checks
            .iter()
            .map(|Check { name, state, found, advice }| {
                json!({ "name": name, "state": word(*state), "found": found, "advice": advice })
            })
            .collect();
        out.json(&json!({ "ok": broken == 0, "checks": checks }))?;
    } else {
        for Check { name, state, found, advice } in checks {
            let word = if *state == State::Broken { "FAIL" } else { word(*state) };
            out.line(format!("{word:4}  {name:13}  {found}"))?;
            if let Some(advice) = advice {
                out.line(format!("{:21}-> {advice}", ""))?;
            }
        }
    }
    out.flush()?;
    match broken {
        0 => Ok(()),
        broken => {
            let what = super::format::plural(broken as u64, "thing");
            Err(Failure::new(Exit::Failed, "unwell", format!("{what} of this node has to be mended")))
        }
    }
}
