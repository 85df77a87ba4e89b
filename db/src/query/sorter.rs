//! The first of many documents in a given order, within bounded memory.

use std::cmp::Ordering;
use std::mem::size_of;

use serde_json::{Map, Value};

use crate::order::compare;
use crate::query::{ID, Query, Sort};

/// Bytes that one query holds, and may hold.
#[derive(Debug)]
pub(crate) struct Memory {
    used: usize,
    pub(crate) limit: usize,
}

/// The query needs more than it may hold.
#[derive(Debug)]
pub(crate) struct Exceeded;

impl Memory {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: 0, limit }
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.limit { Err(Exceeded) } else { Ok(()) }
    }

    pub(crate) fn give_back(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// About how much memory a value takes.
pub(crate) fn bytes_of(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(elements) => elements.iter().map(bytes_of).sum(),
            Value::Object(map) => bytes_of_map(map),
        }
}

/// About how much memory the fields of a map take.
pub(crate) fn bytes_of_map(map: &Map<String, Value>) -> usize {
    map.iter().map(|(name, value)| size_of::<String>() + name.len() + bytes_of(value)).sum()
}

/// In which order documents come: by some paths and then by id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) keys: Vec<Sort>,
    /// Whether ids descend: as the last of the keys does.
    pub(crate) descending: bool,
}

/// The place of a document in an order.
#[derive(Debug)]
pub(crate) struct Place {
    keys: Vec<Option<Value>>,
    pub(crate) id: String,
}

impl Order {
    /// The order that a query asks for. What follows `_id` does not matter, because no two documents share one.
    pub(crate) fn of(query: &Query) -> Self {
        let position = query.sort.iter().position(|sort| sort.path.names() == [ID]);
        let keys = query.sort[..position.unwrap_or(query.sort.len())].to_vec();
        let last = position.map_or(query.sort.last(), |position| query.sort.get(position));
        Self { keys, descending: last.is_some_and(|sort| sort.descending) }
    }

    /// The place of a document, of which the fields to sort by are enough.
    pub(crate) fn place(&self, id: &str, fields: &Map<String, Value>) -> Place {
        Place { keys: self.keys.iter().map(|sort| sort.path.get(fields).cloned()).collect(), id: id.to_owned() }
    }

    pub(crate) fn compare(&self, left: &Place, right: &Place) -> Ordering {
        let pairs = self.keys.iter().zip(left.keys.iter().zip(&right.keys));
        let by_key =
            pairs.map(|(sort, (left, right))| directed(compare(left.as_ref(), right.as_ref()), sort.descending));
        by_key.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| self.compare_ids(&left.id, &right.id))
    }

    pub(crate) fn compare_ids(&self, left: &str, right: &str) -> Ordering {
        directed(left.cmp(right), self.descending)
    }
}

fn directed(order: Ordering, descending: bool) -> Ordering {
    if descending { order.reverse() } else { order }
}

impl Place {
    /// The value by which documents are sorted first.
    pub(crate) fn first_key(&self) -> Option<&Value> {
        self.keys.first().and_then(Option::as_ref)
    }

    fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|key| key.as_ref().map_or(size_of::<Value>(), bytes_of)).sum();
        size_of::<Self>() + self.id.len() + keys
    }
}

/// Takes places in any order and gives the first of them back sorted.
#[derive(Debug)]
pub(crate) struct Sorter<'a> {
    order: &'a Order,
    /// How many are asked for.
    most: usize,
    /// Up to twice as many as are asked for; the later half is dropped whenever they are full, so that each place costs a constant time.
    places: Vec<Place>,
    /// Whether the last of the first `most` stands at its position, so that what comes after it can be refused.
    is_bounded: bool,
}

impl<'a> Sorter<'a> {
    pub(crate) fn new(order: &'a Order, most: usize) -> Self {
        Self { order, most, places: Vec::new(), is_bounded: false }
    }

    pub(crate) fn push(&mut self, place: Place, memory: &mut Memory) -> Result<(), Exceeded> {
        if self.most == 0 || (self.is_bounded && self.order.compare(&place, &self.places[self.most - 1]).is_gt()) {
            return Ok(());
        }
        let taken = memory.take(place.bytes());
        self.places.push(place);
        if self.places.len() >= self.most.saturating_mul(2) || (taken.is_err() && self.places.len() > self.most) {
            self.drop_last(memory);
            // What was dropped may be what was too much.
            return memory.take(0);
        }
        taken
    }

    fn drop_last(&mut self, memory: &mut Memory) {
        let order = self.order;
        self.places.select_nth_unstable_by(self.most - 1, |left, right| order.compare(left, right));
        self.is_bounded = true;
        let dropped: usize = self.places.drain(self.most..).map(|place| place.bytes()).sum();
        memory.give_back(dropped);
    }

    /// The first of all, sorted; the sorter is empty afterwards, and their memory counts as given back.
    pub(crate) fn take_sorted(&mut self, memory: &mut Memory) -> Vec<Place> {
        let mut places = std::mem::take(&mut self.places);
        self.is_bounded = false;
        memory.give_back(places.iter().map(Place::bytes).sum());
        places.sort_unstable_by(|left, right| self.order.compare(left, right));
        places.truncate(self.most);
        places
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Asks for fewer from now on.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::path::Path;

    fn order(descending: bool) -> Order {
        Order { keys: vec![Sort { path: Path::new(["a"]), descending }], descending }
    }

    fn place(order: &Order, number: u8, id: usize) -> Place {
        let Value::Object(fields) = json!({ "a": number }) else { unreachable!() };
        order.place(&format!("{id:04}"), &fields)
    }

    proptest! {
        #[test]
        fn the_first_places_come_out_sorted(numbers in proptest::collection::vec(0_u8..9, 0..60), most in 0_usize..20, descending: bool) {
            let order = order(descending);
            let mut memory = Memory::new(usize::MAX);
            let mut sorter = Sorter::new(&order, most);
            let mut expected = Vec::new();
            for (id, number) in numbers.into_iter().enumerate() {
                sorter.push(place(&order, number, id), &mut memory).unwrap();
                expected.push(place(&order, number, id));
            }
            expected.sort_by(|left, right| order.compare(left, right));
            expected.truncate(most);
            let ids = |places: Vec<Place>| places.into_iter().map(|place| place.id).collect::<Vec<_>>();
            prop_assert_eq!(ids(sorter.take_sorted(&mut memory)), ids(expected));
            prop_assert_eq!(memory.used, 0);
        }
    }

    #[test]
    fn more_than_the_memory_is_refused_but_not_if_fewer_are_asked_for() {
        let order = order(false);
        let each = place(&order, 1, 1).bytes();
        let fill = |most: usize| {
            let mut memory = Memory::new(each * 10);
            let mut sorter = Sorter::new(&order, most);
            (0..100).try_for_each(|id| sorter.push(place(&order, 1, id), &mut memory))
        };
        assert!(fill(usize::MAX).is_err());
        assert!(fill(10).is_ok());
        assert!(fill(11).is_err());
    }
}
