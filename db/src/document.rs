//! One document: what all changes of it, in their total order, come to.
//!
//! Changes are applied one after another, and each finds what the ones before it have left. That is the whole definition of merging: whoever applies the same
//! changes in the same order has the same document. Late changes are inserted by applying again from there on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::{
    limits::MAX_DOCUMENT_BYTES,
    operation::{Change, Observed},
    path::{self, Path},
    stamp::{Dot, Stamp},
};

mod fields;
mod marks;
mod size;
#[cfg(test)]
mod tests;

pub(crate) use fields::sum;
use marks::Mark;
pub use size::Size;
pub(crate) use size::size_of;

/// Whether a document exists. A register of its own: writing a field never changes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Existence {
    /// Nobody has created it. Fields that were written are kept for when somebody does.
    #[default]
    Unborn,
    /// It was created.
    Alive,
    /// It was deleted.
    Deleted,
}

/// A document, existing or not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Whether it exists.
    pub existence: Existence,
    /// The event that changed it last, in the total order.
    pub last: Option<Stamp>,
    /// Its fields, as they show.
    pub fields: Map<String, Value>,
    /// What the fields do not show: sets, and values side by side.
    marks: BTreeMap<Path, Mark>,
}

/// A document in its stored form.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// Where the map of its fields is.
    pub(crate) fields: std::ops::Range<usize>,
}

/// Paths of sets that have changed and do not show it yet: a set shows anew once for each event, not for each of its elements.
type Stale = BTreeSet<Path>;

/// Why a stored document cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a stored document does not decode")]
pub struct Damaged;

#[derive(Serialize, Deserialize)]
struct Stored(u64, Option<(u64, serde_bytes::ByteArray<32>, u64)>, Map<String, Value>, Vec<(Path, Mark)>);

/// The fields of a document as people see them.
pub(crate) fn with_own_fields(mut fields: Map<String, Value>, id: &str, last: Option<Stamp>) -> Map<String, Value> {
    fields.insert("_id".to_owned(), id.into());
    fields.insert("_mod".to_owned(), last.map_or(0, |last| last.modified()).into());
    fields
}

impl Document {
    /// Applies the changes that one event makes to this document, with their positions in the event.
    ///
    /// An event that would make the document larger than [`MAX_DOCUMENT_BYTES`] has no effect on it but for being its last; returns whether it had.
    pub fn apply<'a>(
        &mut self,
        stamp: Stamp,
        changes: impl IntoIterator<Item = (u32, &'a Change)>,
        size: &mut Size,
    ) -> bool {
        self.apply_within(stamp, changes, size, MAX_DOCUMENT_BYTES)
    }

    /// As [`apply`](Self::apply), with another bound.
    pub(crate) fn apply_within<'a>(
        &mut self,
        stamp: Stamp,
        changes: impl IntoIterator<Item = (u32, &'a Change)>,
        size: &mut Size,
        most: usize,
    ) -> bool {
        let changes: Vec<_> = changes.into_iter().collect();
        let grows = self.growth(&changes);
        let before = (size.0.saturating_add(grows) > most).then(|| self.clone());
        let mut stale = Stale::new();
        for (index, change) in &changes {
            self.change(&stamp, *index, change, &mut stale);
        }
        self.show_sets(stale);
        self.last = Some(stamp);
        size.0 = size.0.saturating_add(grows);
        if let Some(before) = before {
            let exact = self.to_bytes().len();
            if exact > most {
                *self = Self { last: self.last, ..before };
                return false;
            }
            size.0 = exact;
        }
        true
    }

    /// Applies one change, however large the document becomes. For looking at what it comes to.
    pub(crate) fn apply_unbounded(&mut self, stamp: Stamp, change: &Change) {
        let mut stale = Stale::new();
        self.change(&stamp, 0, change, &mut stale);
        self.show_sets(stale);
    }

    /// More than these changes can add to the stored size. Each array that becomes a set is counted once, however many elements are added to it.
    fn growth(&self, changes: &[(u32, &Change)]) -> usize {
        let sets = changes.iter().filter_map(|(_, change)| match change {
            Change::Add(path, _) | Change::Remove(path, _, _) => Some(path),
            _ => None,
        });
        let sets: BTreeSet<&Path> = sets.filter(|path| !matches!(self.marks.get(*path), Some(Mark::Set(_)))).collect();
        let marks: usize = sets.into_iter().filter_map(|path| path.get(&self.fields)).map(size::of_mark).sum();
        size::STAMP + marks + changes.iter().map(|(_, change)| size::bound(change)).sum::<usize>()
    }

