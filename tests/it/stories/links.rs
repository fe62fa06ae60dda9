//! Links by which somebody chooses a password: the whole way, and everything that ends one.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use serde_json::json;
use tokio::join;

use crate::worlds::{Mail, PASSWORD, Page, Place, World, within};

const NEW: &str = "wrong donkey capacitor";
/// Where passwords are ours.
const OURS: [Place; 2] = [Place::Embedded, Place::RemoteUsers];

async fn identity(world: &World, id: &str) -> String {
    world.get(&format!("/users/{id}")).await.is(200).text("authUserId")
}

/// A link that was mailed to that person, who has had `before` mails.
async fn link(world: &World, id: &str, before: usize) -> Mail {
    let body = json!({ "authUserId": identity(world, id).await });
    world.post("/users/change-password", body).await.is(204);
    world.mailed(before + 1).await
}

async fn chooses(world: &World, code: &str, password: &str) -> Page {
    world.nobody().submits("/reset-password", &[("code", code), ("password", password)]).await
}

#[tokio::test]
async fn a_link_is_mailed_followed_and_used_and_the_new_password_is_the_password() {
    within(&OURS, async |world| {
        let ada = world.caller(&[]).await;
        let email = world.get(&format!("/users/{}", ada.id)).await.is(200).text("email");
        let told =
            world.post("/users/change-password", json!({ "authUserId": identity(world, &ada.id).await, "x": 7 }));
        let told = told.await.is(204);
        let log = world.operation(&told.operation()).await;
        assert_eq!((log.text("kind"), log.text("subject")), ("mail-password-link".to_owned(), ada.id.clone()));

        let mail = world.mailed(1).await;
        assert_eq!((mail.headers["to"].as_str(), mail.headers["from"].as_str()), (&*email, "user-manager@localhost"));
        assert_eq!(mail.headers["subject"], "Choose a new password");
        assert_eq!(mail.headers["auto-submitted"], "auto-generated");
        assert!(mail.text.contains(&email) && mail.text.contains("60 minutes"), "{}", mail.text);
        assert!(mail.text.contains("http://127.0.0.1:8080/reset-password?code="), "{}", mail.text);
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&mail.file), mode(&world.mail_dir())), (0o600, 0o700));

        let page = world.nobody().page(&mail.link()).await.is(200);
        for (name, value) in
            [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")]
        {
            assert_eq!(page.headers[name], value, "{name}");
        }
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        for part in
            ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "'sha256-"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!page.html.contains("<script") && page.html.contains(&email), "{}", page.html);
        assert!(page.html.contains("<label for=\"password\">") && page.html.contains("autocomplete=\"new-password\""));

        let done = chooses(world, &mail.code(), NEW).await.is(200);
        assert!(done.html.contains("Your password is set"), "{}", done.html);
        world.nobody().logs_in(&email, PASSWORD).await.refuses(401, "login-refused");
        world.nobody().logs_in(&email, NEW).await.is(200);
        ada.get("/operations/").await.refuses(401, "token-revoked");

        let events = world.get("/events/?action=choose-password").await.is(200).body;
        let told: Vec<_> = events.as_array().unwrap().iter().map(|event| &event["outcome"]).collect();
        assert_eq!(told, ["begun", "done"]);
        assert_eq!((&events[1]["actor"]["id"], &events[1]["actor"]["by"]), (&json!(ada.id), &json!("reset-link")));
    })
    .await;
}

