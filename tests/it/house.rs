//! The invariants of the README, checked on the sources. Every rule carries a line that breaks it and one that does not,
//! and is tried on both.

mod rules;
mod source;

use std::{collections::BTreeSet, fs, path::Path};

use rules::RULES;
use source::Source;

#[test]
fn the_sources_keep_the_rules_of_the_house() {
    let sources = tree();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
    let broken = RULES
        .iter()
        .flat_map(|rule| sources.iter().map(move |source| (rule, source)))
        .flat_map(|(rule, source)| rule.broken(source).into_iter().map(move |line| (rule, source, line)))
        .map(|(rule, source, line)| format!("{}:{line}: {}", source.path, rule.says))
        .collect::<Vec<_>>();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_rule_notices_when_it_is_broken() {
    for rule in RULES {
        for (path, text) in rule.breaks {
            assert!(!rule.broken(&Source::new(path, text)).is_empty(), "not noticed in {path}: {text}\n{}", rule.says);
        }
        for (path, text) in rule.keeps {
            let broken = rule.broken(&Source::new(path, text));
            assert!(broken.is_empty(), "noticed in {path}: {text}\n{}", rule.says);
        }
    }
}

#[test]
fn the_map_of_the_modules_names_files_that_exist() {
    let files = tree().into_iter().map(|source| source.path).collect::<BTreeSet<_>>();
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules = map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    for module in modules {
        assert!(files.contains(&format!("src/{module}.rs")), "{module}");
    }
}

/// Those that nobody with an identity asks, or that change nothing of users, groups, roles, jobs or operations.
const WITHOUT_A_KEY: [&str; 7] = [
    "/oauth/token",
    "/oauth/revoke",
    "/refreshtoken",
    "/logout",
    "/users/me/change-password",
    "RESET",
    "/ums-config/{id}/check",
];

#[test]
fn every_post_and_patch_that_changes_something_takes_an_idempotency_key() {
    let table = fs::read_to_string(root().join("src/api.rs")).unwrap();
    let routes = table.split(".route(").skip(1);
    let (mut with, mut without) = (0, BTreeSet::new());
    for route in routes {
        // As it stands there, or the name that it has.
        let path = route.split(',').next().unwrap_or_default().trim().trim_matches('"');
        for method in ["post(", "patch("] {
            let Some((_, rest)) = route.split_once(method) else { continue };
            let (module, endpoint) = rest.split(')').next().unwrap().split_once("::").unwrap();
            let source = fs::read_to_string(root().join(format!("src/api/{module}.rs"))).unwrap();
            let head =
                source.split(&format!("pub async fn {endpoint}(")).nth(1).unwrap().split("\n) ->").next().unwrap();
            if WITHOUT_A_KEY.contains(&path) {
                without.insert(path);
            } else {
                assert!(head.contains(": Keyed<"), "{method}{module}::{endpoint}) at {path} takes no idempotency key");
                with += 1;
            }
        }
    }
    assert!(with >= 3, "the routes were not found");
    assert_eq!(without, BTreeSet::from(WITHOUT_A_KEY));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text that belongs to the project.
pub fn tree() -> Vec<Source> {
    let mut found = Vec::new();
    walk(root(), &mut found);
    found
}

fn walk(dir: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        // What git does not keep.
        let unkept = [".git", "target", "data", "Cargo.lock", "fuzz/artifacts", "fuzz/coverage", "fuzz/target"];
        if unkept.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push(Source::new(&name, &text));
        }
    }
}
