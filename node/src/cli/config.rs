//! `spool config`

use clap::Subcommand;
use serde_json::json;

use super::context::{self, Context};
use super::exit::Failure;
use super::settings::Settings;
use crate::config::{Key, Raw};

/// Show the configuration
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  spool config show")]
pub(super) enum Args {
    /// Print every setting, the value that holds, and where it comes from
    ///
    /// Takes the flags of `spool daemon`, to see what they would come to.
    #[command(after_help = "\
Examples:
  spool config show
  SPOOL_MDNS=false spool config show --listen /ip4/0.0.0.0/tcp/4106 --json")]
    Show {
        #[command(flatten)]
        settings: Settings,
    },
}

pub(super) fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let Args::Show { settings } = args;
    let effective = context.settings(&settings)?;
    let dir = context.dir()?;
    let value = |key| effective.config.get(key);
    if context.out.is_json() {
        let setting = |key: Key| {
            (key.name().to_owned(), json!({ "value": value(key).to_json(), "origin": effective.origin(key).name() }))
        };
        let settings: serde_json::Map<_, _> = Key::ALL.into_iter().map(setting).collect();
        return context.out.json(&json!({ "repo": dir, "settings": settings }));
    }
    let rows = Key::ALL.map(|key| vec![key.name().into(), text(&value(key)), context::origin(&effective, key)]);
    context.out.table(&["SETTING", "VALUE", "FROM"], &rows)?;
    context.out.flush()?;
    context.out.hint(format!("the repository is {}", dir.display()));
    Ok(())
}

fn text(value: &Raw) -> String {
    match value {
        Raw::Text(text) if text.is_empty() => "-".into(),
        Raw::Text(text) => text.clone(),
        Raw::List(entries) if entries.is_empty() => "-".into(),
        Raw::List(entries) => entries.join(","),
        Raw::Integer(number) => number.to_string(),
        Raw::Boolean(flag) => flag.to_string(),
    }
}
