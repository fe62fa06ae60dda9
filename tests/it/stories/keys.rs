//! A request that bears an idempotency key is carried out once, however often it is sent.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{Asker, PASSWORD, Place, Reply, World, everywhere, impatiently, within},
};

const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";

fn person(email: &str) -> Value {
    json!({ "userGroup": "users", "email": email, "password": PASSWORD })
}

fn under(world: &World, key: &str) -> Asker {
    world.admin().with(KEY, key)
}

/// Must be the same answer, but that the second is a repeat.
#[track_caller]
fn repeats(first: &Reply, second: &Reply) {
    assert_eq!(first.header(REPLAYED), None, "{first:?}");
    assert_eq!(second.header(REPLAYED), Some("true"), "{second:?}");
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    for header in ["content-type", "etag", "cache-control", "retry-after", "x-operation-id"] {
        assert_eq!(first.header(header), second.header(header), "{header}");
    }
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn the_same_request_is_carried_out_once_and_answered_alike() {
    everywhere(async |world| {
        let made = under(world, "made").post("/users/", person("ada@example.org")).await.is(200);
        let before = world.snapshot();
        let again = under(world, "made").post("/users", person("ada@example.org")).await.is(200);
        repeats(&made, &again);
        assert_eq!(made.operation(), again.operation());
        world.is_as(&before.people);
        assert_eq!(world.snapshot().operations, before.operations);

        // The answer is the one that was given, whatever has become of the user since.
        let path = format!("/users/{}", made.id());
        let change = || json!({ "$set": { "name": "Ada L." } });
        let changed = under(world, "changed").patch(&path, change()).await.is(200);
        assert!(changed.header("etag").is_some());
        world.patch(&path, json!({ "$set": { "name": "Ada" } })).await.is(200);
        repeats(&changed, &under(world, "changed").patch(&path, change()).await);
        assert_eq!(world.get(&path).await.is(200).text("name"), "Ada");
        // Without a key it is another request.
        world.patch(&path, change()).await.is(200);
        assert_eq!(world.get(&path).await.is(200).text("name"), "Ada L.");
        world.delete(&path).await.is(204);
        repeats(&changed, &under(world, "changed").patch(&path, change()).await);
    })
    .await;
}

#[tokio::test]
async fn eight_at_once_make_one_person() {
    everywhere(async |world| {
        let admin = under(world, "at once");
        assert_eq!(admin.post("/users/", person("x@example.org")).await.code(), "invalid-idempotency-key");
        let admin = under(world, "at-once");
        let all = join_all((0..8).map(|_| admin.post("/users/", person("ada@example.org")))).await;
        let (done, running): (Vec<&Reply>, Vec<&Reply>) = all.iter().partition(|reply| reply.status == 200);
        assert!(!done.is_empty(), "{all:?}");
        for reply in &running {
            assert_eq!((reply.status, reply.code()), (409, "idempotency-running"), "{reply:?}");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
        let operations: Vec<String> = all.iter().map(Reply::operation).collect();
        assert!(operations.iter().all(|operation| *operation == operations[0]), "{operations:?}");
        assert_eq!(done.iter().filter(|reply| reply.header(REPLAYED).is_none()).count(), 1);
        let last = admin.post("/users/", person("ada@example.org")).await.is(200);
        assert!(done.iter().all(|reply| reply.body == last.body));
        world.settled().await;
        let named = |user: &&Value| user["email"] == "ada@example.org";
        assert_eq!(world.people().users.values().filter(named).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_key_belongs_to_one_caller_and_to_one_request() {
    everywhere(async |world| {
        let made = under(world, "k").post("/users/", person("ada@example.org")).await.is(200);
        let before = world.snapshot();
        let path = format!("/users/{}", made.id());
        let change = json!({ "$set": { "name": "Ada L." } });
        for other in [
            under(world, "k").post("/users/", person("eve@example.org")).await,
            under(world, "k").patch(&path, change.clone()).await,
            under(world, "k").post(&format!("/operations/{}/retry", made.operation()), json!({})).await,
        ] {
            let other = other.refuses(422, "idempotency-mismatch");
            assert_eq!((other.header("x-operation-id"), other.header(REPLAYED)), (None, None));
        }
        assert_eq!(world.snapshot(), before);
        let clerk = world.caller(&["users:write"]).await.with(KEY, "k");
        let theirs = clerk.post("/users/", person("eve@example.org")).await.is(200);
        assert_ne!(theirs.operation(), made.operation());
        assert_eq!(theirs.header(REPLAYED), None);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_is_kept_too_unless_somebody_may_mend_it() {
    everywhere(async |world| {
        // Before any operation: form, schema, nobody there.
        let wrong = json!({ "userGroup": "users", "email": "no e-mail" });
        let refused = under(world, "wrong").post("/users/", wrong.clone()).await.refuses(400, "validation-failed");
        repeats(&refused, &under(world, "wrong").post("/users/", wrong).await);
        let mended = under(world, "wrong").post("/users/", person("ada@example.org")).await;
        mended.refuses(422, "idempotency-mismatch");
        let nobody = "/users/5f0c00000000000000000001";
        let change = || json!({ "$set": { "name": "N" } });
        let unknown = under(world, "nobody").patch(nobody, change()).await.refuses(404, "user-not-found");
        repeats(&unknown, &under(world, "nobody").patch(nobody, change()).await);

        // By an operation, which was put back.
        let ada = format!("/users/{}", world.user("ada@example.org").await);
        let taken = under(world, "taken").post("/users/", person("ada@example.org")).await.refuses(409, "name-taken");
        world.delete(&ada).await.is(204);
        let again = under(world, "taken").post("/users/", person("ada@example.org")).await;
        repeats(&taken, &again);
        assert_eq!(taken.operation(), again.operation());
        under(world, "new").post("/users/", person("ada@example.org")).await.is(200);

        // Who may ask is asked each time.
        let clerk = world.caller(&["users:read"]).await;
        let asks = clerk.with(KEY, "k");
        asks.post("/users/", person("eve@example.org")).await.refuses(403, "permission-required");
        world.app.systems.grants.grant(&clerk.id, &["users:write".to_owned()]).await.unwrap();
        world.passes(Duration::from_secs(2));
        let made = asks.post("/users/", person("eve@example.org")).await.is(200);
        assert_eq!(made.header(REPLAYED), None);
        world.nobody().with(KEY, "k").post("/users/", person("x@example.org")).await.refuses(401, "token-required");
    })
    .await;
}

#[tokio::test]
async fn what_another_system_refused_is_told_again_after_it_is_well() {
    within(&[Place::Remote, Place::RemoteUsers, Place::RemoteIdentities], async |world| {
        let refused = Fault::Status { status: 403, done: false, wait: None };
        let plan = || Plan::on("POST", "/users", refused);
        match (&world.crud, &world.keycloak) {
            (_, Some(keycloak)) => keycloak.plan(plan()).await,
            (Some(crud), None) => crud.plan(Plan::on("POST", "/import", refused)).await,
            (None, None) => unreachable!(),
        }
        let problem = under(world, "k").with("accept", "application/problem+json");
        let first = problem.post("/users/", person("ada@example.org")).await.refuses(500, "upstream-refused");
        assert_eq!(first.header("content-type"), Some("application/problem+json"));
        world.mend().await;
        world.settled().await;
        let before = world.snapshot();
        // In the form in which it was told first.
        repeats(&first, &under(world, "k").post("/users/", person("ada@example.org")).await);
        assert_eq!(world.snapshot(), before);
        under(world, "new").post("/users/", person("ada@example.org")).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_was_not_settled_in_time_is_answered_truly_under_its_key_later() {
    impatiently(&Place::KEYCLOAK, async |world| {
        let before = world.people();
        let failed = Fault::Status { status: 500, done: true, wait: None };
        world.provider().plan(Plan::on("POST", "/users", failed).lasting(Lasts::On)).await;
        let ask = async || under(world, "k").post("/users/", person("ada@example.org")).await;
        let pending = ask().await.refuses(500, "outcome-pending");
        let running = ask().await.refuses(409, "idempotency-running");
        assert_eq!(running.operation(), pending.operation());
        assert_eq!((running.header("retry-after"), running.header(REPLAYED)), (Some("1"), None));
        world.mend().await;
        let operation = pending.operation();
        world.post(&format!("/operations/{operation}/retry"), json!({})).await.is(202);
        world.until("all is put back", async || world.people() == before).await;
        world.settled().await;
        assert_eq!(world.operation(&operation).await.text("state"), "undone");
        let told = ask().await.refuses(500, "upstream-failed");
        assert_eq!((told.operation(), told.text("operationId")), (operation.clone(), operation));
        assert_eq!(told.header(REPLAYED), Some("true"));
    })
    .await;
}

#[tokio::test]
async fn a_slow_success_is_found_under_its_operation_and_under_its_key() {
    for place in Place::KEYCLOAK {
        let settings = [("ANSWER_WITHIN", "200ms"), ("NAMES_WAIT", "100ms")];
        let world = World::with(place, &settings).await;
        let slow = Fault::Slow(Duration::from_secs(4));
        world.provider().plan(Plan::on("POST", "/users", slow)).await;
        let ask = async || under(&world, "k").post("/users/", person("ada@example.org")).await;
        let pending = ask().await.refuses(500, "outcome-pending");
        assert_eq!(pending.header("retry-after"), Some("5"));
        let operation = pending.operation();
        assert_eq!(world.operation(&operation).await.text("state"), "running");
        assert_eq!(ask().await.refuses(409, "idempotency-running").operation(), operation);
        world.until("it is done", async || world.operation(&operation).await.text("state") == "done").await;
        let told = ask().await.is(200);
        assert_eq!((told.operation(), told.header(REPLAYED)), (operation.clone(), Some("true")));
        assert_eq!(told.id(), world.operation(&operation).await.text("subject"));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        world.settled().await;
    }
}

#[tokio::test]
async fn a_key_lives_so_long_and_no_longer() {
    let world = World::with(Place::Embedded, &[("IDEMPOTENCY_TTL", "1h"), ("ACCESS_TOKEN_TTL", "1h")]).await;
    let ask = async || under(&world, "k").post("/users/", person("ada@example.org")).await;
    let made = ask().await.is(200);
    world.passes(Duration::from_secs(59 * 60));
    repeats(&made, &ask().await);
    world.passes(Duration::from_secs(2 * 60));
    let admin = world.admin();
    let login = world.nobody().logs_in("root@example.org", PASSWORD).await.is(200);
    let admin = admin.holding(&admin.id, &login.text("accessToken")).with(KEY, "k");
    let anew = admin.post("/users/", person("ada@example.org")).await.refuses(409, "name-taken");
    assert_ne!(anew.operation(), made.operation());
    repeats(&anew, &admin.post("/users/", person("ada@example.org")).await);
    world.settled().await;
}

#[tokio::test]
async fn nobody_finds_a_key_a_request_or_a_password_in_the_state() {
    let world = World::at(Place::Embedded).await;
    let asked = json!({ "userGroup": "users", "email": "ada@example.org", "password": "a very secret phrase" });
    under(&world, "order-4711").post("/users/", asked).await.is(200);
    world.settled().await;
    for kept in world.state_bytes() {
        let holds = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds("order-4711") && !holds("a very secret phrase"));
    }
}