    fn change(&mut self, stamp: &Stamp, index: u32, change: &Change, stale: &mut Stale) {
        let dot = Dot::new(stamp, index);
        let named = |dots: &[Dot]| dots.iter().map(|dot| dot.named_by(stamp)).collect::<Vec<_>>();
        match change {
            Change::Create(fields) => {
                if self.existence == Existence::Deleted {
                    self.fields.clear();
                    self.marks.clear();
                }
                self.existence = Existence::Alive;
                self.merge(fields);
            }
            Change::Set(path, Value::Object(fields)) if path.is_root() => self.merge(fields),
            Change::Set(path, value) => self.set(path, value),
            Change::Replace(path, value) => self.replace(path, value),
            Change::Unset(path) => {
                if fields::remove(&mut self.fields, path) {
                    self.drop_marks(path);
                }
            }
            Change::Increment(path, by) => self.increment(path, by),
            Change::Add(path, value) => self.add(path, value, dot, stale),
            Change::Remove(path, value, Observed { dots, plain }) => {
                self.remove(path, value, &Observed { dots: named(dots), plain: *plain }, stale);
            }
            Change::Keep(path, value, seen) => self.keep(path, value, &named(seen), dot),
            Change::Delete => self.existence = Existence::Deleted,
            Change::Undelete => {
                if self.existence == Existence::Deleted {
                    self.existence = Existence::Alive;
                }
            }
        }
    }

    fn merge(&mut self, fields: &Map<String, Value>) {
        fields.iter().for_each(|(name, value)| self.set(&Path::new([name.as_str()]), value));
    }

    /// A map is merged into a map; everything else takes the place of what was there.
    fn set(&mut self, path: &Path, value: &Value) {
        if let (Value::Object(fields), Some(Value::Object(_))) = (value, self.value(path)) {
            return fields.iter().for_each(|(name, value)| self.set(&path.child(name), value));
        }
        self.replace(path, value);
    }

    fn replace(&mut self, path: &Path, value: &Value) {
        self.drop_marks(path);
        match value {
            Value::Object(fields) if path.is_root() => self.fields = fields.clone(),
            value => fields::put(&mut self.fields, path, value.clone()),
        }
    }

    /// Whatever is not a number stays as it is: a sum with it has no meaning.
    fn increment(&mut self, path: &Path, by: &Number) {
        let sum = match self.value(path) {
            None | Some(Value::Null) if fields::has_room(&self.fields, path) => Some(by.clone()),
            Some(Value::Number(number)) => fields::sum(number, by),
            Some(_) | None => None,
        };
        if let Some(sum) = sum {
            self.drop_marks(path);
            fields::put(&mut self.fields, path, Value::Number(sum));
        }
    }

    fn add(&mut self, path: &Path, value: &Value, dot: Dot, stale: &mut Stale) {
        self.change_set(path, stale, |set| set.add(value, dot));
    }

    fn remove(&mut self, path: &Path, value: &Value, observed: &Observed, stale: &mut Stale) {
        // What is not a set has no elements to remove.
        if matches!(self.value(path), Some(Value::Array(_))) {
            self.change_set(path, stale, |set| set.remove(value, observed));
        }
    }

    fn keep(&mut self, path: &Path, value: &Value, seen: &[Dot], dot: Dot) {
        let mut values = match self.marks.remove(path) {
            Some(Mark::Values(values)) => values,
            Some(Mark::Set(_)) | None => Vec::new(),
        };
        values.retain(|(dot, _)| !seen.contains(dot));
        values.push((dot, value.clone()));
        self.show(path, Mark::Values(values));
    }

    /// Changes the set at a path; an array that was set as a whole becomes one, anything else makes way for an empty one. What shows of it is stale from then on.
    fn change_set(&mut self, path: &Path, stale: &mut Stale, act: impl FnOnce(&mut marks::Set)) {
        stale.insert(path.clone());
        if let Some(Mark::Set(set)) = self.marks.get_mut(path) {
            return act(set);
        }
        let mut set = match self.value(path) {
            Some(Value::Array(items)) => marks::Set::plain(items),
            Some(_) | None => marks::Set::default(),
        };
        act(&mut set);
        self.drop_marks(path);
        fields::put(&mut self.fields, path, Value::Array(Vec::new()));
        self.marks.insert(path.clone(), Mark::Set(set));
    }

    /// Shows sets as they are now, unless something else has taken their place.
    fn show_sets(&mut self, stale: Stale) {
        for path in stale {
            if let Some(mark @ Mark::Set(_)) = self.marks.get(&path) {
                fields::put(&mut self.fields, &path, mark.shown());
            }
        }
    }

