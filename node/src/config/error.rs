//! What can be wrong with a configuration.

use std::path::PathBuf;

use super::{Key, Origin};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is there and cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than a configuration can be.
    #[error("the configuration has more than {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// The file is not UTF-8.
    #[error("the configuration is not UTF-8 text (first bad byte at {at})")]
    NotText {
        /// Offset of the first byte that is wrong.
        at: usize,
    },
    /// The file is not TOML.
    #[error("the configuration is not valid TOML")]
    Syntax(#[source] Box<toml::de::Error>),
    /// The file has a key that no version up to this one knows.
    #[error("unknown setting `{key}` in the configuration{}", did_you_mean(.key))]
    UnknownKey {
        /// The key as written, cut to 64 characters.
        key: String,
    },
    /// A value is not one that the setting takes.
    #[error("{} is not valid: {message}", .origin.describe(*.key))]
    Value {
        /// The setting.
        key: Key,
        /// Where the value was given.
        origin: Origin,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The API would listen where other machines reach it.
    #[error(
        "{0} is not a loopback address: whoever reaches the API there could try to read, write and delete; \
         use 127.0.0.1, or set `api-token`, which all callers have to show then, and see to it that the network in between is yours"
    )]
    ApiNotLoopback(std::net::SocketAddr),
    /// The interfaces for browsers would.
    #[error(
        "{0} is not a loopback address: whoever reaches what `web` serves could read, write and delete; \
         use 127.0.0.1, or set `api-token`, which all callers have to show then, and see to it that the network in between is yours"
    )]
    WebNotLoopback(std::net::SocketAddr),
}

/// The nearest known name, when it is near enough to be a slip of the finger.
fn did_you_mean(key: &str) -> String {
    let nearest =
        Key::ALL.iter().map(|known| (distance(known.name(), key), known)).min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((distance, known)) if distance <= 3 => format!("; did you mean `{}`?", known.name()),
        _ => "; `spool config show` lists those that there are".into(),
    }
}

/// Levenshtein distance; both are short.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_gets_a_suggestion() {
        assert_eq!(did_you_mean("lisen"), "; did you mean `listen`?");
        assert_eq!(did_you_mean("max_connections"), "; did you mean `max-connections`?");
        assert!(did_you_mean("completely-else").contains("spool config show"));
    }
}
