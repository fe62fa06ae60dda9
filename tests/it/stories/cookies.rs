//! A session in a browser's cookie: what it opens, and from where.

use std::time::Duration;

use serde_json::json;

use super::sessions::OURS;
use crate::worlds::{Asker, PASSWORD, Place, Reply, World};

const SETTINGS: [(&str, &str); 2] = [("SESSION_COOKIE", "true"), ("PUBLIC_URL", "https://um.example.org")];

/// A browser that says from where it was asked.
fn browser(world: &World, cookie: Option<&str>) -> Asker {
    let asker = world.nobody().with("sec-fetch-site", "same-origin");
    match cookie {
        Some(cookie) => asker.with("cookie", &format!("theme=dark; sid={cookie}")),
        None => asker,
    }
}

/// The value that it was given, which must be kept as it ought to be.
#[track_caller]
fn given(reply: &Reply) -> String {
    let header = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {reply:?}"));
    let (pair, attributes) = header.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=1209600");
    assert_eq!(reply.body, json!(null), "the tokens stay with us");
    pair.strip_prefix("sid=").unwrap().to_owned()
}

async fn everywhere(story: impl AsyncFn(&World)) {
    for place in OURS {
        let world = World::with(place, &SETTINGS).await;
        story(&world).await;
        world.settled().await;
    }
}

#[tokio::test]
async fn a_browser_logs_in_goes_on_and_leaves_with_a_cookie_alone() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let first = given(&browser(world, None).logs_in("ada@example.org", PASSWORD).await.is(200));
        let told = browser(world, Some(&first)).get("/userinfo").await.is(200).body;
        assert_eq!(told["_id"], json!(id));
        let second = given(&browser(world, Some(&first)).post("/refreshtoken", json!({})).await.is(200));
        assert_ne!(first, second);
        // The one before is good for a while, and the same one follows it.
        assert_eq!(given(&browser(world, Some(&first)).post("/refreshtoken", json!({})).await.is(200)), second);
        browser(world, Some(&first)).get("/userinfo").await.is(200);
        world.passes(Duration::from_secs(31));
        browser(world, Some(&first)).get("/userinfo").await.refuses(401, "token-revoked");
        browser(world, Some(&second)).get("/userinfo").await.is(200);

        let change = json!({ "currentPassword": "something else", "newPassword": "wrong donkey capacitor" });
        let own = "/users/me/change-password";
        browser(world, Some(&second)).post(own, change).await.refuses(403, "password-wrong");
        let left = browser(world, Some(&second)).post("/logout", json!({})).await.is(204);
        assert_eq!(left.header("set-cookie").unwrap(), "sid=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
        browser(world, Some(&second)).get("/userinfo").await.refuses(401, "token-revoked");
        browser(world, Some(&second)).post("/refreshtoken", json!({})).await.refuses(401, "refresh-refused");
    })
    .await;
}

