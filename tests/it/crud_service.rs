//! The store in a crud-service, call by call: what it sends, and what it makes of that service's own words.

use serde_json::{Map, Value, json};
use user_manager::{
    clock::Clock,
    error::{Code, Error},
    outcome::Failure,
    query::{Filter, Query},
    store::{Landed, Store, Write, crud_service::CrudService},
    users::{Change, State, UserId},
};

use crate::{
    plane_d::patience,
    twins::{
        Twin,
        crud::{Crud, Flavour},
        fault::{Fault, Lasts, Plan},
    },
};

const ADA: &str = "650000000000000000000001";
const BOB: &str = "650000000000000000000002";

async fn world(crud: Crud) -> (Twin<Crud>, CrudService) {
    let twin = Twin::start(crud).await;
    let store = CrudService::new(&twin.url(), "/users", &patience(30_000), Clock::system()).unwrap();
    (twin, store)
}

fn id(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn set(field: &str, value: &str) -> Change {
    Change { set: fields(json!({ field: value })), unset: Vec::new() }
}

#[tokio::test]
async fn an_insert_is_one_row_under_our_own_id_and_tells_who_asked() {
    let (twin, store) = world(Crud::default()).await;
    store.insert(&id(ADA), &fields(json!({ "userGroup": "staff", "email": "ada@x.org" })), "Zoë").await.unwrap();
    store.insert(&id(BOB), &fields(json!({ "userGroup": "staff" })), "eve").await.unwrap();
    let ada = twin.world().rows[ADA].clone();
    assert_eq!(
        (&ada["__STATE__"], &ada["email"], &ada["creatorId"]),
        (&json!("PUBLIC"), &json!("ada@x.org"), &json!("Zo%C3%AB"))
    );
    assert_eq!(twin.world().rows[BOB]["creatorId"], "eve");
    // The collection's fields are read once.
    assert_eq!(twin.log(), ["GET /users/schema", "POST /users/import", "POST /users/import"]);
}

#[tokio::test]
async fn a_field_that_the_service_would_drop_is_refused_before_anything_is_written() {
    let (twin, store) = world(Crud::default()).await;
    let refused = store.insert(&id(ADA), &fields(json!({ "userGroup": "staff", "shoeSize": 39 })), "eve").await;
    let error = refused.unwrap_err().into_error();
    assert_eq!((error.code(), error.findings[0].pointer.as_str()), (Code::ValidationFailed, "/shoeSize"));
    assert_eq!(twin.log(), ["GET /users/schema"]);
}

#[tokio::test]
async fn an_insert_is_closed_also_where_the_collection_requires_more_than_a_group() {
    let required = vec!["userGroup", "email", "name", "expirationDate", "blocked", "roles"];
    let (twin, store) = world(Crud { required, ..Crud::default() }).await;
    let ada = fields(json!({ "userGroup": "staff", "email": "ada@x.org", "name": "Ada", "username": "ada",
        "expirationDate": "2030-01-01T00:00:00.000Z", "blocked": true, "roles": ["x"] }));
    assert_eq!(store.close(&id(ADA), &ada).await.unwrap(), Landed::Never);
    assert_eq!(store.close(&id(ADA), &ada).await.unwrap(), Landed::Never);
    assert!(matches!(store.insert(&id(ADA), &ada, "eve").await, Err(Failure::NotDone(_))));
    assert_eq!(store.get(&id(ADA), &Filter::Everything).await.unwrap(), None);
    let fence = json!(twin.world().rows[ADA]).to_string();
    assert!(!fence.contains("Ada") && !fence.contains("x.org") && fence.contains("DELETED"), "{fence}");
    // The names are free for the next.
    store.insert(&id(BOB), &ada, "eve").await.unwrap();
    assert_eq!(store.close(&id(BOB), &ada).await.unwrap(), Landed::There);
}

#[tokio::test]
async fn a_fence_that_is_refused_asks_anew_what_the_collection_requires() {
    let (twin, store) = world(Crud::default()).await;
    let ada = fields(json!({ "userGroup": "staff", "name": "Ada" }));
    assert_eq!(store.close(&id(ADA), &ada).await.unwrap(), Landed::Never);
    twin.world().required.push("name");
    assert!(matches!(store.close(&id(BOB), &ada).await, Err(Failure::NotDone(_))));
    assert_eq!(store.close(&id(BOB), &ada).await.unwrap(), Landed::Never);
}

#[tokio::test]
async fn a_taken_name_is_told_with_its_field_whatever_version_or_database_refuses_it() {
    for flavour in [Flavour::V7, Flavour::V6, Flavour::OtherDatabase] {
        let (twin, store) = world(Crud { flavour, ..Crud::default() }).await;
        twin.world().put(ADA, "DELETED", json!({ "userGroup": "staff", "email": "ada@x.org", "username": "ada" }));
        twin.world().put(BOB, "PUBLIC", json!({ "userGroup": "staff", "email": "bob@x.org" }));
        let before = twin.world().rows.clone();
        let taken = |error: Error| (error.code(), error.field.clone());

        let new = fields(json!({ "userGroup": "staff", "username": "ada" }));
        let refused = store.insert(&id("650000000000000000000003"), &new, "eve").await;
        assert_eq!(taken(refused.unwrap_err().into_error()), (Code::NameTaken, Some("username".into())), "{flavour:?}");

        let bob = store.get(&id(BOB), &Filter::Everything).await.unwrap().unwrap();
        let refused = store.change(&id(BOB), &bob.revision, &set("email", "ada@x.org"), "eve").await;
        assert_eq!(taken(refused.unwrap_err().into_error()), (Code::NameTaken, Some("email".into())), "{flavour:?}");
        assert_eq!(twin.world().rows, before, "{flavour:?}");
    }
}

#[tokio::test]
async fn a_write_within_the_millisecond_of_its_revision_is_written_again_until_the_time_has_moved() {
    let (twin, store) = world(Crud::default()).await;
    twin.world().put(ADA, "PUBLIC", json!({ "userGroup": "staff", "name": "Ada" }));
    let ada = store.get(&id(ADA), &Filter::Everything).await.unwrap().unwrap();
    let Write::Now(first) = store.change(&id(ADA), &ada.revision, &set("name", "A"), "eve").await.unwrap() else {
        panic!()
    };

    for change in [true, false] {
        let at = store.get(&id(ADA), &Filter::Everything).await.unwrap().unwrap().revision;
        twin.world().still = 3;
        let written = match change {
            true => store.change(&id(ADA), &at, &set("name", "B"), "eve").await.unwrap(),
            false => store.set_state(&id(ADA), &at, State::Draft, "eve").await.unwrap(),
        };
        let Write::Now(now) = written else { panic!() };
        assert_ne!(now.revision, at);
        assert_eq!(now.document, twin.world().rows[ADA]);
    }
    assert_ne!(twin.world().rows[ADA]["updatedAt"], json!(first.revision));
}

#[tokio::test]
async fn a_caller_sees_only_the_rows_that_his_filter_leaves() {
    let (twin, store) = world(Crud::default()).await;
    twin.world().put(ADA, "TRASH", json!({ "userGroup": "a&b=c \"é", "roles": ["x", "y"] }));
    let check = async |rows: Filter, seen: bool| {
        assert_eq!(store.get(&id(ADA), &rows).await.unwrap().is_some(), seen, "{rows:?}");
    };
    let group = |name: &str| Filter::equals("userGroup", name);
    check(group("a&b=c \"é"), true).await;
    check(group("other"), false).await;
    check(Filter::one_of("roles", ["z", "y"]), true).await;
    check(Filter::And(vec![Filter::Everything, group("other")]), false).await;
    check(Filter::Or(vec![group("other"), Filter::equals("roles", "x")]), true).await;
}

#[tokio::test]
async fn a_filter_that_is_longer_than_the_service_takes_is_refused_before_it_is_sent() {
    let (twin, store) = world(Crud::default()).await;
    let name = |n: usize| format!("{n:024x}");
    for n in 0..500 {
        twin.world().put(&name(n), "PUBLIC", json!({ "userGroup": "staff" }));
    }
    let among = |count: usize| Filter::one_of("_id", (0..count).map(name));
    let mut most = 300;
    while store.count(&Query::everybody_where(among(most + 1))).await.is_ok() {
        most += 1;
    }
    // The list asks for a little more, and once more behind each page.
    let found = store.list(&Query::everybody_where(among(most - 1))).await.unwrap();
    assert_eq!(found.len(), most - 1);
    assert!(store.get(&id(&name(0)), &among(most - 1)).await.unwrap().is_some());

    let before = twin.log();
    let long = Query::everybody_where(Filter::all([among(400), Filter::one_of("name", (0..400).map(name))]));
    for refused in [
        store.list(&long).await.map(|_| ()),
        store.count(&long).await.map(|_| ()),
        store.get(&id(&name(0)), &long.filter).await.map(|_| ()),
    ] {
        let Err(Failure::NotDone(reason)) = refused else { panic!("{refused:?}") };
        assert_eq!(reason.into_error().code(), Code::InvalidQuery);
    }
    assert_eq!(twin.log(), before);
}

#[tokio::test]
async fn the_collection_may_have_another_path_behind_a_prefix() {
    let twin = Twin::start(Crud { path: "/crud/v1/people".to_owned(), ..Crud::default() }).await;
    let base = twin.url().join("/crud/v1/").unwrap();
    let store = CrudService::new(&base, "/people", &patience(30_000), Clock::system()).unwrap();
    store.insert(&id(ADA), &fields(json!({ "userGroup": "staff" })), "eve").await.unwrap();
    store.check().await.unwrap();
    store.delete(&id(ADA), State::Public).await.unwrap();
    assert!(twin.world().rows.is_empty());

    twin.plan(Plan::nth(1, Fault::Status { status: 500, done: false, wait: None }, Lasts::Once)).await;
    let failed = store.insert(&id(ADA), &fields(json!({ "userGroup": "staff" })), "eve").await.unwrap_err();
    let error = failed.into_error().doing("creating user");
    // The words of the other system stay where they are.
    assert_eq!(error.message(), "Error while creating user: CRUD POST /people/import responded with a 500 status code");
}

#[tokio::test]
async fn a_connection_that_went_stale_in_the_pool_is_not_taken_for_a_refusal() {
    let (twin, store) = world(Crud::default()).await;
    for n in 0..20 {
        store.check().await.unwrap();
        // Every connection is cut; the next moment the system answers again.
        twin.plan(Plan::nth(1, Fault::Refused, Lasts::On)).await;
        twin.mend().await;
        let one = id(&format!("65000000000000000000{n:04}"));
        let stored = store.insert(&one, &fields(json!({ "userGroup": "staff" })), "eve").await;
        assert!(!matches!(stored, Err(Failure::NotDone(_))), "{stored:?}");
    }
}
