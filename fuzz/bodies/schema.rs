//! A group document and a user, `[{group}, {user}]`: a group that is taken judges every user, always alike, and its words never
//! quote him.

use serde_json::{Map, Value, json};
use user_manager::{groups::Group, query::Fields};

pub fn check(bytes: &[u8]) {
    let Ok(Value::Array(said)) = serde_json::from_slice(bytes) else { return };
    let [Value::Object(document), user] = said.as_slice() else { return };
    let group = match Group::compile(document) {
        Ok(group) => group,
        Err(fault) => {
            assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'), "{:?}", fault.pointer);
            return;
        }
    };
    assert_eq!(document.get("userGroup").and_then(Value::as_str), Some(group.name.as_str()));
    // What may be asked of its users is made of the same schema.
    let _ = Fields::default().with_schema(&document["crudSchema"]);

    let known =
        json!({ "userGroup": group.name, "email": SECRET, "expirationDate": SECRET, "a": SECRET, "b": [1, null] });
    for user in [user, &known] {
        let Value::Object(user) = user else { continue };
        judged(&group, user);
    }
}

/// What must not stand in any answer.
const SECRET: &str = "zzzz-secret-zzzz";

fn judged(group: &Group, user: &Map<String, Value>) {
    let mut lent = user.clone();
    let findings = group.findings(&mut lent);
    assert_eq!(&lent, user, "it comes back as it was");
    assert_eq!(group.findings(&mut lent), findings, "the same again");
    assert!(findings.len() <= 20);
    assert_eq!(group.check(&mut lent).is_ok(), findings.is_empty());
    let whole = Value::Object(user.clone());
    for finding in &findings {
        // The name of a stranger is cut where it is long.
        let there = finding.keyword == "unknown-member" || whole.pointer(&finding.pointer).is_some();
        assert!(there, "{finding:?} is nowhere in {whole}");
        assert!(!finding.message.contains(SECRET), "{finding:?}");
    }
}
