//! Changes that are bound to what somebody has seen.

use serde_json::json;

use crate::worlds::everywhere;

#[tokio::test]
async fn a_change_holds_only_for_what_its_author_has_seen() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let set = |name: &str| json!({ "$set": { "name": name } });
        let seen = world.get(&path).await.is(200);
        let tag = seen.header("etag").unwrap().to_owned();
        assert_eq!(tag, format!("\"{}\"", seen.text("updatedAt")));
        world.admin().with("if-none-match", &tag).get(&path).await.is(304);

        let holding = world.admin().with("if-match", &tag);
        let changed = holding.patch(&path, set("First")).await.is(200);
        let newer = changed.header("etag").unwrap().to_owned();
        assert_ne!(newer, tag);
        let before = world.snapshot();
        let reply = holding.patch(&path, set("Second")).await.refuses(412, "changed-meanwhile");
        assert_eq!(reply.header("x-operation-id"), None);
        holding.delete(&path).await.refuses(412, "changed-meanwhile");
        world.admin().with("if-match", &format!("W/{newer}")).delete(&path).await.refuses(412, "changed-meanwhile");
        assert_eq!(world.snapshot(), before);
        world.admin().with("if-none-match", &tag).get(&path).await.is(200);

        let tags = format!("{tag}, {newer}");
        world.admin().with("if-match", &tags).patch(&path, set("Third")).await.is(200);
        world.admin().with("if-match", "*").delete(&path).await.is(204);
        world.admin().with("if-match", "*").delete(&path).await.refuses(404, "user-not-found");
    })
    .await;
}

#[tokio::test]
async fn of_two_changes_bound_to_the_same_sight_one_holds() {
    everywhere(async |world| {
        let path = format!("/users/{}", world.user("ada@example.org").await);
        let tag = world.get(&path).await.is(200).header("etag").unwrap().to_owned();
        let holding = world.admin().with("if-match", &tag);
        let set = |name: &str| json!({ "$set": { "name": name } });
        let (one, other) = tokio::join!(holding.patch(&path, set("One")), holding.patch(&path, set("Other")));
        let (held, lost) = if one.status == 200 { (one, other) } else { (other, one) };
        lost.refuses(412, "changed-meanwhile");
        let now = world.get(&path).await.is(200);
        assert_eq!(now.body, held.is(200).body);
    })
    .await;
}
