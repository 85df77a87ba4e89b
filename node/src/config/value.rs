//! Values as they are written on a layer, before a setting has judged them.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use spool_proto::{Multiaddr, multiaddr::Protocol};

/// Entries in a list of addresses.
const MAX_LIST: usize = 64;
/// Bytes of one address as text: far above any real one, and a bound for hostile files.
const MAX_ADDRESS_BYTES: usize = 512;
/// What is written in place of an address where there shall be none.
pub(super) const OFF: &str = "off";

/// A value of a shape that some setting takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// `"..."`
    Text(String),
    /// `["...", "..."]`
    List(Vec<String>),
    /// `7`
    Integer(i64),
    /// `true`
    Boolean(bool),
}

impl Raw {
    /// From the file, where shapes are written out.
    pub(super) fn from_toml(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Ok(Self::Text(text)),
            toml::Value::Integer(number) => Ok(Self::Integer(number)),
            toml::Value::Boolean(flag) => Ok(Self::Boolean(flag)),
            toml::Value::Array(entries) => {
                let text = |entry| match entry {
                    toml::Value::String(text) => Ok(text),
                    other => Err(format!("a list holds texts in quotes, not {}", indefinite(other.type_str()))),
                };
                entries.into_iter().map(text).collect::<Result<_, _>>().map(Self::List)
            }
            other => Err(format!("no setting takes {}", indefinite(other.type_str()))),
        }
    }

    pub(super) fn to_toml(&self) -> toml::Value {
        match self {
            Self::Text(text) => toml::Value::String(text.clone()),
            Self::List(entries) => {
                entries.iter().map(|entry| toml::Value::String(entry.clone())).collect::<Vec<_>>().into()
            }
            Self::Integer(number) => toml::Value::Integer(*number),
            Self::Boolean(flag) => toml::Value::Boolean(*flag),
        }
    }

    /// As a JSON value, for `spool config show --json`.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::List(entries) => entries.clone().into(),
            Self::Integer(number) => (*number).into(),
            Self::Boolean(flag) => (*flag).into(),
        }
    }

    pub(super) fn text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::List(_) | Self::Integer(_) | Self::Boolean(_) => Err("expected a text in quotes".into()),
        }
    }

    /// A whole number within `range`, both ends included. Environment and flags write it as text.
    pub(super) fn integer(self, least: u32, most: u32) -> Result<u32, String> {
        let number = match &self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::List(_) | Self::Boolean(_) => None,
        };
        let number =
            number.and_then(|number| u32::try_from(number).ok()).filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
    }

    pub(super) fn boolean(self) -> Result<bool, String> {
        match self {
            Self::Boolean(flag) => Ok(flag),
            Self::Text(text) if text == "true" => Ok(true),
            Self::Text(text) if text == "false" => Ok(false),
            Self::Text(_) | Self::List(_) | Self::Integer(_) => Err("expected true or false".into()),
        }
    }

    /// A list of addresses; as one text they are separated by commas.
    pub(super) fn addresses(self) -> Result<Vec<Multiaddr>, String> {
        let entries = match self {
            Self::List(entries) => entries,
            Self::Text(text) => {
                text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(String::from).collect()
            }
            Self::Integer(_) | Self::Boolean(_) => return Err("expected a list of addresses".into()),
        };
        if entries.len() > MAX_LIST {
            return Err(format!("{} addresses, at most {MAX_LIST} are allowed", entries.len()));
        }
        let address = |entry: String| {
            if entry.len() > MAX_ADDRESS_BYTES {
                return Err(format!("an address has {} bytes, at most {MAX_ADDRESS_BYTES} are allowed", entry.len()));
            }
            Multiaddr::from_str(&entry).map_err(|error| {
                format!("`{}` is not an address like /ip4/192.0.2.7/tcp/4006: {error}", entry.escape_debug())
            })
        };
        entries.into_iter().map(address).collect()
    }

    /// A list of texts; as one text they are separated by commas.
    pub(super) fn texts(self) -> Result<Vec<String>, String> {
        let entries = match self {
            Self::List(entries) => entries,
            Self::Text(text) => {
                text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(String::from).collect()
            }
            Self::Integer(_) | Self::Boolean(_) => return Err("expected a list of texts".into()),
        };
        if entries.len() > MAX_LIST {
            return Err(format!("{} entries, at most {MAX_LIST} are allowed", entries.len()));
        }
        match entries.iter().find(|entry| entry.len() > MAX_ADDRESS_BYTES) {
            Some(entry) => Err(format!("an entry has {} bytes, at most {MAX_ADDRESS_BYTES} are allowed", entry.len())),
            None => Ok(entries),
        }
    }

    pub(super) fn socket(self) -> Result<SocketAddr, String> {
        socket(&self.text()?).ok_or_else(|| "expected an address and a port like 127.0.0.1:6006".into())
    }

    pub(super) fn socket_or_off(self) -> Result<Option<SocketAddr>, String> {
        match self.text()?.as_str() {
            OFF => Ok(None),
            text => match socket(text) {
                Some(address) => Ok(Some(address)),
                None => Err("expected an address and a port like 127.0.0.1:6007, or off".into()),
            },
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(self, choices: &[(&'static str, T)]) -> Result<T, String> {
        let text = self.text()?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            format!("expected one of {}", names.join(", "))
        })
    }

    pub(super) fn list(entries: &[impl Display]) -> Self {
        Self::List(entries.iter().map(ToString::to_string).collect())
    }
}

/// `127.0.0.1:6006`, or as `threadsd` has it `/ip4/127.0.0.1/tcp/6006`.
pub(crate) fn socket(text: &str) -> Option<SocketAddr> {
    let written = text.parse().ok();
    written.or_else(|| {
        let address = Multiaddr::from_str(text).ok()?;
        let mut parts = address.iter();
        let ip: IpAddr = match parts.next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.into(),
            _ => return None,
        };
        match (parts.next()?, parts.next()) {
            (Protocol::Tcp(port), None) => Some((ip, port).into()),
            _ => None,
        }
    })
}

fn indefinite(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}
