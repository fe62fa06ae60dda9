//! A user is made first and his identity later, or never.

use serde_json::{Value, json};
use user_manager::users::{self, State, UserId};

use crate::{
    twins::fault::{Fault, Lasts, Plan},
    worlds::{PASSWORD, Place, World, everywhere, within},
};

const LATER: &str = "/users/?postponeAuthUserCreation=true";

fn ada() -> Value {
    json!({ "userGroup": "users", "email": "ada@example.org", "name": "Ada" })
}

#[tokio::test]
async fn a_postponed_creation_makes_the_user_only_and_register_his_identity() {
    everywhere(async |world| {
        let before = world.people();
        let id = world.post(LATER, ada()).await.is(200).id();
        let path = format!("/users/{id}");
        let user = world.get(&path).await.is(200);
        assert_eq!((user.text("email"), user.body.get("authUserId")), ("ada@example.org".to_owned(), None));
        assert_eq!(world.people().identities, before.identities);
        world.nobody().logs_in("ada@example.org", PASSWORD).await.refuses(401, "login-refused");
        // His name is taken all the same.
        let twice = json!({ "userGroup": "users", "email": "ADA@example.org" });
        assert_eq!(world.post("/users/", twice.clone()).await.refuses(409, "name-taken").text("field"), "email");
        world.post(LATER, twice).await.refuses(409, "name-taken");

        let register = json!({ "_id": id, "password": PASSWORD, "userGroup": "ignored", "row": [1] });
        world.post("/users/register", register.clone()).await.is(204).operation();
        let identity = world.get(&path).await.is(200).text("authUserId");
        assert!(world.people().identities.contains_key(&identity));
        world.nobody().logs_in("ada@example.org", PASSWORD).await.is(200);
        world.post("/users/register", register).await.refuses(409, "already-registered");
    })
    .await;
}

