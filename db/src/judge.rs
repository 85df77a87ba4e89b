//! Rules in code: validators decide on writes, filters on what a reader sees.
//!
//! A rule is a pure function, and all peers have to agree on what it says. So it gets values and returns one, and reaches nothing else: no clock, no randomness,
//! no locale, no host. What ends it is counted, never timed: steps, memory, depth. The engine is behind the feature `javascript`.

use serde_json::{Map, Value};

pub(crate) mod case;
#[cfg(feature = "javascript")]
mod javascript;
pub mod limits;
#[cfg(feature = "javascript")]
mod machine;
#[cfg(all(test, feature = "javascript"))]
mod tests;

#[cfg(feature = "javascript")]
pub use javascript::JavaScript;

/// Whoever runs rules. The same arguments give the same result, on every peer, in whatever order and on however many threads.
pub trait Judge: Send + Sync {
    /// Whether a write is accepted. `source` is the body of a function of `writer` (the key of who proved to have written it), `event` and `instance` (the document
    /// before, if there was one). Nothing that an earlier call did is left.
    fn verdict(&self, source: &str, writer: Option<&str>, event: &Value, instance: Option<&Value>) -> Verdict;

    /// What a reader sees of a document. `source` is the body of a function of `reader` and `instance`.
    fn filter(&self, source: &str, reader: Option<&str>, instance: &Value) -> Filtered;
}

/// What a validator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It returned `true`.
    Accepted,
    /// It returned `false`, `null` or nothing; or anything else, which is the reason.
    Denied(Option<String>),
    /// It did not come to an end. The write is not accepted either.
    Failed(Failure),
}

/// What a filter says.
#[derive(Debug, Clone, PartialEq)]
pub enum Filtered {
    /// The reader sees this, which may be other than what is stored.
    Shown(Map<String, Value>),
    /// It returned `null` or nothing.
    Hidden,
    /// It did not come to an end. The reader sees nothing either.
    Failed(Failure),
}

/// Why a rule did not come to an end. Whoever wrote the rule, or wrote what it judges, has to act; trying again gives the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It is not the body of a function in strict mode.
    #[error("compiling js func: {0}")]
    Source(String),
    /// It has more bytes than a rule may have.
    #[error("the rule has more than {} bytes", limits::SOURCE_BYTES)]
    SourceSize,
    /// It threw an exception.
    #[error("{0}")]
    Thrown(String),
    /// It ran for too long.
    #[error("it takes too many steps; a rule may take {}", limits::STEPS)]
    Steps,
    /// Too many calls within one another, in it or in what it called.
    #[error("its calls are nested too deeply")]
    Depth,
    /// There is no room for what it is given.
    #[error("what it judges is too large")]
    Size,
    /// A filter returned something else than an object.
    #[error("it has to return an object, not {0}")]
    Result(String),
    /// The engine gave up.
    #[error("the engine failed: {0}")]
    Engine(String),
}
