//! The page of replies lists the codes that the sources have, with their statuses.

use std::{collections::BTreeSet, fs, path::Path};

use axum::http::StatusCode;

type Row = (String, u16);

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// `Self::Busy => ("busy", S::SERVICE_UNAVAILABLE),`
fn row_of_code(line: &str) -> Option<Row> {
    let (word, rest) = line.trim().strip_prefix("Self::")?.split_once("=> (\"")?.1.split_once("\", S::")?;
    let name = rest.split(')').next()?;
    let status = (100..600).filter_map(|number| StatusCode::from_u16(number).ok());
    let constant = |status: &StatusCode| Some(status.canonical_reason()?.to_uppercase().replace([' ', '-'], "_"));
    let status = status.into_iter().find(|status| constant(status).as_deref() == Some(name));
    Some((word.to_owned(), status.unwrap_or_else(|| panic!("{name}")).as_u16()))
}

/// `` | `busy` | 503 | too many logins wait | ``
fn row_of_page(line: &str) -> Option<Row> {
    let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
    let word = cells.next()?.strip_suffix('`')?;
    Some((word.to_owned(), cells.next()?.parse().ok()?))
}

#[test]
fn the_page_of_replies_lists_every_code_with_its_status() {
    let code: BTreeSet<_> = read("src/error.rs").lines().filter_map(row_of_code).collect();
    let page: BTreeSet<_> = read("docs/replies.md").lines().filter_map(row_of_page).collect();
    assert!(code.len() > 40, "the table of codes was not found");
    assert_eq!(page.difference(&code).collect::<Vec<_>>(), Vec::<&Row>::new(), "on the page, not in error.rs");
    assert_eq!(code.difference(&page).collect::<Vec<_>>(), Vec::<&Row>::new(), "in error.rs, not on the page");
}
