//! Which parts of a schema apply which others to what: so that the work of a validation is known before it begins.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::{Draft, Error, pattern, pointer};
use crate::limits::{MAX_PATTERN_WEIGHT, MAX_PATTERNS};

/// Number of a part. A part has a greater number than all that apply it to the same value.
pub(super) type Part = usize;

/// One schema within a schema. Parts of drafts are counted in either draft: more than is applied does no harm here.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Steps that its own keywords are at least.
    pub(super) own: u64,
    /// Weight of its regular expression for texts.
    pub(super) pattern: u64,
    /// Weight of its regular expressions for names of fields.
    pub(super) names_pattern: u64,
    /// Whether it compares elements with each other.
    pub(super) unique: bool,
    /// Applied to the same value.
    pub(super) same: Vec<Part>,
    /// Applied to a field of a name.
    pub(super) fields: BTreeMap<String, Part>,
    /// Applied to any field, as far as can be told without matching.
    pub(super) any_field: Vec<Part>,
    /// Applied to the fields that have no schema by their name.
    pub(super) other_fields: Vec<Part>,
    /// Applied to the names of fields.
    pub(super) names: Vec<Part>,
    /// Applied to an element of a position.
    pub(super) positions: Vec<Part>,
    /// Applied to any element.
    pub(super) elements: Vec<Part>,
}

/// The parts of a schema; the first is the whole.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    pub(super) whole: Part,
}

/// Reads a schema, and refuses what cannot be bounded. The schema is not too large nor too deep.
pub(super) fn read(schema: &Value, draft: Draft) -> Result<Graph, Error> {
    let mut builder = Builder { schema, draft, known: HashMap::new(), found: Vec::new(), patterns: 0 };
    builder.part(schema, String::new());
    let mut nodes = Vec::new();
    while let Some((value, at)) = builder.found.get(nodes.len()).cloned() {
        nodes.push(builder.node(value, &at)?);
    }
    let order = order(&nodes, &builder.found)?;
    Ok(sorted(nodes, &order))
}

struct Builder<'a> {
    schema: &'a Value,
    draft: Draft,
    /// Parts by the address of their value, which does not move while the schema is read.
    known: HashMap<usize, Part>,
    /// With the pointer to where each was found first.
    found: Vec<(&'a Value, String)>,
    patterns: usize,
}

impl<'a> Builder<'a> {
    fn part(&mut self, value: &'a Value, at: String) -> Part {
        let next = self.found.len();
        let part = *self.known.entry(std::ptr::from_ref(value) as usize).or_insert(next);
        if part == next {
            self.found.push((value, at));
        }
        part
    }

    fn parts(&mut self, values: &'a Value, at: &str) -> Vec<Part> {
        match values {
            Value::Array(items) => {
                (0..).zip(items).map(|(index, item)| self.part(item, format!("{at}/{index}"))).collect()
            }
            Value::Object(fields) => self.named(fields, at).into_values().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }

    fn named(&mut self, fields: &'a Map<String, Value>, at: &str) -> BTreeMap<String, Part> {
        let mut part = |(name, value): (&String, &'a Value)| {
            let at = format!("{at}/{}", pointer::escape(name));
            (name.clone(), self.part(value, at))
        };
        fields.iter().map(&mut part).collect()
    }

    fn node(&mut self, value: &'a Value, at: &str) -> Result<Node, Error> {
        let mut node = Node { own: 1, ..Node::default() };
        let Value::Object(keywords) = value else { return Ok(node) };
        for (keyword, value) in keywords {
            let within = format!("{at}/{}", pointer::escape(keyword));
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => {
                    let target = pointer::resolve(self.schema, reference)?;
                    node.same.push(self.part(target, reference.clone()));
                }
                ("allOf" | "anyOf" | "oneOf" | "dependentSchemas" | "dependencies", values) => {
                    node.same.extend(self.parts(values, &within));
                }
                ("not" | "if" | "then" | "else", value) => node.same.push(self.part(value, within)),
                ("properties", Value::Object(fields)) => {
                    node.own += fields.len() as u64;
                    node.fields = self.named(fields, &within);
                }
                ("patternProperties", Value::Object(fields)) => {
                    for pattern in fields.keys() {
                        node.names_pattern = node.names_pattern.saturating_add(self.pattern(pattern, &within)?);
                    }
                    node.any_field.extend(self.parts(value, &within));
                }
                ("pattern", Value::String(pattern)) => node.pattern = self.pattern(pattern, &within)?,
                ("additionalProperties", value) => node.other_fields.push(self.part(value, within)),
                ("propertyNames", value) => node.names.push(self.part(value, within)),
                ("prefixItems", values) => node.positions.extend(self.parts(values, &within)),
                ("items", Value::Array(_)) => node.positions.extend(self.parts(value, &within)),
                ("items" | "additionalItems" | "contains", value) => node.elements.push(self.part(value, within)),
                // Not applied by themselves, but they have to keep the rules.
                ("definitions" | "$defs", Value::Object(fields)) => {
                    self.named(fields, &within);
                }
                ("uniqueItems", Value::Bool(true)) => node.unique = true,
                ("$id" | "$schema", _) if !at.is_empty() => return Err(Error::Embedded { at: within }),
                ("$dynamicRef" | "$recursiveRef" | "unevaluatedProperties" | "unevaluatedItems", _)
                    if self.draft == Draft::Draft202012 =>
                {
                    return Err(Error::Unsupported { at: within });
                }
                (_, value) => node.own = node.own.saturating_add(size(value)),
            }
        }
        Ok(node)
    }

