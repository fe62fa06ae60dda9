//! Two laws, on random filters and documents: what is printed is read back as the same, and SQLite finds what the evaluation
//! in memory finds.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use user_manager::{
    query::{Element, Fields, Filter, Kind, Order, Pattern, Query, Sort, Term, Test, parse},
    store::Store,
    users::State,
};

use super::store_of;

/// Few names and few values, so that they meet.
const NAMES: [&str; 9] = ["a", "b", "a.b", "a.0", "b.a.b", "userGroup", "email", "username", "_id"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![-2..3_i64, Just(i64::MAX), Just(9_007_199_254_740_993_i64)].prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1.0), Just(-1e300), Just(9_007_199_254_740_992.0)].prop_map(Value::from),
        text().prop_map(Value::from),
    ]
}

fn text() -> impl Strategy<Value = String> {
    const ODD: [&str; 13] =
        ["", "x", "X", "xy", "y", "\u{e9}", "e\u{301}", "'", "\"", "%", "\\", "\u{1f600}", "000000000000000000000003"];
    prop_oneof![proptest::sample::select(&ODD[..]).prop_map(ToOwned::to_owned), "[a-c]{0,2}"]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(&["a", "b"][..]), inner), 0..3).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
            }),
        ]
    })
}

fn date() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(1_893_456_000_000_i64), Just(-1), -5_000_000_000_000..5_000_000_000_000_i64]
}

fn document() -> impl Strategy<Value = Map<String, Value>> {
    let dated = prop_oneof![
        date().prop_map(|at_ms| json!(user_manager::clock::rfc3339(at_ms))),
        Just(json!("2030-01-01")),
        Just(json!("2030-01-01T02:00:00+02:00")),
        scalar(),
    ];
    let member = |name: &'static str, value: BoxedStrategy<Value>| {
        proptest::option::of(value).prop_map(move |value| value.map(|value| (name.to_owned(), value)))
    };
    (
        member("a", value().boxed()),
        member("b", value().boxed()),
        member("userGroup", text().prop_map(Value::from).boxed()),
        member("username", text().prop_map(Value::from).boxed()),
        member("d", dated.boxed()),
    )
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e].into_iter().flatten().collect())
}

fn order() -> impl Strategy<Value = Order> {
    proptest::sample::select(&[Order::Below, Order::AtMost, Order::AtLeast, Order::Above][..])
}

fn sound(value: &Value) -> bool {
    value.as_object().is_none_or(|members| members.keys().all(|name| !name.starts_with('$')))
}

