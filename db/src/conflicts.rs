//! Stub.
use crate::{Database, Path, Target, transaction::Error};
use serde_json::Value;
use std::ops::ControlFlow;
/// Stub.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// a
    pub target: Target,
    /// b
    pub kind: ConflictKind,
}
/// Stub.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "stub")]
pub enum ConflictKind {
    KeptBoth { path: Path, values: Vec<Value> },
    Schema { path: String, message: String },
    Duplicate { path: Path, value: Value, others: Vec<String> },
}
impl Conflict {
    /// Stub
    pub fn bytes(&self) -> usize {
        100
    }
}
#[expect(missing_docs, reason = "stub")]
impl Database {
    pub fn conflicts(&self, _: Option<&str>, _: &mut dyn FnMut(Conflict) -> ControlFlow<()>) -> Result<(), Error> {
        Ok(())
    }
    pub fn conflicts_of(&self, _: &Target) -> Result<Vec<Conflict>, Error> {
        Ok(Vec::new())
    }
}
