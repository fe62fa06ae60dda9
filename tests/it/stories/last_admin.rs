//! Somebody who may do everything is always left.

use serde_json::json;
use user_manager::{
    error::{Code, Error},
    users::{self, UserId, rules::Precondition},
};

use crate::worlds::{World, everywhere};

#[tokio::test]
async fn the_last_administrator_is_neither_deleted_nor_blocked() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.admin().id);
        let before = world.people();
        world.delete(&path).await.refuses(409, "last-admin");
        world.patch(&path, json!({ "$set": { "blocked": true } })).await.refuses(409, "last-admin");
        world.settled().await;
        world.is_as(&before);

        // One who is blocked does not count, one who is not does.
        let other = world.caller(&["users:admin"]).await;
        let theirs = format!("/users/{}", other.id);
        world.patch(&theirs, json!({ "$set": { "blocked": true } })).await.is(200);
        world.delete(&path).await.refuses(409, "last-admin");
        world.patch(&theirs, json!({ "$set": { "blocked": false } })).await.is(200);
        world.delete(&path).await.is(204);
        world.get(&theirs).await.refuses(401, "token-revoked");
    })
    .await;
}

#[tokio::test]
async fn of_two_deletions_at_once_of_the_last_two_administrators_one_is_refused() {
    everywhere(async |world| {
        let other = world.caller(&["users:admin"]).await;
        let (one, two) = tokio::join!(remove(world, &world.admin().id), remove(world, &other.id));
        let refused = match (one, two) {
            (Ok(()), Err(error)) | (Err(error), Ok(())) => error,
            both => panic!("{both:?}"),
        };
        assert_eq!(refused.code(), Code::LastAdmin);
        assert_eq!(world.people().grants.len(), 1);
    })
    .await;
}

async fn remove(world: &World, id: &str) -> Result<(), Error> {
    users::delete(&world.app, &world.inside(), &UserId::parse(id).unwrap(), Precondition::None).await
}