#[tokio::test]
async fn what_changes_something_comes_from_our_own_origin_and_is_json() {
    everywhere(async |world| {
        world.user("ada@example.org").await;
        let cookie = given(&browser(world, None).logs_in("ada@example.org", PASSWORD).await.is(200));
        let with = |headers: &[(&str, &str)]| {
            let asker = world.nobody().with("cookie", &format!("sid={cookie}"));
            headers.iter().fold(asker, |asker, (name, value)| asker.with(name, value))
        };
        let elsewhere: [&[(&str, &str)]; 7] = [
            &[],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://evil.example.org")],
            &[("origin", "https://um.example.org.evil.example")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://um.example.org")],
        ];
        for headers in elsewhere {
            for path in ["/refreshtoken", "/logout", "/users/me/change-password"] {
                with(headers).post(path, json!({})).await.refuses(403, "cross-site");
            }
            let login = with(headers).logs_in("ada@example.org", PASSWORD).await.refuses(403, "cross-site");
            assert_eq!(login.header("set-cookie"), None);
        }
        let text = browser(world, Some(&cookie));
        let text = text.sends("text/plain", reqwest::Method::POST, "/logout", b"{}".to_vec()).await;
        text.refuses(403, "cross-site");
        // Older browsers say where they are.
        let older = with(&[("origin", "https://um.example.org")]);
        older.post("/refreshtoken", json!({})).await.is(200);
        with(&[]).get("/userinfo").await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_cookie_opens_nothing_else_and_a_token_beside_it_counts_alone() {
    everywhere(async |world| {
        let root = given(&browser(world, None).logs_in("root@example.org", PASSWORD).await.is(200));
        let admin = browser(world, Some(&root));
        for path in ["/users/", "/operations/", "/users/me/sessions", "/roles/"] {
            admin.get(path).await.refuses(401, "token-required");
        }
        admin.delete("/users/me/sessions").await.refuses(401, "token-required");
        admin.with("authorization", "Bearer x").get("/userinfo").await.refuses(401, "token-invalid");

        let caller = world.caller(&[]).await;
        let both = caller.with("cookie", &format!("sid={root}"));
        assert_eq!(both.get("/userinfo").await.is(200).body["_id"], json!(caller.id));
        // One that another site of the domain put beside it; two of ours; one that is none; that of another way in.
        for beside in [format!("sid=planted; sid={root}"), format!("sid={root}; sid=planted; sid={root}")] {
            world.nobody().with("cookie", &beside).get("/userinfo").await.is(200);
        }
        let other = given(&browser(world, None).logs_in("root@example.org", PASSWORD).await.is(200));
        for two in [format!("sid={other}; sid={root}"), "sid=planted; sid=strange".to_owned()] {
            world.nobody().with("cookie", &two).get("/userinfo").await.refuses(401, "token-required");
        }
        browser(world, Some("x")).get("/userinfo").await.refuses(401, "token-revoked");
        let fields = [("grant_type", "password"), ("username", "root@example.org"), ("password", PASSWORD)];
        let form = world.nobody().sends_form("/oauth/token", &fields).await.is(200);
        assert_eq!(form.header("set-cookie"), None);
        browser(world, Some(&form.text("refresh_token"))).get("/userinfo").await.refuses(401, "token-revoked");
    })
    .await;
}

#[tokio::test]
async fn whoever_is_shut_out_has_a_cookie_that_is_good_for_nothing() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let cookie = given(&browser(world, None).logs_in("ada@example.org", PASSWORD).await.is(200));
        world.patch(&format!("/users/{id}"), json!({ "$set": { "blocked": true } })).await.is(200);
        let seen = browser(world, Some(&cookie)).get("/userinfo").await.refuses(401, "token-revoked");
        let refreshed = browser(world, Some(&cookie)).post("/refreshtoken", json!({})).await;
        for reply in [seen, refreshed.refuses(401, "refresh-refused")] {
            let told = reply.header("set-cookie").unwrap_or_else(|| panic!("it would be sent for ever: {reply:?}"));
            assert!(told.starts_with("sid=; ") && told.ends_with("; Max-Age=0"), "{told}");
        }
        // Whoever mistypes his password has not asked with it.
        let wrong = browser(world, Some(&cookie)).logs_in("ada@example.org", "something else").await;
        assert_eq!(wrong.refuses(401, "login-refused").header("set-cookie"), None);
    })
    .await;
}

#[tokio::test]
async fn without_the_setting_a_cookie_says_nothing() {
    let world = World::at(Place::Embedded).await;
    let pair = super::sessions::somebody(&world, "ada@example.org").await;
    browser(&world, Some(&pair.refresh)).get("/userinfo").await.refuses(401, "token-required");
    browser(&world, Some(&pair.refresh)).post("/refreshtoken", json!({})).await.refuses(400, "validation-failed");
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_send_the_cookie_from_browsers_that_say_no_more_than_their_origin() {
    let app = "https://app.example.org";
    let [cookies, url] = SETTINGS;
    let world = World::with(Place::Embedded, &[cookies, url, ("CORS_ORIGINS", app)]).await;
    world.user("ada@example.org").await;
    let from = |origin: &str| world.nobody().with("origin", origin);
    let cookie = given(&from(app).logs_in("ada@example.org", PASSWORD).await.is(200));
    for (origin, status) in [(app, 200), ("https://um.example.org", 200), ("https://example.org", 403)] {
        let asked = from(origin).with("cookie", &format!("sid={cookie}")).post("/refreshtoken", json!({})).await;
        assert_eq!(asked.status, status, "{origin}: {asked:?}");
        let credentials = asked.header("access-control-allow-credentials");
        assert_eq!(credentials, Some("true"), "{origin}");
        let allowed = asked.header("access-control-allow-origin");
        assert_eq!(allowed, Some(app).filter(|_| origin == app), "{origin}");
    }
    let elsewhere = from(app).with("sec-fetch-site", "same-site").with("cookie", &format!("sid={cookie}"));
    elsewhere.post("/refreshtoken", json!({})).await.refuses(403, "cross-site");
    world.settled().await;
}
