//! Layering: which layer sets what, and what comes out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use super::{Config, Error, Follow, Key, Raw};

/// Bytes of a configuration file: a hundred times a long one.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Where a value was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Nowhere: it is built in.
    Default,
    /// In `config.toml`.
    File,
    /// In the environment, under the name that `threadsd` has for it.
    Threadsd,
    /// In the environment.
    Environment,
    /// On the command line.
    Flag,
}

impl Origin {
    /// The place in the user's words: `SPOOL_LISTEN`, `--listen`.
    pub fn describe(self, key: Key) -> String {
        match self {
            Self::Default => format!("the default of {key}"),
            Self::File => format!("`{key}` in config.toml"),
            Self::Threadsd => key.variable_of_threadsd().unwrap_or_default(),
            Self::Environment => key.variable(),
            Self::Flag => format!("--{key}"),
        }
    }

    /// A stable name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Threadsd | Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// What the layers above the defaults say.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    values: BTreeMap<Origin, BTreeMap<Key, Raw>>,
}

impl Layers {
    /// Adds the file at `path`; one that is not there says nothing.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or [`Layers::file_bytes`] refuses it.
    pub fn file(self, path: &Path) -> Result<Self, Error> {
        let read = |source| Error::Read { path: path.into(), source };
        let file = match std::fs::File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            opened => opened.map_err(read)?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
        self.file_bytes(&bytes)
    }

    /// Adds the content of a configuration file.
    ///
    /// # Errors
    /// If it is too large, not TOML, or has a key that is not known or a value of a shape that none takes.
    pub fn file_bytes(mut self, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::TooLarge { limit: MAX_FILE_BYTES });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| Error::NotText { at: error.valid_up_to() })?;
        let table: toml::Table = toml::from_str(text).map_err(|error| Error::Syntax(Box::new(error)))?;
        for (name, value) in table {
            let key: Key = name.parse()?;
            let raw = Raw::from_toml(value).map_err(|message| Error::Value { key, origin: Origin::File, message })?;
            self.insert(Origin::File, key, raw);
        }
        Ok(self)
    }

    /// Adds the environment. Variables that are not settings are none of our business.
    ///
    /// # Errors
    /// If a setting's variable is not UTF-8.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, Error> {
        let own = Key::ALL.into_iter().map(|key| (key.variable(), (Origin::Environment, key)));
        let theirs =
            Key::ALL.into_iter().filter_map(|key| Some((key.variable_of_threadsd()?, (Origin::Threadsd, key))));
        let names: BTreeMap<String, (Origin, Key)> = own.chain(theirs).collect();
        for (name, value) in variables {
            let Some((origin, key)) = name.to_str().and_then(|name| names.get(name)).copied() else { continue };
            let not_text = |_| Error::Value { key, origin, message: "it is not UTF-8 text".into() };
            let value = value.into_string().map_err(not_text)?;
            self.insert(origin, key, Raw::Text(value));
        }
        Ok(self)
    }

    /// Adds what the command line says.
    pub fn flags(mut self, flags: impl IntoIterator<Item = (Key, Raw)>) -> Self {
        for (key, raw) in flags {
            self.insert(Origin::Flag, key, raw);
        }
        self
    }

    /// The configuration that comes out.
    ///
    /// # Errors
    /// If a value is not one that its setting takes, also where a higher layer hides it: a mistake should not wait for that layer to go away.
    pub fn resolve(self) -> Result<Effective, Error> {
        let mut config = Config::default();
        let mut origins = BTreeMap::new();
        for (origin, values) in self.values {
            for (key, raw) in values {
                config.set(key, raw).map_err(|message| Error::Value { key, origin, message })?;
                origins.insert(key, origin);
            }
        }
        if config.follow == Follow::Code && config.follow_code.is_none() {
            let origin = origins.get(&Key::Follow).copied().unwrap_or(Origin::Default);
            let message = "\"code\" needs a code: set `follow-code`".into();
            return Err(Error::Value { key: Key::Follow, origin, message });
        }
        if !config.api.ip().is_loopback() && config.api_token.is_none() {
            return Err(Error::ApiNotLoopback(config.api));
        }
        if let Some(web) = config.web.filter(|web| !web.ip().is_loopback() && config.api_token.is_none()) {
            return Err(Error::WebNotLoopback(web));
        }
        Ok(Effective { config, origins })
    }

    fn insert(&mut self, origin: Origin, key: Key, raw: Raw) {
        self.values.entry(origin).or_default().insert(key, raw);
    }
}

/// A configuration that knows where each value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// The values.
    pub config: Config,
    origins: BTreeMap<Key, Origin>,
}

impl Effective {
    /// Where the value of `key` came from.
    pub fn origin(&self, key: Key) -> Origin {
        self.origins.get(&key).copied().unwrap_or(Origin::Default)
    }
}
