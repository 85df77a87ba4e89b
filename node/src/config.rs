//! The configuration: flags over environment over `config.toml` over defaults.
//!
//! Every setting has one name, written the same on each layer: `max-connections` in the file is `--max-connections` as a flag and
//! `SPOOL_MAX_CONNECTIONS` in the environment. [`Key`] lists them all; a key that is not in it is refused by name.

mod error;
mod key;
mod layers;
mod settings;
mod template;
mod token;
mod value;

pub use error::Error;
pub use key::Key;
pub use layers::{Effective, Layers, Origin};
pub(crate) use settings::MAX_NAME_BYTES;
pub use settings::{Allowed, Config, Dht, Follow, LogFormat, Relay};
pub use template::template;
pub use token::Token;
pub use value::Raw;
pub(crate) use value::socket;
