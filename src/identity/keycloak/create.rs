//! Making an account, in the two ways that Keycloak has.
//!
//! An import takes an id of our choice, so that we know it before the call; it needs the right `manage-realm`. A plain insert
//! silently ignores an id; there the mark tells ours from others'.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    admin::{Admin, Asked, Miss, unsure},
    person::{MARK, Person, login_field, login_name},
    refusal::Refusal,
};
use crate::{
    error,
    identity::{Account, AuthUserId},
    outcome::{Failure, Outcome},
    remote::Answer,
};

/// What is to be made.
pub struct New<'a> {
    account: &'a Account,
    mark: &'a str,
    username: &'a str,
    password: Option<&'a SecretString>,
}

impl<'a> New<'a> {
    pub fn of(account: &'a Account, password: Option<&'a SecretString>) -> Outcome<Self> {
        let unmarked = || Failure::not_done(error::internal("an identity without a mark was to be made"));
        let mark = account.mark.as_deref().ok_or_else(unmarked)?;
        let username = login_name(account).map_err(Failure::not_done)?;
        Ok(Self { account, mark, username, password })
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "username": self.username,
            // Absent would mean disabled.
            "enabled": self.account.enabled,
            "attributes": { MARK: [self.mark] },
        });
        if let Some(email) = &self.account.email {
            body["email"] = json!(email);
        }
        if let Some(password) = self.password {
            let value = password.expose_secret();
            body["credentials"] = json!([{ "type": "password", "value": value, "temporary": false }]);
        }
        body
    }
}

/// Under an id of our choice. Repeated it is skipped, and the answer says whose the name is.
pub async fn import(admin: &Admin, chosen: &AuthUserId, new: &New<'_>) -> Outcome<AuthUserId> {
    let mut user = new.body();
    user["id"] = json!(chosen);
    // An import gives no default roles by itself.
    user["realmRoles"] = json!([format!("default-roles-{}", admin.realm())]);
    let body = json!({ "ifResourceExists": "SKIP", "users": [user] });
    match admin.send(Asked::new(Method::POST, "/partialImport", &[]).json(&body)).await {
        Ok(answer) => {
            let made = imported(&answer)?;
            if made == *chosen {
                return Ok(made);
            }
            let ours = find(admin, new).await.map_err(unsure)?;
            ours.ok_or_else(|| Failure::not_done(error::name_taken(login_field(new.account))))
        }
        // A weak password, a taken e-mail: whatever an import refuses, it answers without a reason. A plain insert has
        // reasons, and should it succeed, the account is ours all the same.
        Err(Miss::Call(error)) if matches!(error.status(), Some(409 | 500)) => {
            match admin.person(chosen).await.map_err(unsure)? {
                Some(_) => Ok(chosen.clone()),
                None => insert(admin, new).await,
            }
        }
        Err(miss) => Err(miss.failure()),
    }
}

/// The id is Keycloak's; asked again, ours is known by its mark.
pub async fn insert(admin: &Admin, new: &New<'_>) -> Outcome<AuthUserId> {
    match admin.send(Asked::new(Method::POST, "/users", &[]).json(&new.body())).await {
        Ok(answer) => {
            let id = answer.location.as_deref().and_then(|location| location.rsplit_once("/users/"));
            let id = id.map(|(_, id)| id.to_owned()).filter(|id| !id.is_empty() && !id.contains('/'));
            id.ok_or_else(|| answer.garbled().failure())
        }
        Err(Miss::Call(error)) if error.status() == Some(409) && !error.unsure() => {
            let taken = Refusal::of(&error).name_taken(login_field(new.account), new.account.email.is_some());
            let ours = find(admin, new).await.map_err(unsure)?;
            ours.ok_or_else(|| Failure::not_done(taken))
        }
        Err(Miss::Call(error)) if error.status() == Some(400) && !error.unsure() => {
            let refused = Refusal::of(&error).password();
            Err(refused.map_or_else(|| error.failure(), Failure::not_done))
        }
        Err(miss) => Err(miss.failure()),
    }
}

/// The account that this creation made. An account that the same operation merely changed bears the mark too, but other
/// names.
pub async fn find(admin: &Admin, new: &New<'_>) -> Outcome<Option<AuthUserId>> {
    let marked = admin.marked(new.mark).await?;
    let made = marked.iter().find(|person| person.is_named_as(new.account));
    Ok(made.map(Person::id).map(str::to_owned))
}

/// Whose account an import made or met.
fn imported(answer: &Answer) -> Outcome<AuthUserId> {
    #[derive(Deserialize)]
    struct Report {
        results: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    let report: Report = answer.json()?;
    report.results.into_iter().next().map(|row| row.id).ok_or_else(|| answer.garbled().failure())
}