fn test() -> impl Strategy<Value = Test> {
    let term = || value().prop_filter("no operators", sound).prop_map(Term::Value);
    let terms = || proptest::collection::vec(term(), 0..3);
    let leaf = prop_oneof![
        4 => term().prop_map(Test::Equals),
        2 => term().prop_map(Test::Differs),
        2 => terms().prop_map(Test::In),
        1 => terms().prop_map(Test::NotIn),
        3 => (order(), scalar().prop_filter("nothing stands above null", |value| !value.is_null()))
            .prop_map(|(order, value)| Test::Than(order, Term::Value(value))),
        1 => terms().prop_map(Test::All),
        1 => any::<bool>().prop_map(Test::Exists),
        1 => (0..3_u64).prop_map(Test::Size),
        1 => (proptest::sample::select(&["x", "^[a-c]", "y$", ""][..]), proptest::sample::select(&["", "i"][..]))
            .prop_map(|(text, options)| Test::Like(Pattern::new(text, options).unwrap())),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|test| {
                // Within one element a value alone would be read as a member.
                let test = if let Test::Element(_) = test { Test::Exists(true) } else { test };
                Test::Element(Element::Value(vec![test]))
            }),
            (proptest::sample::select(&["a", "b"][..]), inner).prop_map(|(name, test)| Test::Element(Element::Object(
                Box::new(Filter::Field(name.to_owned(), test))
            ))),
        ]
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let dated = prop_oneof![
        date().prop_map(|at_ms| Test::Equals(Term::Instant(at_ms))),
        date().prop_map(|at_ms| Test::Differs(Term::Instant(at_ms))),
        (order(), date()).prop_map(|(order, at_ms)| Test::Than(order, Term::Instant(at_ms))),
        proptest::collection::vec(date().prop_map(Term::Instant), 0..3).prop_map(Test::In),
    ];
    let indexed = (proptest::sample::select(&["userGroup", "email", "username"][..]), text())
        .prop_map(|(name, text)| Filter::equals(name, text));
    let leaf = prop_oneof![
        5 => (proptest::sample::select(&NAMES[..]), test())
            .prop_filter("an _id is an id", |(name, test)| *name != "_id" || matches!(test, Test::Exists(_)))
            .prop_map(|(name, test)| Filter::Field(name.to_owned(), test)),
        1 => (proptest::sample::select(&["d", "createdAt"][..]), dated).prop_map(|(name, test)| Filter::Field(name.to_owned(), test)),
        2 => indexed,
        1 => order().prop_map(|order| Filter::Field("_id".to_owned(), Test::Than(order, format!("{:024x}", 20).into()))),
        1 => Just(Filter::one_of("_id", [format!("{:024x}", 3), format!("{:024x}", 5)])),
        1 => Just(Filter::Everything),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            proptest::collection::vec(inner, 1..4).prop_map(Filter::Or),
        ]
    })
}

fn fields() -> Fields {
    Fields::any().with(&["d", "createdAt"], &Kind::Date).with(&["_id"], &Kind::Id)
}

proptest! {
    #![proptest_config(Config { cases: 500, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same(filter in filter()) {
        let printed = filter.print();
        let read = parse::filter(printed.as_object().unwrap(), &fields());
        let read = read.unwrap_or_else(|error| panic!("{}: {printed}", error.message()));
        prop_assert_eq!(read, filter, "{}", printed);
    }
}

#[tokio::test]
async fn sqlite_finds_what_the_evaluation_in_memory_finds() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    for _ in 0..4 {
        let documents: Vec<_> = (0..40).map(|_| document().new_tree(&mut runner).unwrap().current()).collect();
        let (store, _directory) = store_of(&documents).await;
        let all = store.list(&Query::everybody()).await.unwrap();
        assert_eq!(all.len(), documents.len());
        let mut met = 0;
        for nth in 0..250_usize {
            let filter = filter().new_tree(&mut runner).unwrap().current();
            let wanted: Vec<_> = all.iter().filter(|user| filter.matches(&user.document)).cloned().collect();
            met += wanted.len();
            let query = Query::everybody_where(filter.clone());
            assert_eq!(store.list(&query).await.unwrap(), wanted, "{}", filter.print());
            assert_eq!(store.count(&query).await.unwrap(), wanted.len() as u64, "{}", filter.print());
            let (skip, limit) = (nth % 5, nth % 7 + 1);
            let page = Query { skip: skip as u64, ..query.clone() }.limit(u32::try_from(limit).unwrap());
            let part: Vec<_> = wanted.iter().skip(skip).take(limit).cloned().collect();
            assert_eq!(store.list(&page).await.unwrap(), part, "{}", filter.print());

            let sort = vec![Sort { path: NAMES[nth % NAMES.len()].to_owned(), down: nth % 2 == 0, dated: false }];
            let mut sorted = wanted.clone();
            sorted.sort_by_cached_key(|user| user_manager::query::sort_key(&user.document, &sort));
            let query = Query { sort, ..page };
            let part: Vec<_> = sorted.into_iter().skip(skip).take(limit).collect();
            assert_eq!(store.list(&query).await.unwrap(), part, "{}", filter.print());
        }
        assert!(met > 500, "the filters mean nearly nobody: {met}");
        let trash = Query::everybody().in_states(&[State::Trash]);
        assert_eq!(store.count(&trash).await.unwrap(), 0);
    }
}
