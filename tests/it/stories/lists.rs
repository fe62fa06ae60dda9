//! Users are listed, counted and read by the query language, in every world.

use std::time::Duration;

use serde_json::{Value, json};
use user_manager::{access::Caller, error::Code, query::Filter, users::UserId};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{Place, World, everywhere, within},
};

/// Five people beside those whom the world has; their e-mails in the order of their ids.
async fn people(world: &World) -> Vec<String> {
    let mut ids = Vec::new();
    for (name, group) in
        [("Ann", "users"), ("Bob", "users"), ("Cid", "administrators"), ("Dee", "users"), ("Eve", "users")]
    {
        let email = format!("{}@people.org", name.to_lowercase());
        let fields = json!({ "userGroup": group, "email": email, "name": name, "password": crate::worlds::PASSWORD });
        ids.push(world.post("/users/", fields).await.is(200).id());
    }
    ids
}

fn query(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn names(body: &Value) -> Vec<&str> {
    body.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap_or("-")).collect()
}

const PEOPLE: (&str, &str) = ("_q", r#"{"email":{"$regex":"@people\\.org$"}}"#);

#[tokio::test]
async fn users_are_listed_and_counted_by_filters_orders_and_pages() {
    everywhere(async |world| {
        let ids = people(world).await;
        let before = world.snapshot();
        let list = async |pairs: &[(&str, &str)]| {
            let reply = world.get(&format!("/users/?{}", query(pairs))).await.is(200);
            names(&reply.body).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let count =
            async |pairs: &[(&str, &str)]| world.get(&format!("/users/count?{}", query(pairs))).await.is(200).body;

        assert_eq!(list(&[PEOPLE, ("_s", "name")]).await, ["Ann", "Bob", "Cid", "Dee", "Eve"]);
        assert_eq!(list(&[PEOPLE, ("_s", "-name"), ("_l", "2")]).await, ["Eve", "Dee"]);
        assert_eq!(list(&[PEOPLE, ("_s", "userGroup,-name"), ("_sk", "1"), ("_l", "2")]).await, ["Eve", "Dee"]);
        assert_eq!(list(&[PEOPLE, ("name", "Bob")]).await, ["Bob"]);
        assert_eq!(list(&[("name", "Bob"), ("email", "bob@people.org"), ("userGroup", "users")]).await, ["Bob"]);
        assert_eq!(list(&[("_id", &ids[2])]).await, ["Cid"]);
        assert_eq!(list(&[PEOPLE, ("_st", "DRAFT,TRASH")]).await, [""; 0]);
        assert_eq!(list(&[("name", "")]).await, [""; 0]);
        assert_eq!(count(&[PEOPLE]).await, json!(5));
        assert_eq!(count(&[PEOPLE, ("userGroup", "users")]).await, json!(4));
        assert_eq!(count(&[("_q", r#"{"$or":[{"name":"Ann"},{"name":{"$in":["Eve"]}}]}"#)]).await, json!(2));

        // Everybody, with the administrator, by their ids; 25 at a time.
        let everybody = world.get("/users").await.is(200).body;
        assert_eq!(everybody.as_array().unwrap().len(), 6);
        assert_eq!(world.get("/users/count/").await.is(200).body, json!(6));
        let shown = world.get(&format!("/users/{}", ids[0])).await.is(200).body;
        let listed = everybody.as_array().unwrap();
        assert!(listed.contains(&shown), "{shown} is not among {listed:?}");
        assert!(listed.is_sorted_by_key(|user| user["_id"].as_str().unwrap()), "{listed:?}");
        assert_eq!(world.snapshot(), before);
    })
    .await;
}

#[tokio::test]
async fn an_answer_shows_what_was_asked_for() {
    everywhere(async |world| {
        let id = &people(world).await[0];
        let one = async |pairs: &[(&str, &str)]| world.get(&format!("/users/{id}?{}", query(pairs))).await.is(200).body;
        assert_eq!(one(&[("_p", "name")]).await, json!({ "_id": id, "name": "Ann" }));
        assert_eq!(one(&[("_p", ",")]).await, json!({ "_id": id }));
        assert_eq!(one(&[("_rawp", r#"{"name":1,"_id":0}"#)]).await, json!({ "name": "Ann" }));
        let without = one(&[("_rawp", r#"{"name":0}"#)]).await;
        assert_eq!((&without["name"], &without["email"]), (&Value::Null, &json!("ann@people.org")));
        let list = world.get(&format!("/users/?{}", query(&[("_p", "name"), ("name", "Ann")]))).await.is(200).body;
        assert_eq!(list, json!([{ "_id": id, "name": "Ann" }]));

        // A filter, or a state, that does not mean him hides him.
        assert_eq!(one(&[("name", "Ann")]).await["_id"], json!(id));
        world.get(&format!("/users/{id}?name=Bob")).await.refuses(404, "user-not-found");
        world.get(&format!("/users/{id}?_st=TRASH")).await.refuses(404, "user-not-found");
        assert_eq!(one(&[("_st", "TRASH,PUBLIC")]).await["_id"], json!(id));

        // The same in another coat.
        let coded = world.admin().with("json-query-params-encoding", "base64");
        let target = format!("/users/?{}", query(&[("_q", "eyJuYW1lIjoiQW5uIn0="), ("_rawp", "eyJuYW1lIjoxfQ==")]));
        assert_eq!(coded.get(&target).await.is(200).body, json!([{ "_id": id, "name": "Ann" }]));
    })
    .await;
}

#[tokio::test]
async fn whoever_may_not_read_users_reads_none() {
    everywhere(async |world| {
        let nobody = world.caller(&["users:write"]).await;
        let reader = world.caller(&["users:read"]).await;
        for path in ["/users/", "/users/count", &format!("/users/{}", nobody.id)] {
            world.nobody().get(path).await.refuses(401, "token-required");
            nobody.get(path).await.refuses(403, "permission-required");
            // Who may not ask is not told what is wrong with it.
            nobody.get(&format!("{path}?_q=x")).await.refuses(403, "permission-required");
            reader.get(path).await.is(200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_that_keeps_an_insert_out_is_never_shown_and_a_row_filter_goes_along() {
    within(&Place::CRUD, async |world| {
        let ids = people(world).await;
        let fence = "650000000000000000000009";
        world.store().world().put(fence, "DELETED", json!({ "userGroup": "__fence", "name": "Ann" }));
        assert_eq!(world.get("/users/?name=Ann&_st=PUBLIC,DELETED").await.is(200).body.as_array().unwrap().len(), 1);
        assert_eq!(world.get("/users/count?name=Ann&_st=PUBLIC,DELETED").await.is(200).body, json!(1));
        world.get(&format!("/users/{fence}?_st=DELETED")).await.refuses(404, "user-not-found");

        let proxy = world.app.proxy.as_ref().unwrap();
        let caller = Caller { rows: Filter::one_of("name", ["Bob", "Zo\u{eb}"]), ..world.inside() };
        let status = async |id: &str| {
            let id = UserId::parse(id).unwrap();
            proxy.get(&id, &[], &caller).await.map(|answer| answer.status().as_u16()).map_err(|error| error.code())
        };
        assert_eq!(status(&ids[1]).await.unwrap(), 200);
        assert_eq!(status(&ids[0]).await.unwrap_err(), Code::UserNotFound);
        world.store().world().rows.remove(fence);
    })
    .await;
}

#[tokio::test]
async fn what_the_crud_service_says_of_a_query_goes_through_and_its_failures_are_ours() {
    within(&Place::CRUD, async |world| {
        people(world).await;
        for path in ["/users/", "/users/count"] {
            let refused = world.get(&format!("{path}?unheardOf=1")).await.is(400);
            assert_eq!(refused.body["code"], Value::Null);
            assert!(refused.message().contains("unheardOf"), "{}", refused.body);
        }
        // What it would answer with a 500, or with nothing, never gets there.
        for wrong in ["{", "null", r#"{"$or":[]}"#, r#"{"name":{"$regex":"("}}"#] {
            world.get(&format!("/users/?{}", query(&[("_q", wrong)]))).await.refuses(400, "invalid-query");
        }
        let long = json!({ "name": { "$in": vec!["x".repeat(30); 400] } }).to_string();
        world.get(&format!("/users/?{}", query(&[("_q", &long)]))).await.refuses(400, "invalid-query");

        let id = UserId::parse(&world.admin().id).unwrap();
        let proxy = world.app.proxy.as_ref().unwrap();
        for (status, code) in [(500, Code::UpstreamFailed), (503, Code::UpstreamFailed), (403, Code::UpstreamRefused)] {
            let fault = Fault::Status { status, done: false, wait: None };
            world.store().plan(Plan::nth(1, fault, Lasts::On)).await;
            let caller = &world.inside();
            let answers = [
                ("listing users: CRUD GET /users/", proxy.list(&[], caller).await),
                ("counting users: CRUD GET /users/count", proxy.count(&[], caller).await),
                ("reading user: CRUD GET /users/:id", proxy.get(&id, &[], caller).await),
            ];
            world.store().mend().await;
            for (what, answer) in answers {
                let error = answer.unwrap_err();
                let told = format!("Error while {what} responded with a {status} status code");
                assert_eq!((error.code(), error.message()), (code, told.as_str()));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_that_is_cut_off_on_its_way_is_a_broken_connection() {
    within(&Place::CRUD, async |world| {
        people(world).await;
        for fault in [Fault::Truncated, Fault::Garbled] {
            // Whoever asks is known for a second; where it has passed, he is looked for in vain.
            let cut = loop {
                world.get("/users/count").await.is(200);
                world.store().plan(Plan::nth(1, fault, Lasts::On)).await;
                let answer = world.admin().cut("/users/").await;
                world.store().mend().await;
                if answer.0 == 200 || fault == Fault::Garbled {
                    break answer;
                }
            };
            // A page of something in between is no list either.
            let expected = if fault == Fault::Truncated { (200, true) } else { (500, false) };
            assert_eq!(cut, expected, "{fault:?}");
        }
        world.passes(Duration::from_secs(1));
        assert_eq!(world.get("/users/").await.is(200).body.as_array().unwrap().len(), 6);
    })
    .await;
}
