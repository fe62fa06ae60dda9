//! JSON as we take it: what RFC 8259 leaves open is closed here, so that nobody behind us reads a body otherwise than we do.
//! Knows nothing of requests.

use std::{cell::RefCell, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{Code, Error, invalid, segment};

/// Values inside values.
pub const DEEPEST: usize = 64;
/// Members of objects and elements of arrays, all together.
pub const MOST: usize = 10_000;

/// The object that the text is.
///
/// # Errors
/// `invalid-json` with the place where it breaks, also when it is no object; `duplicate-key`; `too-deep`; `invalid-value`
/// with the pointer of what is not UTF-8, has a NUL or is called `__proto__`.
pub fn object(text: &[u8]) -> Result<Map<String, Value>, Error> {
    match value(text)? {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Error::new(Code::InvalidJson, "The body is not a JSON object"))
        }
    }
}

/// As [`object`], for a list.
pub fn array(text: &[u8]) -> Result<Vec<Value>, Error> {
    match value(text)? {
        Value::Array(items) => Ok(items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Error::new(Code::InvalidJson, "The body is not a JSON array"))
        }
    }
}

fn value(text: &[u8]) -> Result<Value, Error> {
    let text = std::str::from_utf8(text).map_err(|error| {
        invalid(Code::InvalidValue, "", format!("the body is not UTF-8 from byte {} on", error.valid_up_to()))
    })?;
    let reading = Reading::default();
    let mut source = serde_json::Deserializer::from_str(text);
    let value = Part { reading: &reading, depth: 0 }
        .deserialize(&mut source)
        .and_then(|value| source.end().map(|()| value))
        .map_err(|error| reading.into_error(&error))?;
    Ok(value)
}

/// What is found out on the way, apart from the value.
#[derive(Default)]
struct Reading {
    members: RefCell<usize>,
    trouble: RefCell<Option<Trouble>>,
}

struct Trouble {
    code: Code,
    message: String,
    /// From the inside out, as the readers return.
    path: Vec<String>,
}

impl Reading {
    /// serde hands on nothing but a text, so what is wrong is put down here.
    fn refuse<E: de::Error>(&self, code: Code, message: impl Into<String>) -> E {
        self.trouble.replace(Some(Trouble { code, message: message.into(), path: Vec::new() }));
        E::custom("refused")
    }

    fn within<T, E>(&self, segment: impl Fn() -> String, read: Result<T, E>) -> Result<T, E> {
        if read.is_err()
            && let Some(trouble) = self.trouble.borrow_mut().as_mut()
        {
            trouble.path.push(segment());
        }
        read
    }

    fn one_more<E: de::Error>(&self) -> Result<(), E> {
        let mut members = self.members.borrow_mut();
        *members += 1;
        if *members > MOST {
            return Err(self.refuse(Code::TooDeep, format!("there are more than {MOST} members")));
        }
        Ok(())
    }

    fn text<E: de::Error>(&self, text: &str) -> Result<(), E> {
        match text.contains('\0') {
            true => Err(self.refuse(Code::InvalidValue, "has a NUL character")),
            false => Ok(()),
        }
    }

    fn key<E: de::Error>(&self, key: &str) -> Result<(), E> {
        match key {
            "__proto__" => Err(self.refuse(Code::InvalidValue, "this name is not taken")),
            _ => self.text(key),
        }
    }

    fn into_error(self, error: &serde_json::Error) -> Error {
        match self.trouble.into_inner() {
            Some(Trouble { code, message, path }) => {
                let pointer: String = path.iter().rev().map(|segment| format!("/{segment}")).collect();
                invalid(code, pointer, message)
            }
            None => {
                // Nothing of the body stands in serde_json's sentence: it names what was expected, and where.
                Error::new(Code::InvalidJson, format!("The body is not JSON: {error}"))
            }
        }
    }
}

#[derive(Clone, Copy)]
struct Part<'r> {
    reading: &'r Reading,
    depth: usize,
}

