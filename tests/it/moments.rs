//! That a twin keeps its own word: what was asked of it while it did not answer happens exactly when the fault says.

use std::time::Duration;

use serde_json::json;
use user_manager::{
    clock::Clock,
    outcome::Failure,
    query::Filter,
    store::{Store, crud_service::CrudService},
    users::UserId,
};

use crate::{
    plane_d::patience,
    twins::{
        Twin,
        crud::Crud,
        fault::{Fault, Lands, Plan},
    },
};

const ADA: &str = "650000000000000000000001";

/// An insert that nobody answered.
async fn unanswered(fault: Fault) -> (Twin<Crud>, CrudService) {
    let twin = Twin::start(Crud::default()).await;
    let store = CrudService::new(&twin.url(), "/users", &patience(30_000), Clock::system()).unwrap();
    store.check().await.unwrap();
    twin.plan(Plan::on("POST", "/import", fault)).await;
    let fields = json!({ "userGroup": "staff" }).as_object().unwrap().clone();
    let sent = store.insert(&UserId::parse(ADA).unwrap(), &fields, "eve").await;
    assert!(matches!(sent, Err(Failure::Unknown(_))), "{sent:?}");
    assert_eq!((twin.calls(), twin.struck()), (2, 1));
    (twin, store)
}

async fn there(store: &CrudService) -> bool {
    store.get(&UserId::parse(ADA).unwrap(), &Filter::Everything).await.unwrap().is_some()
}

#[tokio::test]
async fn a_late_effect_lands_before_the_request_that_was_named() {
    let (_twin, store) = unanswered(Fault::CutLate(Lands::BeforeNext(2))).await;
    assert!(!there(&store).await);
    assert!(there(&store).await);
}

#[tokio::test]
async fn a_late_effect_lands_by_itself_after_its_time() {
    let (twin, store) = unanswered(Fault::CutLate(Lands::After(Duration::from_millis(50)))).await;
    while twin.world().rows.is_empty() {
        Clock::system().pause(Duration::from_millis(5)).await;
    }
    assert!(there(&store).await);
}

#[tokio::test]
async fn what_never_lands_does_not() {
    let (twin, store) = unanswered(Fault::CutLate(Lands::Never)).await;
    twin.land_late();
    assert!(!there(&store).await);
}
