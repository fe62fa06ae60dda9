//! Nobody shares a name, whoever keeps it and however it is written.

use serde_json::json;
use user_manager::clock::Clock;

use crate::worlds::{Place, Reply, World, everywhere, within};

async fn create(world: &World, email: &str) -> Reply {
    world.post("/users/", json!({ "userGroup": "users", "email": email })).await
}

#[tokio::test]
async fn of_two_creations_at_once_under_one_name_one_wins() {
    everywhere(async |world| {
        let before = world.people();
        let (one, other) = tokio::join!(create(world, "Ada@Example.org"), create(world, "aDA@exampLE.ORG"));
        let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        won.is(200);
        assert_eq!(lost.refuses(409, "name-taken").text("field"), "email");
        assert_eq!(world.people().users.len(), before.users.len() + 1);
        assert_eq!(world.people().identities.len(), before.identities.len() + 1);
    })
    .await;
}

#[tokio::test]
async fn two_who_swap_their_names_do_not_wait_for_each_other_for_ever() {
    everywhere(async |world| {
        let ada = format!("/users/{}", world.user("ada@example.org").await);
        let bob = format!("/users/{}", world.user("bob@example.org").await);
        let before = world.people();
        let set = |email: &str| json!({ "$set": { "email": email } });
        let swap = async {
            tokio::join!(world.patch(&ada, set("bob@example.org")), world.patch(&bob, set("ada@example.org")))
        };
        let (one, other) = Clock::system().within(world.app.config.names_wait * 2, swap).await.unwrap();
        for reply in [one, other] {
            assert!(matches!(reply.code(), "name-taken" | "operation-in-progress"), "{:?}", reply.is(409));
        }
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_name_that_only_the_provider_knows_is_taken() {
    everywhere(async |world| {
        world.lonely("lonely@example.org").await;
        let id = world.user("ada@example.org").await;
        let before = world.people();
        let reply = create(world, "Lonely@example.org").await.refuses(409, "name-taken");
        assert_eq!(reply.text("field"), "email");
        let named = json!({ "userGroup": "users", "email": "new@example.org", "username": "lonely@example.org" });
        world.post("/users/", named).await.refuses(409, "name-taken");
        let change = json!({ "$set": { "email": "LONELY@example.org", "name": "L" } });
        world.patch(&format!("/users/{id}"), change).await.refuses(409, "name-taken");
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_name_of_somebody_in_the_bin_is_taken() {
    within(&Place::CRUD, async |world| {
        let row = json!({ "userGroup": "users", "email": "old@example.org", "username": "old" });
        world.store().world().put("650000000000000000000001", "TRASH", row);
        let before = world.people();
        assert_eq!(create(world, "OLD@example.org").await.refuses(409, "name-taken").text("field"), "email");
        let named = json!({ "userGroup": "users", "email": "new@example.org", "username": "Old" });
        assert_eq!(world.post("/users/", named).await.refuses(409, "name-taken").text("field"), "username");
        world.settled().await;
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_name_is_kept_while_somebody_is_at_work_under_it() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let set = |name: &str| json!({ "$set": { "name": name } });
        let (one, other) = tokio::join!(world.patch(&path, set("One")), world.patch(&path, set("Other")));
        one.is(200);
        other.is(200);
        let shown = world.get(&path).await.is(200).text("name");
        assert!(shown == "One" || shown == "Other");
    })
    .await;
}
