//! Failed logins: what they cost, whom, and for how long.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use user_manager::{
    access::{gate::Arrival, login, sessions::Way},
    app::App,
    error::{Code, Error},
};

use super::sessions::OURS;
use crate::worlds::{Asker, PASSWORD, Place, Reply, World, everywhere, within};

const ADA: &str = "ada@example.org";
const NOBODY: &str = "nobody@example.org";
/// After so many the wait is 32 seconds: longer than a story takes on a busy machine.
const MANY: usize = 10;

/// So many wrong passwords, each as soon as it may be.
async fn fails(world: &World, asker: &Asker, name: &str, times: usize) {
    let mut left = times;
    while left > 0 {
        let reply = asker.logs_in(name, "wrong").await;
        match reply.status {
            429 => world.passes(Duration::from_secs(seconds(&reply))),
            _ => {
                reply.refuses(401, "login-refused");
                left -= 1;
            }
        }
    }
}

fn seconds(reply: &Reply) -> u64 {
    reply.header("retry-after").unwrap().parse().unwrap()
}

/// From there, as a proxy that is trusted says.
fn from(world: &World, address: &str) -> Asker {
    world.nobody().with("x-forwarded-for", address)
}

async fn behind_a_proxy() -> World {
    World::with(Place::Embedded, &[("TRUSTED_PROXIES", "127.0.0.1")]).await
}

/// What twins were asked until now.
fn asked(world: &World) -> usize {
    let crud = world.crud.iter().map(|crud| crud.log().len());
    crud.chain(world.keycloak.iter().map(|keycloak| keycloak.log().len())).sum()
}

