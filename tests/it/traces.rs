//! Which trace the calls belong to that are made for a request, and those that nobody asked for.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use user_manager::users::{self, create::Draft};

use crate::{
    twins::{
        Trace,
        fault::{Fault, Lasts, Plan},
    },
    worlds::{PASSWORD, World},
};

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What the twins were told while that was done.
async fn told(world: &World, work: impl Future<Output = ()>) -> Vec<Trace> {
    let (store, provider) = (world.store().traces().len(), world.provider().traces().len());
    work.await;
    world.settled().await;
    let (store, provider) = (world.store().traces().split_off(store), world.provider().traces().split_off(provider));
    assert!(!store.is_empty() || !provider.is_empty());
    [store, provider].concat()
}

/// The id of the trace and of the caller in it.
#[track_caller]
fn parts(trace: &Trace) -> (&str, &str) {
    let parts = trace.parent.split('-').collect::<Vec<_>>();
    let lengths = parts.iter().map(|part| part.len()).collect::<Vec<_>>();
    assert!(lengths == [2, 32, 16, 2] && parts[0] == "00", "{trace:?}");
    (parts[1], parts[2])
}

fn ids(traces: &[Trace]) -> BTreeSet<&str> {
    traces.iter().map(|trace| parts(trace).0).collect()
}

#[tokio::test]
async fn every_call_that_is_made_for_a_request_belongs_to_its_trace() {
    let world = World::remote().await;
    let admin = world.admin().with("traceparent", PARENT).with("tracestate", "a=1, b=2");
    let traces = told(&world, async {
        let new = json!({ "userGroup": "users", "email": "ada@example.org", "password": PASSWORD });
        let ada = format!("/users/{}", admin.post("/users/", new).await.is(200).id());
        admin.get("/users/").await.is(200);
        admin.patch(&ada, json!({ "$set": { "name": "Ada" } })).await.is(200);
        let in_trace = world.nobody().with("traceparent", PARENT).with("tracestate", "a=1,b=2");
        let pair = in_trace.logs_in("ada@example.org", PASSWORD).await.is(200);
        let in_session = in_trace.holding("", &pair.text("accessToken"));
        let refresh = json!({ "refreshToken": pair.text("refreshToken") });
        in_session.post("/refreshtoken", refresh).await.is(200);
        admin.delete(&ada).await.is(204);
    });
    let traces = traces.await;
    assert_eq!(ids(&traces), BTreeSet::from([ID]));
    assert!(traces.iter().all(|trace| trace.parent.ends_with("-01") && trace.state.as_deref() == Some("a=1,b=2")));
    let callers = traces.iter().map(|trace| parts(trace).1).collect::<BTreeSet<_>>();
    assert_eq!(callers.len(), traces.len(), "each call has its own");
    assert!(!callers.contains("00f067aa0ba902b7"));
}

#[tokio::test]
async fn what_is_no_trace_is_none_and_another_begins() {
    let world = World::remote().await;
    let whole = format!("/users/{}", world.user("ada@example.org").await);
    let mut seen = BTreeSet::new();
    for parent in
        [None, Some(""), Some("00-0-0-0"), Some(&PARENT.to_uppercase()), Some(&PARENT.replace("00-4", "ff-4"))]
    {
        let admin = world.admin().with("tracestate", "a=1");
        let admin = parent.map_or(admin.clone(), |parent| admin.with("traceparent", parent));
        let traces = told(&world, async { drop(admin.get(&whole).await.is(200)) }).await;
        assert!(traces.iter().all(|trace| trace.state.is_none() && trace.parent.ends_with("-00")), "{traces:?}");
        let [id] = ids(&traces).into_iter().collect::<Vec<_>>()[..] else { panic!("{traces:?}") };
        assert!(id != ID && seen.insert(id.to_owned()), "{parent:?}: {traces:?}");
    }
    let twice = world.admin().with("traceparent", PARENT).with("traceparent", PARENT);
    assert!(!ids(&told(&world, async { drop(twice.get(&whole).await.is(200)) }).await).contains(ID));
}

#[tokio::test]
async fn what_nobody_asked_for_has_a_trace_of_its_own() {
    let world = World::remote().await;
    let draft = |email: &str| {
        let fields = json!({ "userGroup": "users", "email": email });
        Draft { fields: fields.as_object().unwrap().clone(), ..Draft::default() }
    };
    let mut seen = BTreeSet::new();
    for email in ["ada@example.org", "eve@example.org"] {
        let made = async { drop(users::create(&world.app, &world.inside(), draft(email)).await.unwrap()) };
        let traces = told(&world, made).await;
        let of_operation = ids(&traces).into_iter().map(str::to_owned).collect::<Vec<_>>();
        seen.extend(of_operation);
    }
    assert!(seen.len() >= 2, "{seen:?}");
}

#[tokio::test]
async fn what_is_taken_over_has_a_trace_of_its_own() {
    let world = World::remote().await;
    let path = format!("/users/{}", world.user("ada@example.org").await);
    let refused = Fault::Status { status: 500, done: false, wait: None };
    world.provider().plan(Plan::on("DELETE", "/users/", refused).lasting(Lasts::EachTime)).await;
    let before = world.provider().traces().len();
    world.admin().with("traceparent", PARENT).delete(&path).await.refuses(500, "resumable");
    // Whoever was at work on it has gone.
    world.app.sagas.stop(Duration::ZERO).await;
    world.app.sagas.idle().await;
    assert_eq!(ids(&world.provider().traces()[before..]), BTreeSet::from([ID]));
    world.mend().await;
    let traces = told(&world, async { assert_eq!(world.app.sagas.recover().await.unwrap(), 1) }).await;
    let [id] = ids(&traces).into_iter().collect::<Vec<_>>()[..] else { panic!("{traces:?}") };
    assert_ne!(id, ID);
}
