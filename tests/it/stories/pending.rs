//! A system stays away while an operation has to go back.

use serde_json::json;

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{Place, impatiently},
};

#[tokio::test]
async fn what_cannot_be_put_back_yet_is_shown_and_settles_when_asked_again() {
    impatiently(&Place::KEYCLOAK, async |world| {
        let clerk = world.caller(&["operations:read", "operations:write"]).await;
        let before = world.people();
        // Made, but told otherwise; then the provider is gone.
        let failed = Fault::Status { status: 500, done: true, wait: None };
        world.provider().plan(Plan::on("POST", "/users", failed).lasting(Lasts::On)).await;
        let new = || json!({ "userGroup": "users", "email": "ada@example.org" });
        let reply = world.post("/users/", new()).await.refuses(500, "outcome-pending");
        assert_eq!(reply.header("retry-after"), Some("5"));
        let operation = reply.operation();
        assert_eq!(reply.text("operationId"), operation);
        let shown = world.operation(&operation).await;
        assert_eq!((shown.text("state"), shown.text("kind")), ("rolling-back".into(), "create-user".into()));
        // Its name is nobody's until it is settled.
        let taken = world.post("/users/", new()).await.refuses(409, "operation-in-progress");
        assert!(taken.header("retry-after").is_some());
        assert_eq!(taken.header("x-operation-id"), None);

        let attention = "/operations/?state=needs-attention";
        // The pauses between its attempts have grown long by then.
        let looked_at = async || {
            world.ends_next_pause();
            world.get(attention).await.is(200).body != json!([])
        };
        world.until("somebody should look", looked_at).await;
        let shown = world.operation(&operation).await;
        assert_eq!(shown.text("state"), "needs-attention");
        assert!(shown.text("next").contains("responded with a 500 status code"), "{}", shown.body);
        assert!(!shown.body.to_string().contains("ada@"), "{}", shown.body);

        let retry = format!("/operations/{operation}/retry");
        clerk.post(&retry, json!({})).await.refuses(403, "permission-required");
        world.mend().await;
        world.post(&retry, json!({})).await.is(202);
        world.until("all is put back", async || world.people() == before).await;
        world.settled().await;
        assert_eq!(world.operation(&operation).await.text("state"), "undone");
        world.post(&retry, json!({})).await.refuses(409, "operation-settled");
        world.post("/users/", new()).await.is(200);
    })
    .await;
}

#[tokio::test]
async fn operations_are_seen_by_those_who_asked_for_them_and_those_who_may() {
    impatiently(&[Place::Embedded, Place::Remote], async |world| {
        let clerk = world.caller(&["users:write"]).await;
        let other = world.caller(&["users:write"]).await;
        let new = json!({ "userGroup": "users", "email": "ada@example.org" });
        let made = clerk.with("x-request-id", "story-1").post("/users/", new).await.is(200);
        let path = format!("/operations/{}", made.operation());
        let shown = clerk.get(&path).await.is(200);
        assert_eq!((shown.text("subject"), shown.text("requestId")), (made.id(), "story-1".to_owned()));
        assert_eq!(shown.body["actor"]["id"], json!(clerk.id));
        let steps = shown.body["steps"].as_array().unwrap();
        let steps: Vec<_> = steps.iter().map(|step| (&step["name"], &step["state"])).collect();
        let done = json!("done");
        let names = ["insert-user", "create-identity", "link-identity"].map(serde_json::Value::from);
        assert_eq!(steps, names.iter().map(|name| (name, &done)).collect::<Vec<_>>());
        other.get(&path).await.refuses(404, "operation-not-found");
        assert_eq!(other.get("/operations/").await.is(200).body, json!([]));
        assert_eq!(clerk.get("/operations/?request=story-1").await.is(200).body, json!([shown.body]));
        assert_eq!(world.get(&path).await.is(200).body, shown.body);
    })
    .await;
}
