//! The same set of events gives the same bytes on every replica, whatever the order, duplication or delay.

use std::collections::BTreeMap;

use proptest::prelude::*;
use spool_db::{
    Target,
    testing::{
        NOW, Replica, Rooms, World, body,
        drafts::{self, Draft},
        oracle,
    },
};
use spool_proto::{LogId, clock::Time};

/// What happens in a case. Numbers are taken modulo whatever there is.
#[derive(Debug, Clone)]
enum Step {
    /// A writer commits a transaction, having seen what its replica has.
    Write { writer: u8, changes: Vec<(u8, Draft)>, cite: bool, drift: i8 },
    /// A replica gets more of a log.
    Deliver { replica: u8, log: u8, count: u8 },
    /// A replica folds one batch.
    Fold { replica: u8 },
    /// A replica starts again, or folds anew from nothing.
    Restart { replica: u8, rebuild: bool },
    /// A log is found to be forked.
    Fork { log: u8, at: u8 },
    /// A body is late at a replica.
    Late { replica: u8, log: u8, counter: u8 },
}

const LOGS: u8 = 5;

fn steps() -> impl Strategy<Value = Step> {
    let changes = prop::collection::vec((0u8..4, drafts::meeting()), 1..4);
    prop_oneof![
        8 => (0..LOGS, changes, any::<bool>(), -3i8..4).prop_map(|(writer, changes, cite, drift)| Step::Write { writer, changes, cite, drift }),
        8 => (any::<u8>(), 0..LOGS, 1u8..6).prop_map(|(replica, log, count)| Step::Deliver { replica, log, count }),
        4 => any::<u8>().prop_map(|replica| Step::Fold { replica }),
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
    seed: u64,
}

impl Case {
    fn new(replicas: u8) -> Self {
        let rooms = Rooms::default();
        let replicas = (1..=replicas).map(|room| rooms.replica(room)).collect();
        Self { rooms, replicas, times: BTreeMap::new(), forks: BTreeMap::new(), seed: 0 }
    }

    fn replica(&mut self, number: u8) -> &mut Replica {
        let index = usize::from(number) % self.replicas.len();
        &mut self.replicas[index]
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Write { writer, changes, cite, drift } => self.write(*writer, changes, *cite, *drift),
            Step::Deliver { replica, log, count } => {
                let log = World::log(*log);
                let length = self.rooms.world().logs().find(|(known, _)| *known == log).map_or(0, |(_, length)| length);
                let replica = self.replica(*replica);
                let until = (replica.delivered_of(&log) + u64::from(*count)).min(length);
                if until > 0 {
                    replica.deliver(log, until);
                }
            }
            Step::Fold { replica } => {
                self.replica(*replica).step(NOW);
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

    /// An honest writer stamps above all that it has seen; one that drifts backwards does not always.
    fn write(&mut self, writer: u8, changes: &[(u8, Draft)], cite: bool, drift: i8) {
        let log = World::log(writer);
        self.seed += 1;
        let replica = self.replica(writer);
        let others: Vec<_> =
            (0..LOGS).map(World::log).filter(|other| *other != log && replica.end(other) > 0).collect();
        let heads = others.iter().map(|other| (*other, replica.end(other)));
        let heads: Vec<_> = heads.filter(|_| cite).collect();
        let target = |id: u8| Target::new("things", id.to_string());
        let transaction = drafts::transaction(changes, target, |target| replica.document(target));
        let last = self.times.get(&log).copied().unwrap_or_default();
        let clock = NOW - 1_000 + self.seed / 3;
        let time = Time::after(last, clock.saturating_add_signed(i64::from(drift) * 2));
        // Now and then not even above the one before.
        let time = if drift == -3 { Time::new(clock - 10, 0) } else { time };
        self.times.insert(log, last.max(time));
        let mut world = self.rooms.world();
        let mut heads: Vec<_> = heads.iter().map(|(log, counter)| world.head(log, *counter)).collect();
        heads.sort_by_key(|head| head.log);
        let counter = world.append(log, time, heads, body(&transaction));
        drop(world);
        self.replica(writer).deliver(log, counter);
    }

    /// Everything reaches everybody.
    fn finish(&mut self) {
        let logs: Vec<_> = self.rooms.world().logs().collect();
        for replica in &mut self.replicas {
            for (log, length) in &logs {
                replica.deliver(*log, *length);
                (1..=*length).for_each(|counter| replica.set_missing(*log, counter, false));
            }
            self.forks.iter().for_each(|(log, at)| replica.fork(*log, *at));
            let progress = replica.settle();
            assert!(progress.held.is_empty(), "{:?}", progress.held);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn replicas_with_the_same_events_have_the_same_bytes(replicas in 2u8..6, steps in prop::collection::vec(steps(), 1..80)) {
        let mut case = Case::new(replicas);
        steps.iter().for_each(|step| case.take(step));
        case.finish();
        let expected = oracle::documents(&oracle::events(&case.replicas[0].delivered, NOW));
        for (number, replica) in case.replicas.iter().enumerate() {
            for (target, document) in &expected {
                prop_assert_eq!(&replica.document(target), document, "{} at replica {}", target.id, number);
            }
            prop_assert_eq!(replica.hash(), oracle::hash(&expected), "replica {}", number);
        }
    }
}
