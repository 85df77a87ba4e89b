//! Queries over documents as the view stores them. What queries mean is tested against an oracle elsewhere; here it is whether the view hands over the right documents.

use serde_json::{Map, Value, json};
use spool_db::{
    Database, Target,
    collection::Builder,
    query::{Options, Query, json},
    testing::{Local, NOW, Rooms},
    transaction::{Error, Write},
};

fn films() -> Vec<Map<String, Value>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/movies.ndjson");
    let text = std::fs::read_to_string(path).expect("the sample is there");
    text.lines().map(|line| serde_json::from_str(line).expect("a film")).collect()
}

fn commit(database: &Database, local: &Local, write: impl FnOnce(&mut Write<'_>) -> Result<(), Error>) {
    database.write(None, write, Box::new(|_| {})).expect("a good transaction");
    local.append_queued();
    while database.step(NOW, true).expect("folded").more {}
}

fn define(database: &Database, local: &Local, names: &[&str]) {
    commit(database, local, |write| {
        names.iter().try_for_each(|name| write.define(&Builder::new(name).expect("a name").build()))
    });
}

fn query(value: &Value) -> Query {
    json::read(value).expect("a query")
}

#[test]
fn the_view_answers_as_the_films_themselves() {
    let rooms = Rooms::default();
    let (database, local) = rooms.database(1);
    define(&database, &local, &["films", "film", "films-too"]);
    let films = films();
    assert!(films.len() > 300, "{} films", films.len());
    for (page, films) in films.chunks(100).enumerate() {
        let films = films.to_vec();
        commit(&database, &local, move |write| {
            for (number, film) in films.into_iter().enumerate() {
                write.create(&Target::new("films", format!("{:04}", 100 * page + number)), film)?;
            }
            // Neighbours, which are not to be found.
            write.create(&Target::new("film", page.to_string()), Map::new())?;
            write.create(&Target::new("films-too", page.to_string()), Map::new())
        });
    }
    commit(&database, &local, |write| write.delete(&Target::new("films", "0003")));
    let year = |film: &Map<String, Value>| film.get("year").and_then(Value::as_u64).unwrap_or(0);
    let titles = |query: Query| -> Vec<String> {
        let found = database.read(|read| read.find("films", query, Options::default())).expect("answered");
        found.into_iter().map(|film| film.fields["title"].as_str().expect("a title").to_owned()).collect()
    };
    let title = |film: &Map<String, Value>| film["title"].as_str().expect("a title").to_owned();
    let alive: Vec<_> = films.iter().enumerate().filter(|(number, _)| *number != 3).map(|(_, film)| film).collect();

    let all: Vec<_> = alive.iter().map(|film| title(film)).collect();
    assert_eq!(titles(query(&json!({}))), all, "in the order of their ids, without the deleted one and the neighbours");
    let some: Vec<_> = alive.iter().filter(|film| year(film) >= 1985).map(|film| title(film)).collect();
    assert!(some.len() > 20 && some.len() < all.len());
    assert_eq!(titles(query(&json!({"where": {"year": {">=": 1985}}}))), some);
    let first = titles(query(&json!({"sort": [{"title": "asc"}], "limit": 5})));
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(first, sorted[..5]);
    assert_eq!(titles(query(&json!({"after": "0310"}))), all[310..]);
    assert_eq!(titles(query(&json!({"where": {"_id": {"=": "0004"}}}))), [title(&films[4])]);
    assert!(titles(query(&json!({"where": {"_id": {"=": "0003"}}}))).is_empty());
    let backwards = titles(query(&json!({"sort": [{"_id": "desc"}], "limit": 2})));
    assert_eq!(backwards, [all[all.len() - 1].clone(), all[all.len() - 2].clone()]);
    let recent = database.read(|read| {
        let query = query(&json!({"where": {"_mod": {">": 1_000_000 * (NOW - 10_000)}}, "limit": 1}));
        read.find("films", query, Options::default())
    });
    assert_eq!(recent.expect("answered").len(), 1);
    assert_eq!(database.count("films").expect("counted"), all.len() as u64);
}

#[test]
fn a_query_that_needs_too_much_memory_is_refused_by_name() {
    let rooms = Rooms::default();
    let (database, local) = rooms.database(1);
    define(&database, &local, &["films"]);
    commit(&database, &local, |write| {
        (0..100).try_for_each(|id| write.create(&Target::new("films", id.to_string()), Map::new()))
    });
    let sorted = || query(&json!({"sort": [{"a": "asc"}]}));
    let error = database.read(|read| read.find("films", sorted(), Options { memory: 1_000 })).expect_err("too much");
    let why = std::error::Error::source(&error).expect("a reason").to_string();
    assert!(error.to_string().contains("films") && why.contains("memory"), "{error}: {why}");
    assert_eq!(database.read(|read| read.find("films", sorted(), Options::default())).expect("answered").len(), 100);
}
