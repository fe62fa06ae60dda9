//! Behind an API gateway that says in headers who asks.

use serde_json::{Value, json};

use crate::{
    api::routes,
    worlds::{Asker, Place, World},
};

const SECRET: &str = "what only the gateway knows";
const MODE: [(&str, &str); 2] = [("ACCESS", "gateway"), ("GATEWAY_SECRET", SECRET)];

async fn everywhere(settings: &[(&str, &str)], story: impl AsyncFn(&World)) {
    for place in Place::ALL {
        let world = World::with(place, &[&MODE, settings].concat()).await;
        story(&world).await;
        world.settled().await;
    }
}

/// The gateway, and nobody whom it names.
fn gateway(world: &World) -> Asker {
    world.nobody().with("x-gateway-secret", SECRET)
}

/// For whom the gateway vouches.
fn vouched(world: &World, identity: &str) -> Asker {
    gateway(world).with("miauserid", identity)
}

async fn identity(world: &World, id: &str) -> String {
    world.get(&format!("/users/{id}")).await.is(200).text("authUserId")
}

fn names(reply: &crate::worlds::Reply) -> Vec<&str> {
    reply.body.as_array().unwrap().iter().filter_map(|user| user["name"].as_str()).collect()
}

#[tokio::test]
async fn whom_the_gateway_names_may_do_what_his_roles_give() {
    everywhere(&[], async |world| {
        let reader = world.caller(&["users:read"]).await;
        let own = identity(world, &reader.id).await;
        let path = format!("/users/{}", reader.id);
        let asks = vouched(world, &own);
        asks.get(&path).await.is(200);
        assert_eq!(asks.get("/userinfo").await.is(200).body["_id"], json!(reader.id));
        let body = json!({ "userGroup": "users", "email": "new@example.org" });
        asks.post("/users/", body.clone()).await.refuses(403, "permission-required");
        vouched(world, &identity(world, &world.admin().id).await).post("/users/", body).await.is(200);

        // Nobody else speaks for him, whatever he says.
        let before = world.snapshot();
        for forged in [
            world.nobody(),
            world.nobody().with("x-gateway-secret", "what only the gateway know"),
            world.nobody().with("x-gateway-secret", ""),
            world.nobody().with("x-forwarded-for", "127.0.0.1"),
        ] {
            let forged = forged.with("miauserid", &own).with("isbackoffice", "1").with("acl_rows", "{");
            forged.get(&path).await.refuses(401, "token-required");
            forged.delete(&path).await.refuses(401, "token-required");
        }
        gateway(world).get(&path).await.refuses(401, "token-required");
        vouched(world, "nobody").get(&path).await.refuses(401, "token-revoked");
        vouched(world, "no body").get(&path).await.refuses(400, "ambiguous-header");
        assert_eq!(world.snapshot(), before);

        // A token of ours counts before the header; what is none is the gateway's affair.
        let powerless = world.caller(&[]).await;
        let both = powerless.with("x-gateway-secret", SECRET).with("miauserid", &own);
        both.get(&path).await.refuses(403, "permission-required");
        asks.with("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.").get(&path).await.is(200);
        world.passes(std::time::Duration::from_secs(3_600));
        both.get(&path).await.refuses(401, "token-expired");
    })
    .await;
}

#[tokio::test]
async fn whoever_may_not_act_is_let_in_by_no_header() {
    everywhere(&[("GATEWAY_USER_ID", "_id")], async |world| {
        let reader = world.caller(&["users:read"]).await;
        let path = format!("/users/{}", reader.id);
        let asks = vouched(world, &reader.id);
        asks.get(&path).await.is(200);
        assert_eq!(asks.get("/userinfo").await.is(200).body["_id"], json!(reader.id));
        world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200);
        asks.get(&path).await.refuses(401, "token-revoked");
        world.patch(&path, json!({ "$set": { "blocked": false } })).await.is(200);
        asks.get(&path).await.is(200);
        let draft = json!([{ "filter": { "_id": reader.id }, "stateTo": "DRAFT" }]);
        world.post("/users/state", draft).await.is(200);
        asks.get(&path).await.refuses(401, "token-revoked");
        world.delete(&path).await;
        vouched(world, "not-an-id").get(&path).await.refuses(401, "token-revoked");
    })
    .await;
}

/// A path of that template in which nobody stands.
fn somewhere(template: &str) -> String {
    template.replace("{id}", "650000000000000000000009").replace("{sid}", "none")
}