    /// The value at a path as it shows, also where that is a position in a set whose changes do not show yet.
    fn value(&self, path: &Path) -> Option<&Value> {
        if self.marks.is_empty() {
            return path.get(&self.fields);
        }
        let names = path.names();
        let within = (1..names.len()).find_map(|length| match self.marks.get(&Path::new(&names[..length])) {
            Some(Mark::Set(set)) => Some((set, &names[length..])),
            Some(Mark::Values(_)) | None => None,
        });
        match within {
            None => path.get(&self.fields),
            Some((set, rest)) => {
                let (position, rest) = rest.split_first()?;
                path::within(set.at(position.parse().ok()?)?, rest)
            }
        }
    }

    fn show(&mut self, path: &Path, mark: Mark) {
        self.drop_marks(path);
        fields::put(&mut self.fields, path, mark.shown());
        self.marks.insert(path.clone(), mark);
    }

    /// What a value at `path` takes the place of: marks there, within, and of whatever it lies within.
    fn drop_marks(&mut self, path: &Path) {
        if self.marks.is_empty() {
            return;
        }
        let names = path.names();
        for length in 0..names.len() {
            self.marks.remove(&Path::new(&names[..length]));
        }
        // Those within follow it in their order.
        let within = self.marks.range::<Path, _>(path..).take_while(|(marked, _)| path.contains(marked));
        let within: Vec<Path> = within.map(|(marked, _)| marked.clone()).collect();
        for marked in within {
            self.marks.remove(&marked);
        }
    }

    /// Whether it exists.
    pub fn is_alive(&self) -> bool {
        self.existence == Existence::Alive
    }

    /// The values that stand side by side, by path; each with the operation that set it.
    pub fn conflicts(&self) -> impl Iterator<Item = (&Path, &[(Dot, Value)])> {
        self.marks.iter().filter_map(|(path, mark)| match mark {
            Mark::Values(values) if values.len() > 1 => Some((path, values.as_slice())),
            Mark::Values(_) | Mark::Set(_) => None,
        })
    }

    /// The operations that set what is at a path kept side by side: what a new value there replaces.
    pub fn seen(&self, path: &Path) -> Vec<Dot> {
        match self.marks.get(path) {
            Some(Mark::Values(values)) => values.iter().map(|(dot, _)| *dot).collect(),
            Some(Mark::Set(_)) | None => Vec::new(),
        }
    }

    /// What a removal of an element has to name.
    pub fn observed(&self, path: &Path, value: &Value) -> Observed {
        match (self.marks.get(path), path.get(&self.fields)) {
            (Some(Mark::Set(set)), _) => set.observed(value),
            (_, Some(Value::Array(items))) => Observed { dots: Vec::new(), plain: items.contains(value) },
            (_, _) => Observed::default(),
        }
    }

    /// The fields as people see them, with `_id` and `_mod`; none if it does not exist.
    pub fn shown(&self, id: &str) -> Option<Map<String, Value>> {
        self.is_alive().then(|| with_own_fields(self.fields.clone(), id, self.last))
    }

    /// The stored form: canonical, and the same on every peer.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode().bytes
    }

    /// The stored form, and where in it the fields are.
    pub(crate) fn encode(&self) -> Encoded {
        fn append(bytes: &mut Vec<u8>, value: &impl Serialize) {
            serde_ipld_dagcbor::to_writer(bytes, value)
                .expect("JSON values have a dag-cbor form, and a Vec takes every write");
        }
        let existence: u64 = match self.existence {
            Existence::Unborn => 0,
            Existence::Alive => 1,
            Existence::Deleted => 2,
        };
        let last = self.last.map(|last| (last.time.as_u64(), serde_bytes::ByteArray::new(last.log), last.counter));
        // An array of four.
        let mut bytes = vec![0x84];
        append(&mut bytes, &existence);
        append(&mut bytes, &last);
        let start = bytes.len();
        append(&mut bytes, &self.fields);
        let fields = start..bytes.len();
        append(&mut bytes, &self.marks.iter().collect::<Vec<_>>());
        Encoded { bytes, fields }
    }

    /// From the stored form.
    ///
    /// # Errors
    ///
    /// [`Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let Stored(existence, last, fields, marks) = serde_ipld_dagcbor::from_slice(bytes).map_err(|_| Damaged)?;
        let existence = match existence {
            0 => Existence::Unborn,
            1 => Existence::Alive,
            2 => Existence::Deleted,
            _ => return Err(Damaged),
        };
        let last = last.map(|(time, log, counter)| Stamp {
            time: spool_proto::clock::Time::from_u64(time),
            log: log.into_array(),
            counter,
        });
        Ok(Self { existence, last, fields, marks: marks.into_iter().collect() })
    }
}
