//! Collections: defined by events, checked where an event is made, indexed while everything else goes on.

use serde_json::{Map, Value, json};
use spool_db::{
    Change, Database, Operation, Path, Target, Transaction,
    collection::{Builder, Definition},
    query::{Options, Query, json},
    testing::{Local, NOW, Rooms, World, body},
    transaction::{Error, Write},
};
use spool_proto::clock::Time;

struct Rig {
    rooms: Rooms,
    database: Database,
    local: Local,
}

fn films() -> Builder {
    Builder::new("films").expect("a name")
}

fn film(id: u64) -> Target {
    Target::new("films", id.to_string())
}

fn map(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value} is no map") };
    map
}

impl Rig {
    fn new() -> Self {
        let rooms = Rooms::default();
        let (database, local) = rooms.database(1);
        Self { rooms, database, local }
    }

    fn defined(builder: Builder) -> Self {
        let rig = Self::new();
        rig.define(&builder.build());
        rig
    }

    fn define(&self, definition: &Definition) {
        self.commit(|write| write.define(definition)).expect("a good definition");
    }

    fn settle(&self) {
        while self.database.step(NOW, true).expect("folded").more {}
    }

    fn commit(&self, write: impl FnOnce(&mut Write<'_>) -> Result<(), Error>) -> Result<(), Error> {
        self.database.write(None, write, Box::new(|_| {}))?;
        self.local.append_queued();
        self.settle();
        Ok(())
    }

    fn create(&self, id: u64, fields: Value) -> Result<(), Error> {
        self.commit(|write| write.create(&film(id), map(fields)))
    }

    fn query(value: &Value) -> Query {
        json::read(value).expect("a query")
    }

    fn ids(&self, query: &Value) -> Vec<String> {
        let found = self.database.read(|read| read.find("films", Self::query(query), Options::default()));
        found.expect("answered").into_iter().map(|film| film.id).collect()
    }

    fn uses_index(&self, query: &Value) -> bool {
        self.database.read(|read| read.plan("films", Self::query(query)).expect("a plan").uses_index())
    }
}

#[test]
fn documents_are_written_to_collections_that_are_defined() {
    let rig = Rig::new();
    assert!(matches!(rig.create(1, json!({})), Err(Error::NoCollection(name)) if name == "films"));
    // In the same transaction as well.
    let definition = films().build();
    rig.commit(|write| {
        write.define(&definition)?;
        write.create(&film(1), Map::new())
    })
    .expect("it is defined first");
    let defined = rig.database.read(|read| read.definition("films")).expect("readable");
    assert_eq!(defined, Some(definition));
    rig.commit(|write| write.delete(&Target::new("_collections", "films"))).expect("it can be deleted");
    assert!(matches!(rig.create(2, json!({})), Err(Error::NoCollection(_))));
}

#[test]
fn a_schema_is_checked_where_the_event_is_made() {
    let schema = json!({"type": "object", "required": ["title"], "properties": {"year": {"type": "integer"}}});
    let rig = Rig::defined(films().schema(Some(schema)).expect("a schema"));
    rig.create(1, json!({"title": "Brazil", "year": 1985})).expect("as the schema says");
    let error = rig.create(2, json!({"title": "Brazil", "year": "1985"})).expect_err("a text is no integer");
    let Error::Schema { target, violations } = &error else { panic!("{error}") };
    assert_eq!((target, violations[0].path.as_str()), (&film(2), "year"));
    assert!(error.to_string().contains("year: "), "{error}");
    let unset = rig.commit(|write| write.update(&film(1), [Change::Unset(Path::new(["title"]))]));
    assert!(matches!(unset, Err(Error::Schema { .. })));
    rig.commit(|write| write.delete(&film(1))).expect("what does not exist needs no title");
    // A transaction is checked as it ends, not on its way.
    rig.commit(|write| {
        write.create(&film(3), map(json!({"year": 1})))?;
        write.set(&film(3), Path::new(["title"]), "late".into())
    })
    .expect("in the end it has a title");
}

/// Of two definitions at once the second is tried again on what the first has made of it; also where it found that nothing is to be changed, which was let through.
#[test]
fn of_two_definitions_at_once_the_second_is_tried_again() {
    let both = films().index("a", false).and_then(|films| films.index("b", false)).expect("paths");
    let rig = Rig::defined(both.clone());
    let begin = |builder: &Builder| {
        let definition = builder.clone().build();
        rig.database.write(None, |write| write.define(&definition), Box::new(|_| {}))
    };
    let settle = || {
        rig.local.append_queued();
        rig.settle();
    };
    let indexes = || {
        let definition = rig.database.read(|read| read.definition("films")).expect("readable").expect("defined");
        definition.indexes.iter().map(|index| index.path.to_string()).collect::<Vec<_>>()
    };
    let without = |path: &str| both.clone().without_index(path).expect("there");
    begin(&without("a")).expect("queued");
    for late in [without("b"), both.clone()] {
        assert!(matches!(begin(&late), Err(Error::Conflict(_))), "{late:?}");
    }
    settle();
    assert_eq!(indexes(), ["b"]);
    begin(&both).expect("queued");
    settle();
    assert_eq!(indexes(), ["a", "b"]);
    // The same for who has it open for longer.
    let open = rig.database.write(
        None,
        |write| {
            let before = write.definition("films")?.expect("defined");
            begin(&without("a"))?;
            settle();
            write.define(&Builder::from(before).keep_both("c")?.build())
        },
        Box::new(|_| {}),
    );
    assert!(matches!(open, Err(Error::Conflict(_))), "{open:?}");
    // And for a collection that is made twice.
    let other = |path: &str| Builder::new("others").and_then(|others| others.index(path, false)).expect("a path");
    begin(&other("a")).expect("queued");
    assert!(matches!(begin(&other("b")), Err(Error::Conflict(_))));
    settle();
}

#[test]
fn what_others_wrote_stays_even_if_the_schema_says_otherwise() {
    let schema = json!({"type": "object", "required": ["title"]});
    let rig = Rig::defined(films().schema(Some(schema)).expect("a schema"));
    let operation = Operation::Change(film(9), Change::Create(map(json!({"no": "title"}))));
    let transaction = Transaction { reverts: None, operations: vec![operation] };
    let log = World::log(77);
    rig.rooms.world().append(log, Time::new(NOW - 5, 0), Vec::new(), body(&transaction));
    rig.local.delivered.deliver(log, 1);
    rig.settle();
    assert_eq!(rig.ids(&json!({})), ["9"]);
}

#[test]
fn an_index_is_kept_with_the_documents() {
    let rig = Rig::defined(films().index("year", false).expect("a path"));
    for id in 0..300u64 {
        rig.create(id, json!({"year": 1900 + id % 100})).expect("created");
    }
    let of = |year: u64| json!({"where": {"year": {"=": year}}});
    assert!(rig.uses_index(&of(1950)));
    assert_eq!(rig.ids(&of(1950)), ["150", "250", "50"]);
    rig.commit(|write| write.set(&film(150), Path::new(["year"]), 2000.into())).expect("changed");
    rig.commit(|write| write.delete(&film(250))).expect("deleted");
    assert_eq!((rig.ids(&of(1950)), rig.ids(&of(2000))), (vec!["50".to_owned()], vec!["150".to_owned()]));
    rig.commit(|write| write.undelete(&film(250))).expect("undeleted");
    assert_eq!(rig.ids(&of(1950)), ["250", "50"]);
    rig.database.rebuild().expect("cleared");
    rig.settle();
    assert!(rig.uses_index(&of(1950)));
    assert_eq!(rig.ids(&of(1950)), ["250", "50"]);
}

#[test]
fn an_index_is_built_over_what_is_there_while_writes_go_on_and_dropped_again() {
    let rig = Rig::defined(films());
    for page in 0..50u64 {
        rig.commit(|write| {
            (0..100).try_for_each(|id| write.create(&film(100 * page + id), map(json!({"n": id, "tags": [id % 7]}))))
        })
        .expect("created");
    }
    let of = json!({"where": {"n": {"=": 42}}});
    let expected = rig.ids(&of);
    assert_eq!(expected.len(), 50);
    assert!(!rig.uses_index(&of));
    // Step by step, with a change before each.
    rig.database
        .write(None, |write| write.define(&films().index("n", false).expect("a path").build()), Box::new(|_| {}))
        .expect("defined");
    rig.local.append_queued();
    let mut steps = 0u64;
    while rig.database.step(NOW, true).expect("folded").more {
        let (new, old) = (film(10_000 + steps), film(4_999 - steps));
        rig.database
            .write(
                None,
                |write| {
                    write.create(&new, map(json!({"n": 42})))?;
                    write.set(&old, Path::new(["n"]), 42.into())
                },
                Box::new(|_| {}),
            )
            .expect("written");
        if steps < 2 {
            rig.local.append_queued();
        }
        steps += 1;
        assert!(steps < 100, "it comes to an end");
    }
    assert!(steps > 2, "built in {steps} steps");
    rig.local.append_queued();
    rig.settle();
    assert!(rig.uses_index(&of));
    assert_eq!(rig.ids(&of).len() as u64, 50 + 2 * steps);

    rig.define(&films().build());
    assert!(!rig.uses_index(&of));
    assert_eq!(rig.ids(&of).len() as u64, 50 + 2 * steps);
    rig.define(&films().index("n", false).expect("a path").build());
    assert!(rig.uses_index(&of));
    assert_eq!(rig.ids(&of).len() as u64, 50 + 2 * steps);
}

/// Neither is a field of the document as it is stored.
#[test]
fn the_time_of_the_last_change_and_the_id_have_indexes_as_well() {
    let rig = Rig::defined(films().index("_mod", false).expect("a path").index("_id", false).expect("a path"));
    for id in 0..9 {
        rig.create(id, json!({})).expect("created");
    }
    let time = |id: u64| {
        let shown = rig.database.read(|read| read.get(&film(id))).expect("readable").expect("there");
        shown["_mod"].clone()
    };
    let since = json!({"where": {"_mod": {">": time(5)}}, "sort": [{"_mod": "desc"}], "index": "_mod"});
    assert_eq!(rig.ids(&since), ["8", "7", "6"]);
    let then = time(8);
    rig.commit(|write| write.set(&film(2), Path::new(["n"]), 1.into())).expect("set");
    let since = json!({"where": {"_mod": {">=": then}}, "index": "_mod"});
    assert_eq!(rig.ids(&since), ["2", "8"]);
    assert_eq!(rig.ids(&json!({"where": {"_id": {">": "6"}}, "index": "_id"})), ["7", "8"]);
}

#[test]
fn no_two_documents_made_here_have_one_unique_value() {
    let rig = Rig::defined(films().index("title", true).expect("a path"));
    rig.create(1, json!({"title": "Brazil"})).expect("the first");
    let error = rig.create(2, json!({"title": "Brazil"})).expect_err("taken");
    assert!(matches!(&error, Error::Duplicate { other, .. } if other == "1"), "{error}");
    rig.create(3, json!({})).expect("nothing is not a value");
    rig.create(4, json!({"title": null})).expect("neither is null");
    rig.create(5, json!({"title": null})).expect("any number of times");
    let both = rig.commit(|write| {
        write.create(&film(6), map(json!({"title": "Ran"})))?;
        write.create(&film(7), map(json!({"title": "Ran"})))
    });
    assert!(matches!(both, Err(Error::Duplicate { .. })));
    rig.commit(|write| {
        write.set(&film(1), Path::new(["title"]), "Jabberwocky".into())?;
        write.create(&film(8), map(json!({"title": "Brazil"})))
    })
    .expect("given up and taken in one transaction");
    rig.commit(|write| write.delete(&film(8))).expect("deleted");
    rig.create(9, json!({"title": "Brazil"})).expect("free again");
    // One on its way counts, too.
    let queue = |id: u64| {
        rig.database.write(None, |write| write.create(&film(id), map(json!({"title": "Kagemusha"}))), Box::new(|_| {}))
    };
    queue(10).expect("the first");
    assert!(matches!(queue(11), Err(Error::Conflict(target)) if target == film(10)));
    // Long titles share a key and are not the same.
    let long = "x".repeat(1_000);
    rig.create(12, json!({"title": format!("{long}1")})).expect("one");
    rig.create(13, json!({"title": format!("{long}2")})).expect("another");
    assert!(matches!(rig.create(14, json!({"title": format!("{long}2")})), Err(Error::Duplicate { .. })));
    // One number, however it is written.
    rig.create(15, json!({"title": 1})).expect("a number");
    assert!(matches!(rig.create(16, json!({"title": 1.0})), Err(Error::Duplicate { .. })));
}

#[test]
fn a_field_may_keep_both_of_two_concurrent_values() {
    let rig = Rig::defined(films().keep_both("title").expect("a path"));
    rig.create(1, json!({"title": "Brazil"})).expect("created");
    let (other, there) = rig.rooms.database(2);
    let logs: Vec<_> = rig.rooms.world().logs().collect();
    logs.iter().for_each(|(log, until)| there.delivered.deliver(*log, *until));
    while other.step(NOW, true).expect("folded").more {}
    let set = |database: &Database, local: &Local, title: &'static str| {
        let write = |write: &mut Write<'_>| write.set(&film(1), Path::new(["title"]), title.into());
        database.write(None, write, Box::new(|_| {})).expect("written");
        local.append_queued();
    };
    set(&rig.database, &rig.local, "one");
    set(&other, &there, "two");
    let logs: Vec<_> = rig.rooms.world().logs().collect();
    for (database, local) in [(&rig.database, &rig.local), (&other, &there)] {
        logs.iter().for_each(|(log, until)| local.delivered.deliver(*log, *until));
        while database.step(NOW, true).expect("folded").more {}
        let document = database.read(|read| read.document(&film(1))).expect("readable");
        let (path, values) = document.conflicts().next().expect("a conflict");
        let values: Vec<_> = values.iter().map(|(_, value)| value.as_str().expect("a title")).collect();
        assert_eq!((path, values), (&Path::new(["title"]), vec!["one", "two"]));
    }
    set(&other, &there, "resolved");
    while other.step(NOW, true).expect("folded").more {}
    let document = other.read(|read| read.document(&film(1))).expect("readable");
    assert_eq!((document.conflicts().count(), &document.fields["title"]), (0, &json!("resolved")));
}