#[tokio::test]
async fn whoever_may_not_log_in_is_registered_with_a_blocked_identity() {
    everywhere(async |world| {
        for (number, state) in [State::Draft, State::Trash, State::Public].into_iter().enumerate() {
            let mut fields = json!({ "userGroup": "users", "email": format!("person-{number}@example.org") });
            fields["blocked"] = json!(state == State::Public);
            let id = UserId::parse(&world.post(LATER, fields).await.is(200).id()).unwrap();
            if state != State::Public {
                users::change_state(&world.app, &world.inside(), &id, state).await.unwrap();
            }
            world.post("/users/register", json!({ "_id": id, "password": PASSWORD })).await.is(204);
            let people = world.people();
            let identity = people.users[id.as_str()]["authUserId"].as_str().unwrap();
            assert_eq!(people.identities[identity]["enabled"], json!(false), "{state:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn somebody_deleted_or_unknown_is_not_registered() {
    everywhere(async |world| {
        let id = world.post(LATER, ada()).await.is(200).id();
        world.post(&format!("/users/{id}/soft-delete"), json!({})).await.is(204);
        world.settled().await;
        let before = world.people();
        world.post("/users/register", json!({ "_id": id })).await.refuses(409, "user-deleted");
        let unknown = json!({ "_id": "650000000000000000000001" });
        world.post("/users/register", unknown).await.refuses(404, "user-not-found");
        world.post("/users/register", json!({ "_id": "650" })).await.refuses(400, "invalid-value");
        world.post("/users/register", json!({})).await.refuses(400, "validation-failed");
        world.post("/users/register", json!({ "_id": id, "password": "short" })).await.refuses(409, "user-deleted");
        world.is_as(&before);
    })
    .await;
}

#[tokio::test]
async fn a_registration_that_fails_leaves_the_user_as_he_was() {
    within(&Place::KEYCLOAK, async |world| {
        let id = world.post(LATER, ada()).await.is(200).id();
        let before = world.people();
        let failed = Fault::Status { status: 500, done: false, wait: None };
        world.provider().plan(Plan::on("POST", "/users", failed).lasting(Lasts::EachTime)).await;
        let told = world.post("/users/register", json!({ "_id": id, "password": PASSWORD })).await;
        let told = told.refuses(500, "upstream-failed");
        let call = "Auth POST /admin/realms/:realm/users responded with a 500 status code";
        assert_eq!(told.message(), format!("Error while registering user: {call}"));
        world.mend().await;
        world.settled().await;
        world.is_as(&before);
        world.post("/users/register", json!({ "_id": id, "password": PASSWORD })).await.is(204);
    })
    .await;
}

#[tokio::test]
async fn no_password_goes_with_a_postponed_creation() {
    everywhere(async |world| {
        let before = world.people();
        let mut fields = ada();
        fields["password"] = json!(PASSWORD);
        world.post(LATER, fields).await.refuses(400, "password-without-identity");
        for wrong in ["postponeAuthUserCreation=1", "postponeAuthUserCreation", "sendResetPwdEmail=1"] {
            world.post(&format!("/users/?{wrong}"), ada()).await.refuses(400, "invalid-parameter");
        }
        world.settled().await;
        world.is_as(&before);
        world.post("/users?postponeAuthUserCreation=false", ada()).await.is(200);
        assert_eq!(world.people().identities.len(), before.identities.len() + 1);
    })
    .await;
}

#[tokio::test]
async fn users_without_an_identity_share_a_name_where_only_identities_and_the_store_say_what_is_taken() {
    for place in Place::CRUD {
        let world = World::with(place, &[("UNIQUE_SCOPE", "identities")]).await;
        let one = world.post(LATER, ada()).await.is(200).id();
        // The store has an index.
        assert_eq!(world.post(LATER, ada()).await.refuses(409, "name-taken").text("field"), "email");
        world.store().world().unique.clear();
        let other = world.post(LATER, ada()).await.is(200).id();
        world.post("/users/register", json!({ "_id": one })).await.is(204);
        let refused = world.post("/users/register", json!({ "_id": other })).await.refuses(409, "name-taken");
        assert_eq!(refused.text("field"), "email");
        assert_eq!(world.get(&format!("/users/{other}")).await.is(200).body.get("authUserId"), None);
        world.settled().await;
    }
}

#[tokio::test]
async fn a_random_password_is_made_where_none_counts_and_the_provider_wants_one() {
    for place in Place::ALL {
        for (setting, given_counts) in [("false", true), ("true", false)] {
            let world = World::with(place, &[("RANDOM_PWD_GEN", setting)]).await;
            let mut fields = ada();
            fields["password"] = json!(PASSWORD);
            world.post("/users/", fields).await.is(200);
            let bob = world.post("/users/", json!({ "userGroup": "users", "email": "bob@example.org" })).await.is(200);
            let eve = json!({ "userGroup": "users", "email": "eve@example.org" });
            let eve = world.post(LATER, eve).await.is(200).id();
            world.post("/users/register", json!({ "_id": eve, "password": PASSWORD })).await.is(204);
            for name in ["ada@example.org", "eve@example.org"] {
                world.nobody().logs_in(name, PASSWORD).await.is(if given_counts { 200 } else { 401 });
            }
            let people = world.people();
            let identity = people.users[&bob.id()]["authUserId"].as_str().unwrap();
            let password = &people.identities[identity]["password"];
            match world.keycloak {
                Some(_) => assert_eq!(password.as_str().map(str::len), Some(24), "{password}"),
                // Nobody could learn it: there is none.
                None => assert_eq!(*password, Value::Null),
            }
            world.settled().await;
        }
    }
}

#[tokio::test]
async fn whoever_is_registered_without_a_password_gets_one_of_the_length_that_is_set() {
    for place in Place::KEYCLOAK {
        for setting in ["false", "true"] {
            let world = World::with(place, &[("RANDOM_PWD_GEN", setting), ("RANDOM_PWD_LENGTH", "40")]).await;
            let id = world.post(LATER, ada()).await.is(200).id();
            world.post("/users/register", json!({ "_id": id })).await.is(204);
            let people = world.people();
            let identity = people.users[&id]["authUserId"].as_str().unwrap();
            let password = people.identities[identity]["password"].as_str().unwrap();
            assert_eq!(password.len(), 40, "{password}");
            world.nobody().logs_in("ada@example.org", password).await.is(200);
            world.settled().await;
        }
    }
}

#[tokio::test]
async fn a_state_may_be_given_with_a_new_person_where_that_is_set() {
    for place in Place::ALL {
        let world = World::with(place, &[("CREATE_WITH_STATE", "true")]).await;
        let lonely = world.lonely("lonely@example.org").await;
        for (number, state) in ["DRAFT", "TRASH", "PUBLIC"].into_iter().enumerate() {
            let email = format!("person-{number}@example.org");
            let fields = json!({ "userGroup": "users", "email": email, "__STATE__": state });
            let id = world.post("/users/", fields).await.is(200).id();
            let people = world.people();
            assert_eq!(people.users[&id]["__STATE__"], json!(state));
            let identity = people.users[&id]["authUserId"].as_str().unwrap();
            assert_eq!(people.identities[identity]["enabled"], json!(state == "PUBLIC"), "{state}");
        }
        let fields = json!({ "userGroup": "users", "authUserId": lonely, "__STATE__": "DRAFT" });
        world.post("/users/with-id", fields).await.is(200);
        assert_eq!(world.people().identities[&lonely]["enabled"], json!(false));
        for wrong in [json!("DELETED"), json!("public"), json!(7), Value::Null] {
            let fields = json!({ "userGroup": "users", "email": "x@example.org", "__STATE__": wrong });
            world.post("/users/", fields).await.refuses(400, "validation-failed");
        }
        world.settled().await;
    }
}