    fn pattern(&mut self, text: &str, at: &str) -> Result<u64, Error> {
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            return Err(Error::TooManyPatterns);
        }
        let weight = pattern::weight(text).map_err(|why| Error::Unbounded { at: at.to_owned(), why })?;
        if weight > MAX_PATTERN_WEIGHT {
            return Err(Error::HeavyPattern { at: at.to_owned(), weight });
        }
        Ok(weight)
    }
}

/// What it takes to look at a whole value: one for each element, and one for each 64 bytes of text.
pub(super) fn size(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => text_size(text),
        Value::Array(items) => items.iter().fold(1, |sum, item| sum + size(item)),
        Value::Object(fields) => fields.iter().fold(1, |sum, (name, field)| sum + text_size(name) + size(field)),
    }
}

pub(super) fn text_size(text: &str) -> u64 {
    text.len() as u64 / 64 + 1
}

/// The parts so that each comes after all that apply it to the same value; there is such an order unless one comes back to itself.
fn order(nodes: &[Node], found: &[(&Value, String)]) -> Result<Vec<Part>, Error> {
    let mut pending = vec![0_usize; nodes.len()];
    nodes.iter().flat_map(|node| &node.same).for_each(|part| pending[*part] += 1);
    let mut order: Vec<Part> = (0..nodes.len()).filter(|part| pending[*part] == 0).collect();
    let mut next = 0;
    while let Some(part) = order.get(next).copied() {
        next += 1;
        for target in &nodes[part].same {
            pending[*target] -= 1;
            if pending[*target] == 0 {
                order.push(*target);
            }
        }
    }
    if order.len() == nodes.len() {
        return Ok(order);
    }
    // Every part that is left is applied by one that is left: going back ends up in a circle.
    let mut applied_by = vec![None; nodes.len()];
    for (part, node) in nodes.iter().enumerate().filter(|(part, _)| pending[*part] > 0) {
        node.same.iter().for_each(|target| applied_by[*target] = Some(part));
    }
    let mut at = pending.iter().position(|pending| *pending > 0).unwrap_or_default();
    for _ in 0..nodes.len() {
        at = applied_by[at].unwrap_or(at);
    }
    Err(Error::Endless { at: found[at].1.clone() })
}

fn sorted(nodes: Vec<Node>, order: &[Part]) -> Graph {
    let mut number = vec![0; nodes.len()];
    order.iter().enumerate().for_each(|(place, part)| number[*part] = place);
    let mut places: Vec<Node> = Vec::new();
    places.resize_with(nodes.len(), Node::default);
    for (part, mut node) in nodes.into_iter().enumerate() {
        let lists = [
            &mut node.same,
            &mut node.any_field,
            &mut node.other_fields,
            &mut node.names,
            &mut node.positions,
            &mut node.elements,
        ];
        lists.into_iter().flatten().chain(node.fields.values_mut()).for_each(|part| *part = number[*part]);
        places[number[part]] = node;
    }
    Graph { nodes: places, whole: number[0] }
}
