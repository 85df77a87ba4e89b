//! Commands that are run and remembered, to see in the end that none was left out.

use std::collections::BTreeSet;

use serde_json::Value;
use spool_integration_tests::daemon::Repo;

/// Runs commands and remembers which.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) used: BTreeSet<(String, &'static str)>,
}

impl Walk {
    /// Runs `command` with `args`; its output as text.
    pub(super) fn text(&mut self, repo: &Repo, command: &str, args: &[&str]) -> String {
        self.used.insert((command.to_owned(), "text"));
        let words: Vec<&str> = command.split(' ').collect();
        repo.text(&[&words, args].concat())
    }

    /// The same with `--json`; all values that it prints.
    pub(super) fn json(&mut self, repo: &Repo, command: &str, args: &[&str]) -> Vec<Value> {
        self.used.insert((command.to_owned(), "json"));
        let words: Vec<&str> = command.split(' ').collect();
        repo.json(&[&words, args].concat())
    }

    /// One value with at least these fields.
    pub(super) fn fields(&mut self, repo: &Repo, command: &str, args: &[&str], fields: &[&str]) -> Value {
        let mut values = self.json(repo, command, args);
        assert_eq!(values.len(), 1, "{command} {args:?}: {values:?}");
        let value = values.remove(0);
        has_fields(&value, fields);
        value
    }

    /// Sees that every command below `path` was run, for people and for programs.
    pub(super) fn is_complete(&self, repo: &Repo, path: &[&str], without: &[&str]) {
        let all = listed(repo, path, without);
        assert!(all.len() >= 20, "{all:?}");
        // A script is a script, with or without --json.
        let json = all.iter().filter(|command| *command != "completions").map(|command| (command.clone(), "json"));
        let all: BTreeSet<_> = all.iter().map(|command| (command.clone(), "text")).chain(json).collect();
        assert_eq!(self.used, all, "commands of this test, and those that --help lists");
    }
}

pub(super) fn has_fields(value: &Value, fields: &[&str]) {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    for field in fields {
        assert!(object.contains_key(*field), "no {field} in {value}");
    }
}

pub(super) fn str_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

/// The commands that `--help` lists, with those below them, but for some.
fn listed(repo: &Repo, path: &[&str], without: &[&str]) -> BTreeSet<String> {
    let help = repo.text(&[path, &["--help"]].concat());
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        // Longer descriptions go on in lines that are indented further.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help" && !without.contains(name))
        .collect();
    let below = names.iter().flat_map(|name| {
        let path = [path, &[name]].concat();
        let mut below = listed(repo, &path, without);
        // `peers` does something by itself.
        if below.is_empty() || *name == "peers" {
            below.insert(path.join(" "));
        }
        below
    });
    below.collect()
}
