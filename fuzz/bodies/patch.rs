//! A document and a change of it, `[{document}, {change}]`: what comes out is written twice as well as once, touches nothing
//! that was not named, and does not depend on the order of the commands.

use serde_json::{Map, Value};
use user_manager::{patch::Patch, query::Filter};

const NOW: i64 = 1_800_000_000_000;

pub fn check(bytes: &[u8]) {
    let Ok(Value::Array(said)) = serde_json::from_slice(bytes) else { return };
    let [Value::Object(before), Value::Object(body)] = said.as_slice() else { return };
    let Ok(patch) = Patch::parse(body) else { return };
    let Ok(change) = patch.change(before, &Filter::Everything, NOW) else { return };
    let mut after = before.clone();
    change.apply(&mut after);

    let mut twice = after.clone();
    change.apply(&mut twice);
    assert_eq!(twice, after, "written twice");
    assert!(change.shows_in(&after));
    assert!(change.unset.iter().all(|member| !change.set.contains_key(member)));

    let named: Vec<&str> = patch.members().collect();
    assert!(change.set.keys().chain(&change.unset).all(|member| named.contains(&member.as_str())));

    let mut backwards = before.clone();
    for (command, operands) in body.iter().rev() {
        for (field, operand) in operands.as_object().into_iter().flatten().rev() {
            applied(&mut backwards, command, field, operand);
        }
    }
    assert_eq!(backwards, after, "in another order");

    let settles = ["$set", "$unset", "$currentDate", "$addToSet", "$pull"];
    // An object in a list may have become a plain value, which has no place that one could name.
    if body.keys().all(|command| settles.contains(&command.as_str()))
        && let Ok(again) = patch.change(&after, &Filter::Everything, NOW)
    {
        assert!(again.is_empty(), "asked for twice: {again:?}");
    }
}

/// One command alone.
fn applied(document: &mut Map<String, Value>, command: &str, field: &str, operand: &Value) {
    let operand = Map::from_iter([(field.to_owned(), operand.clone())]);
    let body = Map::from_iter([(command.to_owned(), Value::Object(operand))]);
    let patch = Patch::parse(&body).unwrap_or_else(|error| panic!("{command} {field} alone: {}", error.message()));
    let change = patch.change(document, &Filter::Everything, NOW);
    change.unwrap_or_else(|error| panic!("{command} {field} alone: {}", error.message())).apply(document);
}
