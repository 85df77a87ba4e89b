//! The arrows between the crates, as docs/architecture.md draws them: which crate may depend on which.
//!
//! The engine stays pure only as long as nothing impure can be reached from its crate, and a crate that may not know
//! another stays small. So both are checked here and not left to the reviewer.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Each crate of the workspace and those of ours that it may depend on, in any kind of dependency.
const ARROWS: &[(&str, &[&str])] = &[
    ("spool-proto", &[]),
    ("spool-store", &["spool-proto"]),
    ("spool-net", &["spool-proto"]),
    ("spool-db", &["spool-proto", "spool-store"]),
    ("spool-node", &["spool-proto", "spool-store", "spool-net", "spool-db"]),
    ("spool-integration-tests", &["spool-proto", "spool-store", "spool-net", "spool-db", "spool-node"]),
];

/// What must not be reachable from `proto`, however indirectly.
const IMPURE_CRATES: &[&str] = &[
    "async-std",
    "chrono",
    "libp2p",
    "libp2p-core",
    "libp2p-swarm",
    "librocksdb-sys",
    "mio",
    "rocksdb",
    "smol",
    "tokio",
];

/// What must not be named in the sources of `proto`: files, sockets, clocks, threads and a runtime.
const IMPURE_PATHS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "tokio",
    "SystemTime",
    "Instant::now",
    "rand::rng",
    "thread_rng",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(workspace()).output().context("run cargo")?;
    ensure!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

fn broken_arrows(metadata: &Value) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(targets) = allowed.get(name) else {
            broken.push(format!("{name} has no arrows: add it to this test and to docs/architecture.md"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let target = dependency["name"].as_str().unwrap_or_default();
            // A crate may name itself, to have its test helpers in its own tests.
            if target != name && allowed.contains_key(target) && !targets.contains(&target) {
                broken.push(format!("{name} -> {target}"));
            }
        }
    }
    broken
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Lines of code, not comments, and what they name.
fn impurities(source: &str) -> Vec<(usize, &str)> {
    let code = |line: &str| !line.trim_start().starts_with("//");
    let mut found: Vec<_> = source
        .lines()
        .enumerate()
        .filter(|(_, line)| code(line))
        .flat_map(|(number, line)| {
            IMPURE_PATHS.iter().filter(move |path| line.contains(**path)).map(move |path| (number + 1, *path))
        })
        .collect();
    found.extend(grouped_imports(source));
    found
}

/// The same for `use std::{fs, ..}`, where no line has the whole path.
fn grouped_imports(source: &str) -> Vec<(usize, &str)> {
    let modules: Vec<_> = IMPURE_PATHS.iter().filter_map(|path| Some((path.strip_prefix("std::")?, *path))).collect();
    let mut found = Vec::new();
    for (start, opening) in source.match_indices("use std::{") {
        let group = source[start + opening.len()..].split(';').next().unwrap_or_default();
        let line = source[..start].lines().count() + 1;
        let segments = group.split(|c: char| !c.is_alphanumeric() && c != '_');
        found.extend(segments.filter_map(|segment| {
            modules.iter().find(|(module, _)| *module == segment).map(|(_, path)| (line, *path))
        }));
    }
    found
}

#[test]
fn crates_depend_only_along_the_arrows() -> Result<()> {
    let metadata = serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])?)?;
    let broken = broken_arrows(&metadata);
    ensure!(broken.is_empty(), "not among the allowed arrows: {broken:#?}");
    Ok(())
}

#[test]
fn an_arrow_against_the_order_is_found() {
    let dependency = |name: &str| serde_json::json!({ "name": name });
    let metadata = serde_json::json!({ "packages": [
        { "name": "spool-proto", "dependencies": [dependency("serde"), dependency("spool-store")] },
        { "name": "spool-store", "dependencies": [dependency("spool-proto")] },
        { "name": "spool-new", "dependencies": [] },
    ]});
    let broken = broken_arrows(&metadata);
    assert_eq!(broken.len(), 2, "{broken:#?}");
    assert_eq!(broken[0], "spool-proto -> spool-store");
    assert!(broken[1].starts_with("spool-new has no arrows"));
}

/// Names of the crates that a package is built from, with the features that it asks for itself.
fn reachable(package: &str, edges: &str) -> Result<Vec<String>> {
    let tree = cargo(&["tree", "--package", package, "--edges", edges, "--prefix", "none", "--format", "{p}"])?;
    let names: Vec<String> = tree.lines().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
    ensure!(names.iter().any(|name| name == "libp2p-identity"), "cargo tree prints something else than it did: {tree}");
    Ok(names)
}

#[test]
fn nothing_impure_is_reachable_from_proto() -> Result<()> {
    let reachable = reachable("spool-proto", "normal")?;
    let impure: Vec<_> = IMPURE_CRATES.iter().filter(|name| reachable.iter().any(|found| found == *name)).collect();
    ensure!(impure.is_empty(), "proto reaches {impure:?}; find the way with: cargo tree -p spool-proto -i CRATE");
    Ok(())
}

/// Whoever folds events with a store of another kind, or fuzzes that, builds no C++ for it.
#[test]
fn rocksdb_is_not_reachable_from_db() -> Result<()> {
    let has_rocksdb = |package| {
        Ok::<_, anyhow::Error>(reachable(package, "normal,build")?.iter().any(|name| name == "librocksdb-sys"))
    };
    ensure!(has_rocksdb("spool-node")?, "nodes keep what they have in RocksDB");
    ensure!(!has_rocksdb("spool-db")?, "find the way with: cargo tree -p spool-db -i librocksdb-sys");
    Ok(())
}

#[test]
fn sources_of_proto_name_nothing_impure() -> Result<()> {
    let mut files = Vec::new();
    rust_files(&workspace().join("proto/src"), &mut files)?;
    ensure!(files.len() > 10, "found only {files:?}");
    let mut found = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file)?;
        found.extend(impurities(&source).iter().map(|(line, path)| format!("{}:{line}: {path}", file.display())));
    }
    ensure!(found.is_empty(), "time, entropy and input are arguments in proto: {found:#?}");
    Ok(())
}

#[test]
fn an_impure_line_is_found_and_a_comment_is_not() {
    let source = "use std::fs;\n// std::fs is not for us\nlet now = Instant::now();\nuse std::{\n    fmt,\n    net::IpAddr,\n};\n";
    assert_eq!(impurities(source), [(1, "std::fs"), (3, "Instant::now"), (4, "std::net")]);
    assert_eq!(impurities("use std::{collections::BTreeMap, fmt};\nlet fs = network;\n"), []);
}
