//! Mails: who is to get one, what keeps them, when they leave.

use std::time::Duration;

use serde_json::{Value, json};
use user_manager::{mail::sending, retention};

use crate::{
    twins::{
        fault::{Fault, Lasts, Plan},
        keycloak::{LOGIN, Mail},
        smtp::MailServer,
    },
    worlds::{PASSWORD, Place, World, everywhere, within},
};

const LINK: &str = "/users/change-password";

async fn identity(world: &World, id: &str) -> Value {
    let identity = world.get(&format!("/users/{id}")).await.is(200).text("authUserId");
    json!({ "authUserId": identity })
}

/// How many were sent, by whoever sends them here.
fn sent(world: &World) -> usize {
    world.keycloak.as_ref().map_or_else(|| world.mails().len(), |keycloak| keycloak.world().mails.len())
}

async fn until_sent(world: &World, count: usize) {
    world.until(&format!("{count} mails were sent"), async || sent(world) >= count).await;
    assert_eq!(sent(world), count);
}

#[tokio::test]
async fn somebody_new_is_mailed_a_link_unless_he_is_not_to_be_or_cannot_be() {
    everywhere(async |world| {
        let new = |email: &str| json!({ "userGroup": "users", "email": email });
        let mut count = 0;
        // A password that is given changes nothing about it.
        let with = json!({ "userGroup": "users", "email": "b@example.org", "password": PASSWORD });
        for (path, body) in [("/users/?", new("a@example.org")), ("/users/?sendResetPwdEmail=true", with)] {
            world.post(path, body).await.is(200);
            count += 1;
            until_sent(world, count).await;
        }
        let later = "/users/?postponeAuthUserCreation=true&sendResetPwdEmail=true";
        let mut waiting = Vec::new();
        for email in ["c@example.org", "d@example.org"] {
            waiting.push(world.post(later, new(email)).await.is(200).id());
        }
        world.post("/users/register?", json!({ "_id": waiting[0] })).await.is(204);
        count += 1;
        until_sent(world, count).await;
        world.post("/users/register?sendResetPwdEmail=false", json!({ "_id": waiting[1] })).await.is(204);
        world.post("/users/?sendResetPwdEmail=false", new("e@example.org")).await.is(200);
        let blocked = json!({ "userGroup": "users", "email": "f@example.org", "blocked": true });
        world.post("/users/?", blocked).await.is(200);

        let schema = json!({ "type": "object", "properties": {} });
        let alone =
            json!({ "userGroup": "alone", "label": "A", "crudSchema": schema, "authUserCreationDisabled": true });
        world.post("/ums-config/", alone).await.is(200);
        let nameless = json!({ "userGroup": "nameless", "label": "N", "crudSchema": schema });
        world.post("/ums-config/", nameless).await.is(200);
        world.post("/users/?", json!({ "userGroup": "alone", "email": "g@example.org" })).await.is(200);
        world.post("/users/?", json!({ "userGroup": "nameless", "username": "henry" })).await.is(200);
        world.settled().await;
        assert_eq!((sent(world), world.mails_kept()), (count, count));
        for path in ["/users/?sendResetPwdEmail=yes", "/users/with-id?sendResetPwdEmail=true"] {
            world.post(path, new("h@example.org")).await.refuses(400, "invalid-parameter");
        }
    })
    .await;
}