#[tokio::test]
async fn a_link_holds_once_also_when_two_use_it_at_the_same_moment() {
    within(&OURS, async |world| {
        let id = world.user("ada@example.org").await;
        let code = link(world, &id, 0).await.code();
        let used = join!(chooses(world, &code, NEW), chooses(world, &code, "another donkey of mine"));
        let mut told = [used.0.status, used.1.status];
        told.sort_unstable();
        assert_eq!(told, [200, 400]);
        chooses(world, &code, "yet another donkey").await.is(400);
        let first = if used.0.status == 200 { NEW } else { "another donkey of mine" };
        world.nobody().logs_in("ada@example.org", first).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_link_dies_with_whatever_it_was_made_for() {
    within(&OURS, async |world| {
        let (id, mut mails) = (world.user("ada@example.org").await, 0);
        let path = format!("/users/{id}");
        let mut dead = world.nobody().page("/reset-password?code=x").await.is(400).html;
        // Whoever looks is told nothing of why.
        let mut dies = async |code: &str, why: &str| {
            for page in
                [world.nobody().page(&format!("/reset-password?code={code}")).await, chooses(world, code, NEW).await]
            {
                assert_eq!((page.status, &page.html), (400, &dead), "{why}");
                dead = page.html;
            }
        };
        let mut fresh = async || {
            // Nobody has had his share.
            world.passes(Duration::from_hours(2));
            mails += 1;
            link(world, &id, mails - 1).await.code()
        };

        let code = fresh().await;
        world.passes(Duration::from_secs(3_590));
        world.nobody().page(&format!("/reset-password?code={code}")).await.is(200);
        world.passes(Duration::from_secs(10));
        dies(&code, "its time is over").await;

        let (code, other) = (fresh().await, fresh().await);
        chooses(world, &other, "the password in between").await.is(200);
        dies(&code, "another link was used").await;

        let code = fresh().await;
        world.patch(&path, json!({ "$set": { "email": "countess@example.org" } })).await.is(200);
        dies(&code, "the e-mail is another").await;

        let code = fresh().await;
        world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200);
        dies(&code, "he is blocked").await;
        world.patch(&path, json!({ "$set": { "blocked": false } })).await.is(200);
        dies(&code, "he was blocked").await;

        let code = fresh().await;
        world.delete(&path).await.is(204);
        dies(&code, "he is gone").await;
        world.nobody().logs_in("countess@example.org", NEW).await.refuses(401, "login-refused");
    })
    .await;
}

#[tokio::test]
async fn a_link_dies_with_a_password_that_was_changed_in_another_way() {
    let world = World::at(Place::Embedded).await;
    let ada = world.caller(&[]).await;
    let code = link(&world, &ada.id, 0).await.code();
    let change = json!({ "currentPassword": PASSWORD, "newPassword": NEW });
    ada.post("/users/me/change-password", change).await.is(204);
    chooses(&world, &code, "the third password").await.is(400);
    world.settled().await;
}

#[tokio::test]
async fn codes_that_are_forged_cut_or_of_somebody_else_are_one_page() {
    let world = World::at(Place::Embedded).await;
    let (ada, bob) = (world.user("ada@example.org").await, world.user("bob@example.org").await);
    let (ada, bob) = (link(&world, &ada, 0).await.code(), link(&world, &bob, 1).await.code());
    let page = world.nobody().page("/reset-password").await.is(400).html;
    let half = ada.len() / 2;
    let forged = [
        "",
        "x",
        "%00",
        "%ff",
        &ada[1..],
        &ada[..ada.len() - 1],
        &ada[..half],
        &format!("{ada}A"),
        &format!("{ada}&code=x")[half..],
        // The time and tag of one, the name of the other.
        &format!("{}{}", &ada[..54], &bob[54..]),
        &"A".repeat(4_000),
    ];
    for code in forged {
        let told = world.nobody().page(&format!("/reset-password?code={code}")).await.is(400);
        assert_eq!(told.html, page, "{code}");
        assert_eq!(chooses(&world, code, NEW).await.is(400).html, page, "{code}");
    }
    world.nobody().page(&format!("/reset-password/?code={ada}&utm_source=mail")).await.is(200);
    for email in ["ada@example.org", "bob@example.org"] {
        world.nobody().logs_in(email, PASSWORD).await.is(200);
    }
    world.settled().await;
}

#[tokio::test]
async fn no_header_moves_a_link() {
    let world = World::with(Place::Embedded, &[("PUBLIC_URL", "https://users.example.org/ums/")]).await;
    let id = world.user("ada@example.org").await;
    let mut poisoned = world.admin().clone();
    for name in ["x-forwarded-host", "x-forwarded-proto", "forwarded", "x-original-host", "origin", "referer"] {
        poisoned = poisoned.with(name, "evil.example.net");
    }
    let body = json!({ "authUserId": identity(&world, &id).await });
    poisoned.with("host", "evil.example.net").post("/users/change-password", body).await.is(204);
    let mail = world.mailed(1).await;
    assert!(!std::fs::read_to_string(&mail.file).unwrap().contains("evil"), "{mail:?}");
    assert!(mail.link().starts_with("/ums/reset-password?code="), "{mail:?}");
    assert!(mail.text.contains("https://users.example.org/ums/reset-password"), "{mail:?}");
    let page = poisoned.page(&format!("/reset-password?code={}", mail.code())).await.is(200);
    assert!(!page.html.contains("evil"), "{}", page.html);
    world.settled().await;
}

#[tokio::test]
async fn a_password_against_the_policy_is_told_on_the_page_and_the_link_holds_on() {
    within(&OURS, async |world| {
        let id = world.user("ada@example.org").await;
        let code = link(world, &id, 0).await.code();
        let long = (0..400).map(|number| format!("{number} ")).collect::<String>();
        let wrong = [
            ("tiny", "too short"),
            ("", "too short"),
            ("1234567890", "everybody would try"),
            (long.as_str(), "too long"),
        ];
        for (password, told) in wrong {
            let page = chooses(world, &code, password).await.is(400).html;
            assert!(page.contains(told) && page.contains("aria-invalid=\"true\""), "{page}");
            assert!(page.contains("aria-describedby=\"wrong hint\"") && page.contains("id=\"wrong\""), "{page}");
            assert!(password.is_empty() || !page.contains(&format!("{password}\"")), "{page}");
        }
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        chooses(world, &code, NEW).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn what_no_form_of_ours_sends_changes_nothing() {
    let world = World::at(Place::Embedded).await;
    let id = world.user("ada@example.org").await;
    let code = link(&world, &id, 0).await.code();
    let before = world.people();
    let form = "application/x-www-form-urlencoded";
    let good = format!("code={code}&password=wrong+donkey+capacitor");
    for (kind, body) in [
        ("application/json", format!("{{\"code\":\"{code}\",\"password\":\"{NEW}\"}}")),
        ("text/plain", good.clone()),
        ("multipart/form-data; boundary=x", good.clone()),
        (form, String::new()),
        (form, format!("code={code}")),
        (form, "password=wrong+donkey+capacitor".to_owned()),
        (form, format!("{good}&password=another+donkey+of+mine")),
        (form, format!("{good}&code=x")),
        (form, format!("code={code}&password=wrong+donkey%00capacitor")),
        (form, format!("code={code}&password=wrong+donkey+%ff%fe")),
        (form, "%".repeat(1000)),
    ] {
        world.nobody().submits_body("/reset-password", kind, &body).await.is(400);
    }
    let large = format!("{good}&x={}", "x".repeat(1 << 20));
    world.nobody().submits_body("/reset-password", form, &large).await.is(413);
    world.is_as(&before);
    world.nobody().submits_body("/reset-password", &format!("{form}; charset=UTF-8"), &good).await.is(200);
    world.settled().await;
}

#[tokio::test]
async fn the_page_escapes_what_it_shows() {
    let world = World::at(Place::Embedded).await;
    let name = "<script>alert(1)</script>\"'&";
    let body = json!({ "userGroup": "users", "email": "ada@example.org", "username": name });
    let id = world.post("/users/", body).await.is(200).id();
    let mail = link(&world, &id, 0).await;
    assert!(mail.text.contains(name), "{}", mail.text);
    let page = world.nobody().page(&mail.link()).await.is(200);
    assert!(!page.html.contains("<script") && page.html.contains("&lt;script&gt;"), "{}", page.html);
    world.settled().await;
}

#[tokio::test]
async fn over_keycloak_there_is_no_page_of_ours() {
    within(&Place::KEYCLOAK, async |world| {
        world.get("/reset-password?code=x").await.refuses(404, "route-not-found");
        world.post("/reset-password", json!({})).await.refuses(404, "route-not-found");
    })
    .await;
}
