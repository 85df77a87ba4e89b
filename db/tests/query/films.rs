//! Real films.

use serde_json::{Map, Value, json};
use spool_db::query::{Options, Query, find, json};

use crate::memory::Memory;

const FILMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/movies.ndjson");

fn films(indexes: &[&str]) -> Memory {
    let mut memory = Memory::with_indexes(indexes);
    let text = std::fs::read_to_string(FILMS).unwrap();
    for (number, line) in text.lines().enumerate() {
        let fields: Map<String, Value> = serde_json::from_str(line).unwrap();
        // Ids in another order than the films.
        memory.insert(&format!("{:04}", number * 7_919 % 10_007), number as u64, &fields);
    }
    memory
}

fn questions() -> Vec<Query> {
    let filters = [
        "",
        "year >= 1985",
        "year >= 1985 and (genres contains Drama or title < C) and not exists extract",
        "genres contains Comedy and genres contains Horror",
        "title contains the",
        "genres = [\"Drama\"]",
        "cast = []",
        "year = 1984 or year = 1987 or title >= T",
        "not (year < 1983 or genres contains Drama)",
        "cast.0 >= M and year != 1980",
        "title = 1984",
        "false",
    ];
    let sorts = [
        json!([]),
        json!(["title"]),
        json!([{"year": "desc"}, "title"]),
        json!([{"year": "desc"}]),
        json!(["genres"]),
        json!(["cast.0", {"year": "desc"}]),
        json!([{"_id": "desc"}]),
    ];
    let bounds = [
        json!({}),
        json!({"limit": 10}),
        json!({"skip": 5, "limit": 10}),
        json!({"after": "0000", "limit": 20, "fields": ["title", "year"]}),
    ];
    let mut questions = Vec::new();
    for filter in filters {
        for sort in &sorts {
            for bound in &bounds {
                let mut question = bound.clone();
                question["where"] = filter.into();
                question["sort"] = sort.clone();
                questions.push(json::read(&question).unwrap());
            }
        }
    }
    questions
}

#[test]
fn every_plan_over_films_gives_the_answer_of_the_oracle() {
    for memory in [films(&[]), films(&["year", "genres", "title", "cast"]), films(&["year", "cast.0"])] {
        for question in questions() {
            crate::check(&question, &memory).unwrap();
        }
    }
}

#[test]
fn fantasies_of_the_late_eighties_are_found() {
    let memory = films(&["year"]);
    let query = r#"{"where": "year >= 1988 and genres contains Fantasy", "sort": [{"year": "desc"}, "title"], "fields": ["title"]}"#;
    let found = find(json::parse(query).unwrap(), &memory.indexes, &memory, Options::default()).unwrap();
    let titles: Vec<_> = found.iter().map(|film| film.fields["title"].as_str().unwrap()).collect();
    let expected =
        ["Field of Dreams", "The Little Mermaid", "Mac and Me", "Tommy Tricker and the Stamp Traveller", "Willow"];
    assert_eq!(titles, expected);
    assert!(found.iter().all(|film| film.fields.len() == 2));
}