#[tokio::test]
async fn whoever_fails_too_often_waits_and_then_logs_in() {
    everywhere(async |world| {
        world.user(ADA).await;
        for _ in 0..MANY {
            fails(world, &world.nobody(), ADA, 1).await;
            fails(world, &world.nobody(), NOBODY, 1).await;
        }
        let before = asked(world);
        let wait = async |name: &str, password: &str| {
            let reply = world.nobody().logs_in(name, password).await.refuses(429, "throttled");
            let mut body = reply.body.clone();
            body["requestId"] = Value::Null;
            ((body, reply.headers.len()), seconds(&reply))
        };
        let (told, first) = wait(ADA, PASSWORD).await;
        assert!((1..=32).contains(&first), "{first}");
        assert_eq!(wait(ADA, "wrong").await.0, told);
        assert_eq!(wait(NOBODY, "wrong").await.0, told, "whether anybody has the name");
        world.passes(Duration::from_secs(5));
        let (_, second) = wait(ADA, PASSWORD).await;
        assert!(second + 5 <= first, "{first}, then {second}");
        assert_eq!(asked(world), before, "nobody else was asked");

        world.passes(Duration::from_secs(second));
        world.nobody().logs_in(ADA, PASSWORD).await.is(200);
        // All is forgotten but what failed at this address.
        for _ in 0..4 {
            world.nobody().logs_in(ADA, "wrong").await.refuses(401, "login-refused");
        }
        world.nobody().logs_in(ADA, PASSWORD).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn nobody_is_shut_out_by_what_others_try_elsewhere() {
    let world = behind_a_proxy().await;
    world.user(ADA).await;
    let refused = async |address: &str| from(&world, address).logs_in(ADA, PASSWORD).await.refuses(429, "throttled");
    let enters = async |address: &str| from(&world, address).logs_in(ADA, PASSWORD).await.is(200);

    fails(&world, &from(&world, "203.0.113.7"), ADA, MANY).await;
    refused("203.0.113.7").await;
    enters("203.0.113.8").await;
    let told = world.get("/events/?action=log-in").await.is(200).body;
    assert_eq!(told.as_array().unwrap().last().unwrap()["actor"]["address"], "203.0.113.8");
    // What stands before the address that the proxy saw, the client made up.
    refused("203.0.113.9, 203.0.113.7").await;
    refused("203.0.113.9,203.0.113.7,127.0.0.1").await;

    fails(&world, &from(&world, "2001:db8:0:1::1"), ADA, MANY).await;
    refused("2001:db8:0:1::2").await;
    enters("2001:db8:0:2::1").await;
    fails(&world, &from(&world, "::ffff:198.51.100.1"), ADA, MANY).await;
    refused("198.51.100.1").await;
}

#[tokio::test]
async fn an_address_that_nobody_vouches_for_is_none() {
    let world = World::at(Place::Embedded).await;
    world.user(ADA).await;
    for number in 0..MANY {
        fails(&world, &from(&world, &format!("203.0.113.{number}")), ADA, 1).await;
    }
    from(&world, "203.0.113.99").logs_in(ADA, PASSWORD).await.refuses(429, "throttled");
    world.nobody().logs_in(ADA, PASSWORD).await.refuses(429, "throttled");
}

#[tokio::test]
async fn an_address_that_tries_many_names_waits_whatever_the_name() {
    let settings = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("LOGIN_FREE_FAILURES_ADDRESS", "8")];
    let world = World::with(Place::Embedded, &settings).await;
    world.user(ADA).await;
    let spray = from(&world, "203.0.113.7");
    for number in 0..13 {
        fails(&world, &spray, &format!("{number}@example.org"), 1).await;
        // A right one does not clear what is counted of the address.
        if number < 7 {
            spray.logs_in(ADA, PASSWORD).await.is(200);
        }
    }
    spray.logs_in(ADA, PASSWORD).await.refuses(429, "throttled");
    from(&world, "203.0.113.8").logs_in(ADA, PASSWORD).await.is(200);
}

#[tokio::test]
async fn wrong_ones_at_once_are_few_tries_and_right_ones_at_once_are_all_let_in() {
    everywhere(async |world| {
        world.user(ADA).await;
        let nobody = world.nobody();
        let replies = join_all((0..64).map(|_| nobody.logs_in(ADA, PASSWORD))).await;
        replies.into_iter().for_each(|reply| drop(reply.is(200)));
        let replies = join_all((0..64).map(|_| nobody.logs_in(ADA, "wrong"))).await;
        let tried = replies.iter().filter(|reply| reply.status == 401).count();
        let waited = replies.iter().filter(|reply| reply.code() == "throttled").count();
        // One more for every wait that has passed meanwhile.
        assert!((5..8).contains(&tried) && tried + waited == 64, "{tried} tried, {waited} waited");
    })
    .await;
}

/// As a login at that process is answered.
async fn logs_in_at(app: &App, name: &str) -> Error {
    let arrival = Arrival {
        request_id: "r".to_owned(),
        address: Some("127.0.0.1".parse().unwrap()),
        vouched: None,
        operation: std::sync::Arc::default(),
        seen: std::sync::Arc::default(),
    };
    login::log_in(app, &arrival, Way::Json, name, &PASSWORD.into()).await.unwrap_err()
}

#[tokio::test]
async fn the_next_process_knows_who_waits_and_no_name_lies_in_our_state() {
    let world = World::at(Place::Embedded).await;
    fails(&world, &world.nobody(), "Eve@Example.org", MANY).await;
    for file in world.state_bytes() {
        let text = String::from_utf8_lossy(&file).to_lowercase();
        assert!(!text.contains("eve@example.org"));
    }
    let (next, _directory) = world.starts_anew().await;
    let error = logs_in_at(&next, "eve@example.org").await;
    assert_eq!(error.code(), Code::Throttled);
    assert!((1..=32).contains(&error.retry_after.unwrap()));
    assert_eq!(logs_in_at(&next, NOBODY).await.code(), Code::LoginRefused);
}

#[tokio::test]
async fn both_doors_count_alike_and_each_says_so_in_its_own_words() {
    everywhere(async |world| {
        world.user(ADA).await;
        let form = async |password: &str| {
            let body = format!("grant_type=password&username={ADA}&password={password}");
            let kind = "application/x-www-form-urlencoded";
            world.nobody().sends(kind, Method::POST, "/oauth/token", body.into_bytes()).await
        };
        for _ in 0..3 {
            assert_eq!(form("wrong").await.is(400).body["error"], "invalid_grant");
        }
        fails(world, &world.nobody(), ADA, MANY - 3).await;
        let told = form("correct+horse+battery").await.is(429);
        assert_eq!((&told.body["error"], told.body.as_object().unwrap().len()), (&json!("slow_down"), 2));
        assert_eq!(told.header("cache-control"), Some("no-store"));
        world.passes(Duration::from_secs(seconds(&told)));
        form("correct+horse+battery").await.is(200);
    })
    .await;
}

#[tokio::test]
async fn the_current_password_is_tried_no_more_often_than_a_login() {
    within(&OURS, async |world| {
        let ada = world.caller(&[]).await;
        let email = world.get(&format!("/users/{}", ada.id)).await.is(200).text("email");
        let change = async |current: &str| {
            let body = json!({ "currentPassword": current, "newPassword": "wrong donkey capacitor" });
            ada.post("/users/me/change-password", body).await
        };
        let mut wrong = 0;
        while wrong < MANY {
            let reply = change("wrong").await;
            match reply.status {
                429 => world.passes(Duration::from_secs(seconds(&reply))),
                _ => {
                    reply.refuses(403, "password-wrong");
                    wrong += 1;
                }
            }
        }
        let told = change(PASSWORD).await.refuses(429, "throttled");
        // Each is counted by itself: whoever has taken a session over keeps nobody from logging in.
        world.nobody().logs_in(&email, PASSWORD).await.is(200);
        world.passes(Duration::from_secs(seconds(&told)));
        change(PASSWORD).await.is(204);
    })
    .await;
}
