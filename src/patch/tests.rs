//! Commands and what becomes of a document, as tables.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::error::Code;

const NOW: i64 = 1_800_000_000_000;

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn after(document: Value, patch: Value) -> Result<Value, Error> {
    let mut document = object(document);
    let change = Patch::parse(&object(patch))?.change(&document, &Filter::Everything, NOW)?;
    change.apply(&mut document);
    Ok(Value::Object(document))
}

#[test]
fn each_command_does_what_the_database_would() {
    let before = json!({ "name": "Ada", "age": 36, "score": 1.5, "tags": ["a", "b"], "nothing": null,
        "address": { "city": "Rome", "geo": { "lat": 1 } }, "phones": [{ "kind": "home", "no": 1 }, { "kind": "work" }] });
    let check = |patch: Value, expected: Value| {
        let mut wanted = before.clone();
        for (member, value) in object(expected) {
            let wanted = wanted.as_object_mut().unwrap();
            if value == "GONE" {
                wanted.remove(&member);
            } else {
                wanted.insert(member, value);
            }
        }
        assert_eq!(after(before.clone(), patch.clone()).unwrap(), wanted, "{patch}");
    };
    check(json!({ "$set": { "name": "Eve" } }), json!({ "name": "Eve" }));
    check(json!({ "$set": { "new": [1] } }), json!({ "new": [1] }));
    check(
        json!({ "$set": { "address.city": "Paris" } }),
        json!({ "address": { "city": "Paris", "geo": { "lat": 1 } } }),
    );
    check(json!({ "$set": { "a.b.c": 1 } }), json!({ "a": { "b": { "c": 1 } } }));
    check(
        json!({ "$set": { "phones.1.no": 2 } }),
        json!({ "phones": [{ "kind": "home", "no": 1 }, { "kind": "work", "no": 2 }] }),
    );
    check(
        json!({ "$set": { "phones.0": { "kind": "x" } } }),
        json!({ "phones": [{ "kind": "x" }, { "kind": "work" }] }),
    );
    check(json!({ "$set": { "name": null } }), json!({ "name": null }));
    check(json!({ "$unset": { "name": true } }), json!({ "name": "GONE" }));
    check(json!({ "$unset": { "name": 1, "not.there": true } }), json!({ "name": "GONE" }));
    check(json!({ "$unset": { "address.geo.lat": true } }), json!({ "address": { "city": "Rome", "geo": {} } }));
    check(
        json!({ "$inc": { "age": 1, "visits": 5, "address.geo.lat": -3 } }),
        json!({ "age": 37, "visits": 5, "address": { "city": "Rome", "geo": { "lat": -2 } } }),
    );
    check(json!({ "$inc": { "age": 0.5 } }), json!({ "age": 36.5 }));
    check(json!({ "$mul": { "age": 2, "score": 2, "none": 7 } }), json!({ "age": 72, "score": 3.0, "none": 0 }));
    check(json!({ "$currentDate": { "seen": true } }), json!({ "seen": "2027-01-15T08:00:00.000Z" }));
    check(json!({ "$push": { "tags": "c" } }), json!({ "tags": ["a", "b", "c"] }));
    let sorted = |by: Value| json!({ "$push": { "tags": { "$each": ["c", "0"], "$sort": by, "$slice": 3 } } });
    check(sorted(json!(1)), json!({ "tags": ["0", "a", "b"] }));
    check(sorted(json!(-1)), json!({ "tags": ["c", "b", "a"] }));
    let by = json!({ "$each": [{ "a": 3, "b": 1 }, { "a": 1 }, { "a": 2 }], "$sort": { "a": -1 } });
    check(json!({ "$push": { "list": by } }), json!({ "list": [{ "a": 3, "b": 1 }, { "a": 2 }, { "a": 1 }] }));
    check(json!({ "$push": { "list": { "a": 1 } } }), json!({ "list": [{ "a": 1 }] }));
    check(
        json!({ "$push": { "tags": { "$each": ["x", "y"], "$position": 0 } } }),
        json!({ "tags": ["x", "y", "a", "b"] }),
    );
    check(json!({ "$push": { "tags": { "$each": ["x"], "$position": -1 } } }), json!({ "tags": ["a", "x", "b"] }));
    check(json!({ "$push": { "tags": { "$each": ["x"], "$position": -9 } } }), json!({ "tags": ["x", "a", "b"] }));
    check(json!({ "$push": { "tags": { "$each": ["x"], "$position": 99 } } }), json!({ "tags": ["a", "b", "x"] }));
    check(json!({ "$push": { "tags": { "$each": ["c", "d"], "$slice": -2 } } }), json!({ "tags": ["c", "d"] }));
    check(json!({ "$push": { "tags": { "$each": [], "$slice": 1 } } }), json!({ "tags": ["a"] }));
    check(json!({ "$push": { "tags": { "$each": [], "$slice": 0 } } }), json!({ "tags": [] }));
    check(json!({ "$addToSet": { "tags": "a" } }), json!({}));
    check(json!({ "$addToSet": { "tags": { "$each": ["b", "c", "c"] } } }), json!({ "tags": ["a", "b", "c"] }));
    check(json!({ "$pull": { "tags": "a", "not": "x" } }), json!({ "tags": ["b"] }));
    check(json!({ "$pull": { "tags": { "$in": ["a", "b", "z"] } } }), json!({ "tags": [] }));
    check(json!({ "$pull": { "phones": { "kind": "home" } } }), json!({ "phones": [{ "kind": "work" }] }));
    check(json!({ "$pull": { "phones": { "no": 1.0 } } }), json!({}));
}

