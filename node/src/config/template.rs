//! The `config.toml` that `spool init` writes: all settings, explained, each at its default and commented out.

use std::fmt::Write as _;

use super::{Config, Key, Raw};

/// The file's text; `name` is the only value that is set.
pub fn template(name: Option<&str>) -> String {
    let mut text = String::from(
        "# Configuration of this Spool node. What is commented out is the default.\n\
         # Environment variables (SPOOL_LISTEN, ...) and flags (--listen, ...) go before this file; `spool config show` tells what holds.\n",
    );
    let defaults = Config::default();
    for key in Key::ALL {
        let given = name.filter(|_| key == Key::Name);
        let value = given.map_or_else(|| defaults.get(key), |name| Raw::Text(name.into())).to_toml();
        let mark = if given.is_some() { "" } else { "# " };
        write!(text, "\n# {}\n{mark}{} = {value}\n", key.help(), key.name()).expect("a String takes everything");
    }
    text
}
