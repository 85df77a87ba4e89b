//! The same set of events gives the same verdicts and the same bytes on every replica, whatever the order, duplication or delay; as they were found by looking at
//! all events at once.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value, json};
use spool_db::{
    Change, Operation, Target, Transaction,
    limits::PAST_PATIENCE_MILLIS,
    testing::{
        BROUGHT_TOGETHER, NOW, Replica, Rooms, World, body,
        drafts::{self, Draft},
        nowhere, oracle,
        rules::{self, Words},
    },
};
use spool_proto::{LogId, clock::Time, event::CitedHead};

/// What happens in a case. Numbers are taken modulo whatever there is.
#[derive(Debug, Clone)]
enum Step {
    /// A writer commits a transaction, having seen what its replica has.
    Write { writer: u8, changes: Vec<(u8, Draft)>, cite: u8, drift: i8 },
    /// A writer changes the definition of a collection, and perhaps a document with it.
    Define { writer: u8, collection: u8, rule: Option<Value>, change: Option<(u8, Draft)>, cite: u8 },
    /// A replica gets more of a log.
    Deliver { replica: u8, log: u8, count: u8 },
    /// A replica folds one batch, some time later perhaps.
    Fold { replica: u8, later: bool },
    /// A replica starts again, or folds anew from nothing.
    Restart { replica: u8, rebuild: bool },
    /// A log is found to be forked.
    Fork { log: u8, at: u8 },
    /// A body is late at a replica.
    Late { replica: u8, log: u8, counter: u8 },
}

const LOGS: u8 = 5;
/// What is cited: nothing (0 to 2); else all that is here, and with it a record that nobody has (3, 4) or one that is not here yet (5).
const CITES: u8 = 12;

fn rules() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        5 => prop::sample::select(vec!["3", "2", "5"]).prop_map(|rule| Some(json!(rule))),
        2 => Just(Some(json!("owner"))),
        2 => Just(Some(json!("yes"))),
        1 => prop::sample::select(vec![json!("no"), json!(null), json!(7), json!({"a": 1}), json!("?")]).prop_map(Some),
        1 => Just(None),
    ]
}

fn changes() -> impl Strategy<Value = Draft> {
    prop_oneof![
        4 => drafts::meeting(),
        2 => prop::sample::select(vec![json!({"n": 1}), json!({"a": {"b": 1}, "n": 0})]).prop_map(Draft::Create),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let some = prop::collection::vec((0u8..4, changes()), 1..4);
    let one = prop::option::weighted(0.3, (0u8..4, changes()));
    prop_oneof![
        10 => (0..LOGS, some, 0..CITES, -3i8..4).prop_map(|(writer, changes, cite, drift)| Step::Write { writer, changes, cite, drift }),
        3 => (0..LOGS, 0u8..2, rules(), one, 0..CITES).prop_map(|(writer, collection, rule, change, cite)| Step::Define { writer, collection, rule, change, cite }),
        8 => (any::<u8>(), 0..LOGS, 1u8..6).prop_map(|(replica, log, count)| Step::Deliver { replica, log, count }),
        5 => (any::<u8>(), prop::bool::weighted(0.2)).prop_map(|(replica, later)| Step::Fold { replica, later }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(replica, rebuild)| Step::Restart { replica, rebuild }),
        1 => (0..LOGS, any::<u8>()).prop_map(|(log, at)| Step::Fork { log, at }),
        1 => (any::<u8>(), 0..LOGS, any::<u8>()).prop_map(|(replica, log, counter)| Step::Late { replica, log, counter }),
    ]
}

struct Case {
    rooms: Rooms,
    replicas: Vec<Replica>,
    /// Greatest time of each log.
    times: BTreeMap<LogId, Time>,
    forks: BTreeMap<LogId, u64>,
    clocks: Vec<u64>,
    seed: u64,
}

/// Documents 0 and 1 are in one collection, 2 and 3 in another.
fn target(number: u8) -> Target {
    Target::new(collection(number / 2), number.to_string())
}

fn collection(number: u8) -> &'static str {
    ["things", "others"][usize::from(number) % 2]
}

impl Case {
    fn new(replicas: u8) -> Self {
        let rooms = Rooms::default();
        let clocks = vec![NOW; usize::from(replicas)];
        let replicas = (1..=replicas).map(|room| rooms.judging(room, Some(Arc::new(Words)))).collect();
        Self { rooms, replicas, times: BTreeMap::new(), forks: BTreeMap::new(), clocks, seed: 0 }
    }