#[tokio::test]
async fn somebody_new_chooses_his_first_password_by_the_link() {
    within(&[Place::Embedded, Place::RemoteUsers], async |world| {
        world.post("/users/?", json!({ "userGroup": "users", "email": "ada@example.org" })).await.is(200);
        let mail = world.mailed(1).await;
        assert_eq!(mail.headers["subject"], "Choose your password");
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        let form = [("code", mail.code()), ("password", PASSWORD.to_owned())];
        let form = form.each_ref().map(|(name, value)| (*name, value.as_str()));
        world.nobody().submits("/reset-password", &form).await.is(200);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn who_cannot_be_mailed_a_link_is_told_why() {
    everywhere(async |world| {
        let id = world.user("ada@example.org").await;
        let (path, whose) = (format!("/users/{id}"), identity(world, &id).await);
        world.post(LINK, json!({ "authUserId": "nobody" })).await.refuses(404, "identity-not-found");
        // Nobody could tell who is above somebody without a user.
        let lonely = world.lonely("lonely@example.org").await;
        world.post(LINK, json!({ "authUserId": lonely })).await.refuses(404, "identity-not-found");
        world.post(LINK, json!({})).await.refuses(400, "validation-failed");
        world.post(LINK, json!({ "authUserId": 7 })).await.refuses(400, "validation-failed");
        world.post(LINK, json!({ "authUserId": "." })).await.refuses(400, "invalid-value");
        world.post(LINK, json!([])).await.refuses(400, "invalid-json");
        world.nobody().post(LINK, whose.clone()).await.refuses(401, "token-required");
        let reader = world.caller(&["users:read"]).await;
        reader.post(LINK, whose.clone()).await.refuses(403, "permission-required");
        let writer = world.caller(&["users:write"]).await;
        let above = identity(world, &world.admin().id).await;
        writer.post(LINK, above).await.refuses(403, "person-above");

        let nameless = json!({ "type": "object", "properties": {} });
        world.post("/ums-config/", json!({ "userGroup": "n", "label": "N", "crudSchema": nameless })).await.is(200);
        let henry = world.post("/users/", json!({ "userGroup": "n", "username": "henry" })).await.is(200).id();
        let henry = identity(world, &henry).await;
        world.post(LINK, henry).await.refuses(400, "no-email");
        world.patch(&path, json!({ "$set": { "blocked": true } })).await.is(200);
        world.post(LINK, whose.clone()).await.refuses(409, "identity-blocked");
        world.settled().await;
        assert_eq!((sent(world), world.mails_kept()), (0, 0));

        world.patch(&path, json!({ "$set": { "blocked": false } })).await.is(200);
        writer.post(LINK, whose).await.is(204);
        until_sent(world, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_link_asked_for_twice_under_one_key_is_mailed_once() {
    everywhere(async |world| {
        let whose = identity(world, &world.user("ada@example.org").await).await;
        let keyed = world.admin().with("idempotency-key", "k");
        let first = keyed.post(LINK, whose.clone()).await.is(204);
        let again = keyed.post(LINK, whose.clone()).await.is(204);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(first.operation(), again.operation());
        world.post(LINK, whose).await.is(204);
        until_sent(world, 2).await;
        assert_eq!(world.mails_kept(), 2);
    })
    .await;
}

#[tokio::test]
async fn nobody_is_mailed_to_without_end() {
    everywhere(async |world| {
        let (ada, bob) = (world.user("ada@example.org").await, world.user("bob@example.org").await);
        let (ada, bob) = (identity(world, &ada).await, identity(world, &bob).await);
        for _ in 0..8 {
            world.post(LINK, ada.clone()).await.is(204);
        }
        until_sent(world, 5).await;
        world.post(LINK, bob).await.is(204);
        until_sent(world, 6).await;
        assert_eq!(world.mails_kept(), 6);
        world.passes(Duration::from_mins(61));
        world.post(LINK, ada).await.is(204);
        until_sent(world, 7).await;
    })
    .await;
}

#[tokio::test]
async fn what_waits_to_be_mailed_outlives_the_process_and_is_sent_once() {
    let world = World::at(Place::Embedded).await;
    // Where mails should be is something else.
    std::fs::write(world.mail_dir(), "").unwrap();
    let id = world.user("ada@example.org").await;
    let refused = world.post(LINK, identity(&world, &id).await).await.refuses(500, "mail-unavailable");
    assert!(refused.message().contains("MAIL_DIR"), "{}", refused.message());
    let new = json!({ "userGroup": "users", "email": "bob@example.org" });
    world.post("/users/?", new).await.is(200);
    world.settled().await;
    assert_eq!((world.mails().len(), world.mails_kept()), (0, 1));

    let (app, directory) = world.starts_anew().await;
    let lie_there = || std::fs::read_dir(directory.path().join("mail")).map_or(0, Iterator::count);
    world.passes(Duration::from_mins(1));
    world.until("the mail was sent", async || lie_there() == 1).await;
    // Nothing of it is left to be done, whoever looks.
    world.passes(Duration::from_hours(1));
    sending::look(&app).await;
    assert_eq!(lie_there(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_mail_that_cannot_leave_is_tried_again_and_given_up_at_last() {
    within(&Place::KEYCLOAK, async |world| {
        let whose = identity(world, &world.user("ada@example.org").await).await;
        world.provider().world().has_mail_server = false;
        let tried = || world.provider().log().iter().filter(|line| line.ends_with("execute-actions-email")).count();
        world.post(LINK, whose.clone()).await.is(204);
        world.until("it was tried", async || tried() == 1).await;
        world.provider().world().has_mail_server = true;
        world.passes(Duration::from_secs(10));
        until_sent(world, 1).await;

        world.provider().world().has_mail_server = false;
        world.post(LINK, whose).await.is(204);
        for nth in 3..=12 {
            world.until("it was tried again", async || tried() == nth).await;
            world.passes(Duration::from_hours(9));
        }
        sending::look(&world.app).await;
        assert_eq!((tried(), sent(world)), (12, 1));
    })
    .await;
}

#[tokio::test]
async fn a_mail_of_keycloaks_whose_answer_is_lost_may_come_again_but_not_without_end() {
    within(&Place::KEYCLOAK, async |world| {
        let whose = identity(world, &world.user("ada@example.org").await).await;
        world.post(LINK, whose.clone()).await.is(204);
        until_sent(world, 1).await;
        let expected = Mail {
            to: "ada@example.org".to_owned(),
            actions: vec!["UPDATE_PASSWORD".to_owned()],
            client: None,
            redirect: None,
            lifespan: 43_200,
        };
        assert_eq!(world.provider().world().mails, [expected]);

        let plan = Plan::on("PUT", "/execute-actions-email", Fault::CutDone).lasting(Lasts::EachTime);
        world.provider().plan(plan).await;
        world.post(LINK, whose).await.is(204);
        for count in 2..=4 {
            until_sent(world, count).await;
            world.passes(Duration::from_mins(5));
        }
        world.passes(Duration::from_hours(9));
        sending::look(&world.app).await;
        assert_eq!(sent(world), 4);
        world.mend().await;
    })
    .await;
}

#[tokio::test]
async fn a_mail_of_keycloaks_leads_where_the_settings_say() {
    let settings = [
        ("KEYCLOAK_EMAIL_CLIENT_ID", LOGIN.0),
        ("KEYCLOAK_EMAIL_REDIRECT_URI", "https://app.example.org/?a=b&c"),
        ("KEYCLOAK_EMAIL_LIFESPAN", "30m"),
    ];
    let world = World::with(Place::RemoteIdentities, &settings).await;
    world.post("/users/?", json!({ "userGroup": "users", "email": "ada@example.org" })).await.is(200);
    until_sent(&world, 1).await;
    let mail = world.provider().world().mails[0].clone();
    assert_eq!((mail.client.as_deref(), mail.lifespan), (Some(LOGIN.0), 1800));
    assert_eq!(mail.redirect.as_deref(), Some("https://app.example.org/?a=b&c"));
    world.settled().await;
}

#[tokio::test]
async fn a_mail_lapses_when_its_person_is_blocked_before_it_leaves() {
    let world = World::at(Place::Embedded).await;
    std::fs::write(world.mail_dir(), "").unwrap();
    let new = json!({ "userGroup": "users", "email": "bob@example.org" });
    let id = world.post("/users/?", new).await.is(200).id();
    world.settled().await;
    world.patch(&format!("/users/{id}"), json!({ "$set": { "blocked": true } })).await.is(200);
    world.patch(&format!("/users/{id}"), json!({ "$set": { "blocked": false } })).await.is(200);
    world.patch(&format!("/users/{id}"), json!({ "$set": { "blocked": true } })).await.is(200);
    std::fs::remove_file(world.mail_dir()).unwrap();
    world.passes(Duration::from_hours(9));
    sending::look(&world.app).await;
    world.patch(&format!("/users/{id}"), json!({ "$set": { "blocked": false } })).await.is(200);
    world.passes(Duration::from_hours(9));
    sending::look(&world.app).await;
    assert_eq!(world.mails().len(), 0);
    world.settled().await;
}

#[tokio::test]
async fn what_is_kept_of_mails_goes_after_the_retention() {
    let world = World::with(Place::Embedded, &[("RETENTION", "2d")]).await;
    world.post("/users/?", json!({ "userGroup": "users", "email": "ada@example.org" })).await.is(200);
    world.mailed(1).await;
    world.settled().await;
    world.passes(Duration::from_hours(24));
    retention::forget(&world.app).await.unwrap();
    assert_eq!(world.mails_kept(), 1);
    world.passes(Duration::from_hours(25));
    world.until("it is gone", async || retention::forget(&world.app).await.is_ok() && world.mails_kept() == 0).await;
}

#[tokio::test]
async fn mails_and_pages_are_in_the_language_of_whoever_reads_them() {
    let templates = tempfile::tempdir().unwrap();
    std::fs::create_dir(templates.path().join("de")).unwrap();
    let write = |file: &str, text: &str| std::fs::write(templates.path().join("de").join(file), text).unwrap();
    write("welcome.txt", "Subject: Willkommen, Jürgen\n\nHier, Jürgen:\n{{ link }}\n");
    write("reset-password.html", "<!doctype html><html lang=\"de\"><title>Passwort {{ state }}</title>");
    let settings = [("TEMPLATES_DIR", templates.path().to_str().unwrap())];
    let world = World::with(Place::Embedded, &settings).await;
    let schema = json!({ "type": "object", "properties": { "locale": { "type": "string" } } });
    world.post("/ums-config/", json!({ "userGroup": "people", "label": "P", "crudSchema": schema })).await.is(200);
    let new = |email: &str, locale: &str| json!({ "userGroup": "people", "email": email, "locale": locale });
    world.post("/users/?", new("a@example.org", "de-AT")).await.is(200);
    let mail = world.mailed(1).await;
    assert!(mail.headers["subject"].starts_with("Willkommen, =?utf-8?"), "{mail:?}");
    assert!(mail.text.starts_with("Hier, Jürgen:"), "{mail:?}");
    assert!(world.nobody().page(&mail.link()).await.is(200).html.contains("<title>Passwort form"));
    world.post("/users/?", new("b@example.org", "../../etc")).await.is(200);
    let mail = world.mailed(2).await;
    assert_eq!(mail.headers["subject"], "Choose your password");
    world.settled().await;
}

#[tokio::test]
async fn a_server_that_takes_mails_gets_each_once_it_takes_it() {
    let server = MailServer::start().await;
    let (url, from) = (server.url.clone(), "Users <users@example.org>");
    let world = World::with(Place::Embedded, &[("SMTP_URL", &url), ("MAIL_FROM", from)]).await;
    server.refuses(2);
    world.post("/users/?", json!({ "userGroup": "users", "email": "ada@example.org" })).await.is(200);
    for _ in 0..2 {
        let before = server.refused();
        world.until("it was refused", async || server.refused() > before || !server.taken().is_empty()).await;
        world.passes(Duration::from_mins(1));
    }
    world.until("it was taken", async || !server.taken().is_empty()).await;
    let [(envelope, text)] = server.taken().try_into().unwrap();
    assert!(envelope[0].starts_with("MAIL FROM:<users@example.org>"), "{envelope:?}");
    assert!(envelope[1].starts_with("RCPT TO:<ada@example.org>"), "{envelope:?}");
    assert!(text.contains("From: Users <users@example.org>\r\n") && text.contains("Date: "), "{text}");
    assert_eq!(world.mails().len(), 0);
    world.settled().await;
}