#[tokio::test]
async fn what_the_gateway_does_not_guard_is_not_there() {
    const BASIC: [&str; 17] = [
        "POST /oauth/token",
        "POST /refreshtoken",
        "GET /userinfo",
        "GET /users",
        "POST /users",
        "GET /users/count",
        "POST /users/with-id",
        "POST /users/register",
        "GET /users/{id}",
        "PATCH /users/{id}",
        "DELETE /users/{id}",
        "POST /users/{id}/soft-delete",
        "POST /users/state",
        "POST /users/change-password",
        "GET /-/healthz",
        "GET /-/ready",
        "GET /-/check-up",
    ];
    for named in [false, true] {
        let world =
            World::with(Place::Embedded, &[&MODE[..], &[("GATEWAY_ROUTES", "all")][..named.into()]].concat()).await;
        let admin = vouched(&world, &identity(&world, &world.admin().id).await);
        let mut guarded = 0;
        for (method, template) in routes() {
            let (asked, path) = (format!("{method} {template}"), somewhere(&template));
            let method: reqwest::Method = method.parse().unwrap();
            let body = (method != reqwest::Method::GET).then(|| json!({}));
            if !(named || BASIC.iter().any(|basic| basic.ends_with(&format!(" {template}")))) {
                for strange in [reqwest::Method::PUT, reqwest::Method::OPTIONS] {
                    let reply = admin.ask(strange, &path, None).await;
                    assert_eq!((reply.status, reply.header("allow")), (404, None), "{template}");
                }
            }
            let hidden = async |asker: &Asker| {
                let reply = asker.ask(method.clone(), &path, body.clone()).await;
                (reply.status, reply.code()) == (404, "route-not-found")
            };
            let there = named || BASIC.contains(&asked.as_str());
            if ["/reset-password", "/documentation"].contains(&template.as_str()) {
                // What it answers is a page.
                assert_eq!(admin.page(&path).await.html.starts_with('<'), there, "{asked}");
                continue;
            }
            assert_eq!(hidden(&admin).await, !there, "{asked} through the gateway, all named: {named}");
            assert_eq!(hidden(&world.nobody()).await, !there, "{asked} by nobody, all named: {named}");
            if !there {
                guarded += 1;
                // Some of them end the session in which they are asked.
                let (able, powerless) = (world.caller(&["users:admin"]).await, world.caller(&[]).await);
                assert!(!hidden(&able).await, "{asked} with a token that opens it");
                let lacks = powerless.ask(method.clone(), &path, body.clone()).await;
                assert!(![401, 403].contains(&lacks.status), "{asked} tells that it is there: {lacks:?}");
            }
        }
        assert_eq!(guarded > 20, !named, "{guarded}");
        world.settled().await;
    }
}

const DECIDES: [(&str, &str); 3] =
    [("GATEWAY_PERMISSIONS", "none"), ("GATEWAY_ANONYMOUS", "public"), ("SELF_PROTECT", "unless-backoffice")];