    fn replica(&mut self, number: u8) -> &mut Replica {
        let index = usize::from(number) % self.replicas.len();
        &mut self.replicas[index]
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write { writer, changes, cite, drift } => {
                let replica = self.replica(*writer);
                let mut transaction = drafts::transaction(changes, target, |target| replica.document(target));
                self.own(*writer, &mut transaction);
                self.write(*writer, &transaction, *cite, *drift);
            }
            Step::Define { writer, collection: number, rule, change, cite } => {
                let definition = Target::new("_collections", collection(*number));
                let change_of = |change: &Option<Value>| match change {
                    Some(rule) => Change::Replace(drafts::path("validator"), rule.clone()),
                    None => Change::Delete,
                };
                let mut operations = vec![
                    Operation::Change(definition.clone(), Change::Create(Default::default())),
                    Operation::Change(definition, change_of(rule)),
                ];
                let replica = self.replica(*writer);
                let changes: Vec<_> = change.iter().cloned().collect();
                operations.extend(drafts::transaction(&changes, target, |target| replica.document(target)).operations);
                let mut transaction = Transaction { reverts: None, operations };
                self.own(*writer, &mut transaction);
                self.write(*writer, &transaction, *cite, 0);
            }
            Step::Deliver { replica, log, count } => {
                let log = World::log(*log);
                let length = self.rooms.world().logs().find(|(known, _)| *known == log).map_or(0, |(_, length)| length);
                let replica = self.replica(*replica);
                let until = (replica.delivered_of(&log) + u64::from(*count)).min(length);
                if until > 0 {
                    replica.deliver(log, until);
                }
            }
            Step::Fold { replica, later } => {
                let index = usize::from(*replica) % self.replicas.len();
                if *later {
                    self.clocks[index] += PAST_PATIENCE_MILLIS;
                }
                self.replicas[index].step(self.clocks[index]);
            }
            Step::Restart { replica, rebuild } => {
                let replica = self.replica(*replica);
                if *rebuild { replica.rebuild() } else { replica.restart() }
            }
            Step::Fork { log, at } => {
                let log = World::log(*log);
                let at = u64::from(*at) % 8 + 1;
                let fork = self.forks.entry(log).or_insert(at);
                *fork = at.min(*fork);
                let at = *fork;
                // Some learn it at once, the others in the end.
                self.replicas.iter().step_by(2).for_each(|replica| replica.fork(log, at));
            }
            Step::Late { replica, log, counter } => {
                let (log, counter) = (World::log(*log), u64::from(*counter) % 8 + 1);
                let replica = self.replica(*replica);
                if replica.delivered_of(&log) < counter {
                    replica.set_missing(log, counter, true);
                }
            }
        }
    }

    /// Whoever creates a document says whose it is.
    fn own(&self, writer: u8, transaction: &mut Transaction) {
        let key = spool_proto::IdentityKey::from_bytes(World::log(writer).public_key()).expect("a key");
        for operation in &mut transaction.operations {
            if let Operation::Change(_, Change::Create(fields)) = operation {
                fields.insert("owner".to_owned(), key.to_string().into());
            }
        }
    }

    /// An honest writer stamps above all that it has seen; one that drifts backwards does not always.
    fn write(&mut self, writer: u8, transaction: &Transaction, cite: u8, drift: i8) {
        let log = World::log(writer);
        self.seed += 1;
        let seed = self.seed;
        let replica = self.replica(writer);
        let others: Vec<_> = (0..LOGS).map(World::log).filter(|other| *other != log).collect();
        let heads = others.iter().map(|other| (*other, replica.end(other))).filter(|(_, end)| *end > 0);
        let seen: Vec<_> = heads.filter(|_| cite > 2).collect();
        let last = self.times.get(&log).copied().unwrap_or_default();
        let clock = NOW - 1_000 + seed / 3;
        let time = Time::after(last, clock.saturating_add_signed(i64::from(drift) * 2));
        // Now and then not even above the one before.
        let time = if drift == -3 { Time::new(clock - 10, 0) } else { time };
        self.times.insert(log, last.max(time));
        let mut world = self.rooms.world();
        let mut heads: Vec<_> = seen.iter().map(|(log, counter)| world.head(log, *counter)).collect();
        let other = others[seed as usize % others.len()];
        let bogus = match cite {
            3 => Some((other, seed % 9 + 1, nowhere(seed as u8))),
            4 => Some((World::log(77), 1, nowhere(seed as u8))),
            // The last that was written there, whether it was delivered or not.
            5 => Some(replica_end(&world, &other)).filter(|end| *end > 0).map(|end| {
                let head = world.head(&other, end);
                (head.log, head.counter, head.cid)
            }),
            _ => None,
        };
        if let Some((log, counter, cid)) = bogus {
            heads.retain(|head: &CitedHead| head.log != log);
            heads.push(CitedHead { log, counter, cid });
        }
        heads.sort_by_key(|head| head.log);
        let counter = world.append(log, time, heads, body(transaction));
        drop(world);
        self.replica(writer).deliver(log, counter);
    }

    /// Everything reaches everybody.
    fn finish(&mut self) {
        let logs: Vec<_> = self.rooms.world().logs().collect();
        for (replica, clock) in self.replicas.iter_mut().zip(&self.clocks) {
            for (log, length) in &logs {
                replica.deliver(*log, *length);
                (1..=*length).for_each(|counter| replica.set_missing(*log, counter, false));
            }
            self.forks.iter().for_each(|(log, at)| replica.fork(*log, *at));
            replica.settle_at(*clock);
            // What nobody has never comes.
            let progress = replica.settle_at(clock + PAST_PATIENCE_MILLIS);
            let held: Vec<_> = progress.held.iter().collect();
            let progress =
                if held.is_empty() { progress } else { replica.settle_at(clock + 100 * PAST_PATIENCE_MILLIS) };
            assert!(progress.held.is_empty(), "{:?}", progress.held);
        }
    }
}

fn replica_end(world: &World, log: &LogId) -> u64 {
    world.logs().find(|(known, _)| known == log).map_or(0, |(_, length)| length)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn replicas_with_the_same_events_have_the_same_verdicts(replicas in 2u8..5, steps in prop::collection::vec(steps(), 1..90)) {
        let mut case = Case::new(replicas);
        steps.iter().for_each(|step| case.take(step));
        case.finish();
        let outcome = rules::outcome(&case.replicas[0].delivered, NOW, &Words, BROUGHT_TOGETHER);
        let expected = oracle::documents(&outcome.events);
        for (number, replica) in case.replicas.iter().enumerate() {
            prop_assert_eq!(&replica.denied(), &outcome.denied, "replica {}", number);
            for (target, document) in &expected {
                prop_assert_eq!(&replica.document(target), document, "{:?} at replica {}", target, number);
            }
            prop_assert_eq!(replica.hash(), oracle::hash(&expected), "replica {}", number);
        }
    }
}
