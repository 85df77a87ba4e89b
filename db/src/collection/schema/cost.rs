//! What validating a document is going to cost, at most, counted without doing it.
//!
//! Applying every part of a schema to every value that it may be applied to can take time exponential in the size of either. How often each is
//! applied can be counted in time linear in what is counted: parts that are applied many times are counted once, with a factor.

use std::collections::BTreeMap;

use serde_json::Value;

use super::graph::{Graph, Node, Part, size, text_size};
use crate::limits::{MAX_VALIDATION_DEPTH, MAX_VALIDATION_STEPS};

/// Elements up to which a set is compared each with each.
const COMPARED: u64 = 16;

/// More than permitted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooCostly;

/// How a part is applied to one value.
#[derive(Debug, Clone, Copy)]
struct Applied {
    times: u64,
    /// Parts within one another, at most, from the whole document on.
    depth: u32,
}

type Parts = BTreeMap<Part, Applied>;

/// Steps of validating a document.
pub(super) fn steps(graph: &Graph, document: &Value) -> Result<u64, TooCostly> {
    let mut walk = Walk { graph, left: MAX_VALIDATION_STEPS };
    walk.value(document, Parts::from([(graph.whole, Applied { times: 1, depth: 1 })]))?;
    Ok(MAX_VALIDATION_STEPS - walk.left)
}

struct Walk<'a> {
    graph: &'a Graph,
    left: u64,
}

impl<'a> Walk<'a> {
    fn spend(&mut self, steps: u64) -> Result<(), TooCostly> {
        self.left = self.left.checked_sub(steps).ok_or(TooCostly)?;
        Ok(())
    }

    fn add(&mut self, parts: &mut Parts, part: Part, by: Applied) -> Result<(), TooCostly> {
        self.spend(1)?;
        let depth = by.depth + 1;
        if depth > MAX_VALIDATION_DEPTH {
            return Err(TooCostly);
        }
        let applied = parts.entry(part).or_insert(Applied { times: 0, depth });
        applied.times = applied.times.saturating_add(by.times);
        applied.depth = applied.depth.max(depth);
        Ok(())
    }

    /// Recurses as deep as parts are within one another, at most.
    fn value(&mut self, value: &Value, mut parts: Parts) -> Result<(), TooCostly> {
        let graph = self.graph;
        let mut here: Vec<(&'a Node, Applied)> = Vec::new();
        // In their order: when a part's turn comes, all that apply it have been counted.
        while let Some((part, applied)) = parts.pop_first() {
            let node = &graph.nodes[part];
            let own = own(node, value);
            self.spend(own.saturating_mul(applied.times))?;
            for part in &node.same {
                self.add(&mut parts, *part, applied)?;
            }
            here.push((node, applied));
        }
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    self.field(name, field, &here)?;
                }
            }
            Value::Array(items) => {
                for (position, item) in items.iter().enumerate() {
                    let mut parts = Parts::new();
                    for (node, applied) in &here {
                        for part in node.positions.get(position).into_iter().chain(&node.elements) {
                            self.add(&mut parts, *part, *applied)?;
                        }
                    }
                    self.within(item, parts)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        Ok(())
    }

    fn field(&mut self, name: &str, field: &Value, here: &[(&'a Node, Applied)]) -> Result<(), TooCostly> {
        let mut parts = Parts::new();
        let mut names = Parts::new();
        for (node, applied) in here {
            self.spend(1)?;
            if node.names_pattern > 0 {
                let matching = node.names_pattern.saturating_mul(text_size(name));
                self.spend(matching.saturating_mul(applied.times))?;
            }
            let named = node.fields.get(name);
            let others = if named.is_some() { &[][..] } else { &node.other_fields };
            for part in named.into_iter().chain(others).chain(&node.any_field) {
                self.add(&mut parts, *part, *applied)?;
            }
            for part in &node.names {
                self.add(&mut names, *part, *applied)?;
            }
        }
        self.within(&Value::String(name.to_owned()), names)?;
        self.within(field, parts)
    }

    fn within(&mut self, value: &Value, parts: Parts) -> Result<(), TooCostly> {
        if parts.is_empty() { Ok(()) } else { self.value(value, parts) }
    }
}

/// What a part's own keywords cost for a value.
fn own(node: &Node, value: &Value) -> u64 {
    match value {
        Value::String(text) => {
            (node.own + text_size(text)).saturating_add(node.pattern.saturating_mul(text_size(text)))
        }
        Value::Array(items) if node.unique => node.own + items.len() as u64 + COMPARED * size(value),
        Value::Array(items) => node.own + items.len() as u64,
        Value::Object(fields) => node.own + fields.len() as u64,
        Value::Null | Value::Bool(_) | Value::Number(_) => node.own,
    }
}