#[tokio::test]
async fn where_the_gateway_decides_nothing_is_asked_and_who_it_was_is_kept() {
    everywhere(&DECIDES, async |world| {
        let somebody = vouched(world, "employee-7");
        let body = json!({ "userGroup": "users", "email": "ada@example.org", "roles": [] });
        let made = somebody.post("/users/", body).await.is(200);
        let operation = world.operation(&made.operation()).await;
        let actor = &operation.body["actor"];
        assert_eq!((&actor["id"], &actor["by"]), (&json!("employee-7"), &json!("gateway")));

        // Nobody stands above another, and nobody is the last.
        let other = world.caller(&["users:admin"]).await;
        somebody.delete(&format!("/users/{}", other.id)).await.is(204);

        // Oneself is still oneself.
        let own = identity(world, &made.id()).await;
        let (path, change) = (format!("/users/{}", made.id()), json!({ "$set": { "blocked": true } }));
        vouched(world, &own).patch(&path, change.clone()).await.refuses(403, "own-record");
        let kept = vouched(world, &own).with("isbackoffice", "0");
        kept.patch(&path, change.clone()).await.refuses(403, "own-record");
        vouched(world, &own).with("isbackoffice", "true").patch(&path, change).await.is(200);
        // Also now that he is blocked.
        let unblock = json!({ "$set": { "blocked": false } });
        vouched(world, &own).patch(&path, unblock).await.refuses(403, "own-record");

        // Nobody in particular.
        gateway(world).get(&path).await.is(200);
        let keyed = gateway(world).with("idempotency-key", "k1");
        keyed.patch(&path, json!({ "$set": { "name": "N" } })).await.refuses(400, "invalid-idempotency-key");
        gateway(world).get("/userinfo").await.refuses(401, "not-logged");
        world.nobody().get(&path).await.refuses(401, "token-required");

        let admin = format!("/users/{}", world.admin().id);
        somebody.delete(&admin).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn rows_and_columns_are_what_the_gateway_says() {
    everywhere(&[], async |world| {
        let admin = vouched(world, &identity(world, &world.admin().id).await);
        let mut ids = Vec::new();
        for name in ["Ann", "Bob", "Cid"] {
            let email = format!("{name}@example.org").to_lowercase();
            let body = json!({ "userGroup": "users", "name": name, "email": email });
            ids.push(admin.post("/users/", body).await.is(200).id());
        }
        let path = |n: usize| format!("/users/{}", ids[n]);
        let rows = admin.with("acl_rows", r#"[{"name":{"$in":["Ann","Bob"]}},{"userGroup":"users"}]"#);
        assert_eq!(names(&rows.get("/users/?_s=name").await.is(200)), ["Ann", "Bob"]);
        assert_eq!(rows.get("/users/count").await.is(200).body, json!(2));
        rows.get(&path(0)).await.is(200);
        let before = world.snapshot();
        rows.get(&path(2)).await.refuses(404, "user-not-found");
        rows.patch(&path(2), json!({ "$set": { "name": "Ann" } })).await.refuses(404, "user-not-found");
        rows.delete(&path(2)).await.refuses(404, "user-not-found");
        let all = json!([{ "filter": { "name": { "$in": ["Ann", "Cid"] } }, "stateTo": "DRAFT" }]);
        for hostile in ["", "{", "7", "[7]", r#"{"$where":"1"}"#, r#"[{"name":{"$regex":"("}}]"#] {
            let told = admin.with("acl_rows", hostile);
            told.get("/users/").await.refuses(400, "invalid-query");
            told.patch(&path(0), json!({ "$set": { "name": "X" } })).await.refuses(400, "invalid-query");
        }
        assert_eq!(world.snapshot(), before);
        assert_eq!(rows.post("/users/state", all).await.is(200).body, json!(1));

        // A token of one's own does not widen what the gateway narrows.
        let token = world.admin().with("x-gateway-secret", SECRET).with("acl_rows", r#"{"name":"Bob"}"#);
        assert_eq!(names(&token.get("/users/").await.is(200)), ["Bob"]);
        token.post(&format!("{}/restore", path(0)), json!({})).await.refuses(404, "user-not-found");
        token.get(&format!("{}/sessions", path(0))).await.refuses(404, "user-not-found");

        let columns = admin.with("acl_read_columns", "name, userGroup");
        let seen = |user: &Value| {
            let mut members: Vec<String> = user.as_object().unwrap().keys().cloned().collect();
            members.sort();
            members
        };
        let few = ["_id", "name", "userGroup"];
        for user in columns.get("/users/").await.is(200).body.as_array().unwrap() {
            assert!(seen(user).iter().all(|member| few.contains(&member.as_str())), "{user}");
        }
        assert_eq!(seen(&columns.get(&path(1)).await.is(200).body), few);
        assert_eq!(seen(&columns.patch(&path(1), json!({ "$set": { "name": "Bea" } })).await.is(200).body), few);

        let writes = admin.with("acl_write_columns", "name,email,userGroup");
        writes.patch(&path(1), json!({ "$set": { "name": "Bel" } })).await.is(200);
        let before = world.snapshot();
        for change in [
            json!({ "$set": { "name": "X", "blocked": true } }),
            json!({ "$unset": { "roles": true } }),
            json!({ "$push": { "roles": "r" } }),
        ] {
            writes.patch(&path(1), change).await.refuses(403, "column-protected");
        }
        let body = json!({ "userGroup": "users", "email": "dan@example.org", "phone": "1" });
        writes.post("/users/", body).await.refuses(403, "column-protected");
        assert_eq!(world.snapshot(), before);
    })
    .await;
}

#[tokio::test]
async fn a_header_of_the_gateway_that_can_be_read_in_two_ways_is_refused() {
    let world = World::with(Place::Embedded, &[&MODE[..], &[("USERID_HEADER_KEY", "X-User-Id")]].concat()).await;
    let reader = world.caller(&["users:read"]).await;
    let own = identity(&world, &reader.id).await;
    let asks = gateway(&world).with("x-user-id", &own);
    asks.get("/users/").await.is(200);
    for (name, value) in [
        ("x-user-id", own.as_str()),
        ("x_user_id", "other"),
        ("X-User_Id", "other"),
        ("acl-rows", "{}"),
        ("acl-read_columns", "name"),
        ("x_gateway_secret", SECRET),
        ("x-gateway-secret", SECRET),
    ] {
        asks.with(name, value).get("/users/").await.refuses(400, "ambiguous-header");
        // Of whom nobody vouches for it is as if he had not said it.
        let other = reader.with(name, value).with("acl_rows", r#"{"name":"nobody"}"#);
        if name != "x-gateway-secret" {
            assert!(!other.get("/users/").await.is(200).body.as_array().unwrap().is_empty());
        }
    }
    let alone = gateway(&world).with("x_user_id", &own);
    alone.get("/users/").await.refuses(400, "ambiguous-header");
    world.settled().await;
}

#[tokio::test]
async fn an_address_is_trusted_where_it_is_named() {
    for (proxies, status) in [("127.0.0.0/8", 200), ("10.0.0.0/8", 401)] {
        let settings = [("ACCESS", "gateway"), ("TRUSTED_PROXIES", proxies)];
        let world = World::with(Place::Embedded, &settings).await;
        let own = identity(&world, &world.admin().id).await;
        let asks = world.nobody().with("miauserid", &own).with("x-forwarded-for", "127.0.0.1");
        assert_eq!(asks.get("/users/").await.status, status, "{proxies}");
        world.settled().await;
    }
}
