//! One flag for every setting.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Key, Raw};

/// The settings given on the command line, as written.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings(pub(super) Vec<(Key, Raw)>);

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        Key::ALL.into_iter().filter(|key| is_flag(*key)).fold(command, |command, key| {
            let arg = Arg::new(key.name())
                .long(key.name())
                .value_name(value_name(key))
                .help(format!("{} [env: {}]", key.help().trim_end_matches('.'), key.variable()))
                .help_heading("Settings")
                .action(if is_list(key) { ArgAction::Append } else { ArgAction::Set });
            let arg = match key.name_of_threadsd() {
                Some(name) => arg.alias(name),
                None => arg,
            };
            command.arg(if is_list(key) { arg.value_delimiter(',') } else { arg })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Key::ALL.into_iter().filter(|key| is_flag(*key)).filter_map(|key| {
            let mut values = matches.get_many::<String>(key.name())?.cloned();
            Some((key, if is_list(key) { Raw::List(values.collect()) } else { Raw::Text(values.next()?) }))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `--api` and `--api-token` are flags of every command, not of this group.
fn is_flag(key: Key) -> bool {
    !matches!(key, Key::Api | Key::ApiToken)
}

fn is_list(key: Key) -> bool {
    matches!(key, Key::Listen | Key::Announce | Key::Bootstrap | Key::WebOrigins | Key::FollowAllow)
}

fn value_name(key: Key) -> &'static str {
    match key {
        Key::Listen | Key::Announce | Key::Bootstrap => "ADDRESS",
        Key::Mdns | Key::Home => "true|false",
        Key::ApiToken => "TOKEN",
        Key::WebOrigins => "ORIGIN",
        Key::MaxConnections
        | Key::MaxConnectionsPerPeer
        | Key::FollowMaxThreads
        | Key::FollowMaxMib
        | Key::FollowMaxRecordsPerSecond
        | Key::FollowBodiesDays
        | Key::CacheMib
        | Key::MaxDocumentKib
        | Key::MaxTransactionKib
        | Key::MaxOperations
        | Key::MaxDepth
        | Key::MaxIndexes
        | Key::QueryMemoryMib
        | Key::TransactionMemoryMib => "NUMBER",
        Key::Dht => "auto|client|server|off",
        Key::Relay => "client|server|off",
        Key::Follow => "off|allow|code|open",
        Key::FollowAllow => "PEER|IDENTITY",
        Key::FollowCode => "CODE",
        Key::Durability => "sync|relaxed",
        Key::LogFormat => "text|json",
        Key::Log => "FILTER",
        Key::Name => "NAME",
        Key::Api => "HOST:PORT",
        Key::Web | Key::Http => "HOST:PORT|off",
    }
}