#[test]
fn what_is_not_understood_or_does_not_fit_is_refused_with_its_place() {
    let before =
        json!({ "name": "Ada", "age": 36, "tags": ["a"], "big": i64::MAX, "null": null, "list": [{ "a": 1 }] });
    let check = |patch: Value, pointer: &str| {
        let error = after(before.clone(), patch.clone()).expect_err(&patch.to_string());
        assert_eq!((error.code(), error.findings[0].pointer.as_str()), (Code::InvalidPatch, pointer), "{patch}");
        assert!(!error.message().contains("Ada"));
    };
    for nothing in [json!({}), json!({ "$set": {} }), json!({ "$set": {}, "$unset": {} })] {
        check(nothing, "");
    }
    for unknown in ["name", "$rename", "$min", "$max", "$pop", "$bit", "$setOnInsert", ""] {
        check(json!({ unknown: { "name": 1 } }), &format!("/{unknown}"));
    }
    for wrong in [json!([]), json!("x"), json!(null), json!(1)] {
        check(json!({ "$set": wrong }), "/$set");
    }
    for path in ["", ".", "a.", ".a", "a..b", "$a", "a.$", "a.$.b", "tags.$.replace", "a.$[]"] {
        check(json!({ "$set": { path: 1 } }), &format!("/$set/{path}"));
    }
    check(json!({ "$set": { "x": 1 }, "$unset": { "x": true } }), "/$unset/x");
    check(json!({ "$set": { "x": {}, "x.y": 1 } }), "/$set/x.y");
    check(json!({ "$inc": { "x.y.z": 1 }, "$set": { "x.y": 1 } }), "/$inc/x.y.z");
    for not_true in [json!(false), json!(""), json!(2), json!("true"), json!(null)] {
        check(json!({ "$unset": { "name": not_true } }), "/$unset/name");
        check(json!({ "$currentDate": { "at": not_true } }), "/$currentDate/at");
    }
    check(json!({ "$currentDate": { "a.b": true } }), "/$currentDate/a.b");
    check(json!({ "$set": { "name.first": "A" } }), "/$set/name.first");
    check(json!({ "$set": { "null.first": "A" } }), "/$set/null.first");
    check(json!({ "$unset": { "name.first": true } }), "/$unset/name.first");
    for place in ["list.00", "list.+0.a", "tags.0", "tags.x", "tags.1", "list.1", "list.-1", "list.0.a.b"] {
        check(json!({ "$set": { place: "A" } }), &format!("/$set/{place}"));
    }
    check(json!({ "$unset": { "list.0": true } }), "/$unset/list.0");
    for not_a_number in [json!("1"), json!(null), json!([1]), json!(true)] {
        check(json!({ "$inc": { "age": not_a_number } }), "/$inc/age");
    }
    for (command, field) in [("$inc", "name"), ("$mul", "name"), ("$inc", "tags"), ("$inc", "null")] {
        check(json!({ command: { field: 1 } }), &format!("/{command}/{field}"));
    }
    for (command, field) in [("$push", "name"), ("$addToSet", "age"), ("$pull", "name"), ("$push", "null")] {
        check(json!({ command: { field: "x" } }), &format!("/{command}/{field}"));
    }
    for modifiers in [
        json!({ "$position": 1 }),
        json!({ "$each": 1 }),
        json!({ "$each": [], "$slice": "x" }),
        json!({ "$each": [], "$where": 1 }),
        json!({ "$each": [], "$position": 0.5 }),
    ] {
        check(json!({ "$push": { "tags": modifiers } }), "/$push/tags");
    }
    check(json!({ "$addToSet": { "tags": { "$each": ["x"], "$slice": 1 } } }), "/$addToSet/tags");
    check(json!({ "$pull": { "tags": { "$gt": 1 } } }), "/$pull/tags");
    assert_eq!(after(before.clone(), json!({ "$inc": { "big": 1 } })).unwrap()["big"], json!(9.223_372_036_854_776e18));
    check(json!({ "$mul": { "huge": 1 }, "$set": { "a/b~c.$": 1 } }), "/$set/a~1b~0c.$");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("[abc]", value(), 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    /// Absolute values: written twice they are written once, and what was there before comes back.
    #[test]
    fn a_change_may_be_written_twice_and_can_be_taken_back(
        before in document(), paths in prop::collection::btree_map("[abc](\\.[abc01]){0,2}", value(), 1..3),
        command in prop::sample::select(vec!["$set", "$push", "$addToSet", "$pull", "$inc", "$mul"])
    ) {
        let fields: Map<String, Value> = paths.into_iter().collect();
        let body = object(json!({ command: fields }));
        let Ok(change) = Patch::parse(&body).and_then(|patch| patch.change(&before, &Filter::Everything, NOW)) else { return Ok(()) };
        let mut once = before.clone();
        change.apply(&mut once);
        prop_assert!(change.shows_in(&once));
        let mut twice = once.clone();
        change.apply(&mut twice);
        prop_assert_eq!(&twice, &once);
        change.inverse(&before).apply(&mut once);
        prop_assert_eq!(once, before);
    }
}
