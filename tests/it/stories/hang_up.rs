//! Whoever asked is gone before he was answered; or an operation itself breaks.

use serde_json::{Map, json};
use user_manager::{
    error::{Code, Error},
    metrics::Standing,
    saga::{Answer, Saga},
    users::{UserId, steps::InsertUser},
};

use crate::worlds::{PASSWORD, World, everywhere};

#[tokio::test]
async fn a_caller_who_hangs_up_in_the_middle_changes_nothing_about_the_outcome() {
    everywhere(async |world| {
        let metrics = &world.app.metrics;
        let counted = |status: &str, times: u32| {
            let told =
                format!(r#"user_manager_requests_total{{method="POST",route="/users",status="{status}"}} {times}"#);
            metrics.text(Standing::default()).unwrap().lines().any(|line| line == told)
        };
        // On a busy machine somebody may be answered before it is noticed that he went away.
        for answered in 0.. {
            assert!(answered < 20, "nobody was noticed to hang up");
            let email = format!("ada-{answered}@example.org");
            let ada = json!({ "userGroup": "users", "email": email, "password": PASSWORD });
            tokio::select! {
                biased;
                () = operation_runs(world) => {}
                reply = world.post("/users/", ada) => panic!("there was no middle: {reply:?}"),
            }
            world.until("it is counted", async || counted("none", 1) || counted("200", answered + 1)).await;
            world.settled().await;
            world.nobody().logs_in(&email, PASSWORD).await.is(200);
            if counted("none", 1) {
                break;
            }
        }
    })
    .await;
}

async fn operation_runs(world: &World) {
    while world.app.journal.unsettled().await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_operation_that_panics_is_put_back() {
    everywhere(async |world| {
        let before = world.people();
        let (app, caller) = (&world.app, world.inside());
        let id = UserId::new(world.now_ms());
        let name = vec!["email:ada@example.org".to_owned()];
        let asked = caller.asks("create-user", "creating user", Some(&id), name, Answer::AtCommit);
        let fields = json!({ "userGroup": "users", "email": "ada@example.org" }).as_object().unwrap().clone();
        let told = app.sagas.run(asked, async move |saga: &mut Saga| breaks(saga, id, fields).await).await;
        assert_eq!(told.unwrap_err().code(), Code::Internal);
        world.settled().await;
        world.is_as(&before);
        world.user("ada@example.org").await;
    })
    .await;
}

async fn breaks(saga: &mut Saga, id: UserId, fields: Map<String, serde_json::Value>) -> Result<(), Error> {
    saga.step(InsertUser { id, fields, by: "test".to_owned() }).await?;
    panic!("a mistake of ours, made on purpose");
}
