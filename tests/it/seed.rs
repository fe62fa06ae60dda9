//! The page that tells which test shows which sentence of the seed names tests that there are.

use std::{fs, path::Path};

/// `stories::life::a_person_is_made` stands in `tests/it/stories/life.rs`.
fn stands(name: &str) -> bool {
    let Some((module, function)) = name.rsplit_once("::") else { return false };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/{}.rs", module.replace("::", "/")));
    let Ok(text) = fs::read_to_string(file) else { return false };
    let mut before = "";
    text.lines().any(|line| {
        let signature = [format!("fn {function}("), format!("async fn {function}(")];
        let found = signature.iter().any(|signature| line.starts_with(signature.as_str()))
            && before.starts_with("#[")
            && before.contains("test");
        before = line;
        found
    })
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/seed-coverage.md");
    let page = fs::read_to_string(page).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| lines"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 5, "the table was not found");
    let missing = rows.iter().flat_map(|row| row[2].split(", ")).filter(|name| !stands(name.trim_matches('`')));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(!stands("stories::life::nobody_has_written_this"));
}
