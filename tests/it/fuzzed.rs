//! What the fuzz targets assert, on every input that was worth keeping.

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

#[path = "../../fuzz/bodies/body.rs"]
mod body;
#[path = "../../fuzz/bodies/cookie.rs"]
mod cookie;
#[path = "../../fuzz/bodies/patch.rs"]
mod patch;
#[path = "../../fuzz/bodies/query.rs"]
mod query;
#[path = "../../fuzz/bodies/schema.rs"]
mod schema;
#[path = "../../fuzz/bodies/trace.rs"]
mod trace;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 6] = [
    ("body", body::check),
    ("cookie", cookie::check),
    ("patch", patch::check),
    ("query", query::check),
    ("schema", schema::check),
    ("trace", trace::check),
];

#[test]
fn every_stored_input_holds_what_its_target_asserts() {
    for (target, check) in TARGETS {
        let inputs = files(&format!("corpus/{target}"));
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for input in inputs {
            let bytes = fs::read(&input).unwrap();
            let held = catch_unwind(AssertUnwindSafe(|| check(&bytes)));
            assert!(held.is_ok(), "{target} does not hold for {}", input.display());
        }
    }
}

#[test]
fn every_target_is_replayed() {
    let names = |below: &str| -> BTreeSet<String> {
        files(below).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let replayed = TARGETS.map(|(target, _)| target.to_owned()).into();
    for below in ["fuzz_targets", "bodies", "corpus"] {
        assert_eq!(names(below), replayed, "{below}");
    }
}

fn files(below: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(below);
    let mut files: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