impl Part<'_> {
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(self.reading.refuse(Code::TooDeep, format!("values lie deeper than {DEEPEST} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut members = Map::new();
        while let Some(key) = source.next_key::<String>()? {
            self.reading.one_more()?;
            self.reading.within(|| segment(&key), self.reading.key(&key))?;
            let value = self.reading.within(|| segment(&key), source.next_value_seed(inside))?;
            if members.contains_key(&key) {
                let twice = self.reading.refuse(Code::DuplicateKey, "this name stands twice");
                return self.reading.within(|| segment(&key), Err(twice));
            }
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut items = Vec::new();
        while let Some(item) = self.reading.within(|| items.len().to_string(), source.next_element_seed(inside))? {
            self.reading.one_more()?;
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.reading.text(text)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        self.reading.text(&text)?;
        Ok(Value::String(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn refused(text: impl AsRef<[u8]>, code: Code, pointer: &str) {
        let shown = String::from_utf8_lossy(text.as_ref()).chars().take(60).collect::<String>();
        let error = object(text.as_ref()).expect_err(&shown);
        assert_eq!(error.code(), code, "{shown}: {}", error.message());
        assert_eq!(error.findings.first().map_or("", |finding| finding.pointer.as_str()), pointer, "{shown}");
        assert!(!error.message().is_empty(), "{shown}");
    }

    #[test]
    fn a_plain_object_is_read_as_it_stands() {
        let text = r#" {"a": [1, -2, 1.5, 18446744073709551615, null, true], "ä\u0301": {"": "\ud83d\ude00"}} "#;
        let expected = json!({ "a": [1, -2, 1.5, u64::MAX, null, true], "ä\u{301}": { "": "😀" } });
        assert_eq!(Value::Object(object(text.as_bytes()).unwrap()), expected);
    }

    #[test]
    fn what_is_not_json_is_told_by_its_place() {
        for text in [
            "",
            " ",
            "{",
            "{]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1} x"#,
            r#"{'a':1}"#,
            r#"{"a":NaN}"#,
            r#"{"a":01}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
        ] {
            refused(text, Code::InvalidJson, "");
            assert!(object(text.as_bytes()).unwrap_err().message().contains("line"), "{text}");
        }
        for text in ["null", "true", "7", r#""a""#, "[]", "[{}]"] {
            refused(text, Code::InvalidJson, "");
        }
    }

    #[test]
    fn what_json_leaves_open_is_refused_with_its_pointer() {
        refused(r#"{"a":1,"a":2}"#, Code::DuplicateKey, "/a");
        refused(r#"{"x":[{"a":1,"\u0061":1}]}"#, Code::DuplicateKey, "/x/0/a");
        refused(r#"{"x":[1,{"y":"a\u0000b"}]}"#, Code::InvalidValue, "/x/1/y");
        refused(r#"{"a\u0000":1}"#, Code::InvalidValue, "/a\\u0000");
        refused(r#"{"a":{"__proto__":{}}}"#, Code::InvalidValue, "/a/__proto__");
        refused(r#"{"a/b~c":"\u0000"}"#, Code::InvalidValue, "/a~1b~0c");
        refused(b"{\"a\":\"\xff\"}", Code::InvalidValue, "");
        refused(b"{\"a\":\"\xed\xa0\x80\"}", Code::InvalidValue, "");
    }

    #[test]
    fn depth_and_number_of_members_end_somewhere() {
        let nested = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth - 1) + "{}", "}".repeat(depth - 1));
        assert!(object(nested(DEEPEST).as_bytes()).is_ok());
        let error = object(nested(DEEPEST + 1).as_bytes()).unwrap_err();
        assert_eq!(error.code(), Code::TooDeep);
        assert_eq!(object(nested(5000).as_bytes()).unwrap_err().code(), Code::TooDeep);
        let array = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(object(array(200_000).as_bytes()).unwrap_err().code(), Code::TooDeep);

        let members = |n: usize| format!("{{{}}}", (0..n).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(","));
        assert!(object(members(MOST).as_bytes()).is_ok());
        assert_eq!(object(members(MOST + 1).as_bytes()).unwrap_err().code(), Code::TooDeep);
        let items = format!(r#"{{"a":[{}]}}"#, vec!["0"; MOST].join(","));
        assert_eq!(object(items.as_bytes()).unwrap_err().code(), Code::TooDeep);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = object(&text);
        }

        #[test]
        fn what_it_takes_it_reads_as_everybody_does(text in r#"\{("[a-c]":("[a-z]"|[0-9]|true|\[1\]|\{\}),){0,3}"d":null\}"#) {
            if let Ok(read) = object(text.as_bytes()) {
                prop_assert_eq!(Value::Object(read), serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
