//! Changing, putting back and removing an account. Keycloak has no PATCH and no condition: the account is read, changed and
//! written back whole, then read again, since the status alone does not tell what stands there.

use reqwest::Method;
use serde::Deserialize;

use super::{
    admin::{Admin, Asked, Miss, unsure},
    nobody,
    person::{Person, Way, login_field},
    refusal::Refusal,
};
use crate::{
    error::{self, Code, Fault, Upstream},
    identity::Account,
    outcome::{Failure, Outcome},
    remote::{self, Repeat},
};

/// How often a mark that somebody else's write has torn is written again.
const WRITES: u32 = 3;

pub async fn change(admin: &Admin, id: &str, from: &Account, to: &Account) -> Outcome<()> {
    let Some(person) = admin.person(id).await? else { return Err(gone()) };
    let mark = to.mark.as_deref();
    if person.mark() != mark || !person.shows(to) {
        if person.bears(mark) {
            // Ours in part: torn by another write, or changed since. Written again; a refusal does not undo what there is.
            write(admin, id, person, to, Way::Forth).await.map_err(unsure)?;
        } else if !person.shows(from) || person.mark() != from.mark.as_deref() {
            return Err(Failure::not_done(error::changed_meanwhile()));
        } else if write(admin, id, person, to, Way::Forth).await? == Written::NobodyThere {
            return Err(gone());
        }
    }
    after(admin, id, to).await
}

pub async fn restore(admin: &Admin, id: &str, from: &Account, to: &Account) -> Outcome<()> {
    let ours = admin.person(id).await?.filter(|person| person.bears(to.mark.as_deref()));
    let Some(person) = ours else { return Ok(()) };
    match write(admin, id, person, from, Way::Back).await? {
        Written::There => after(admin, id, from).await,
        Written::NobodyThere => Ok(()),
    }
}

pub async fn delete(admin: &Admin, id: &str) -> Outcome<()> {
    match admin.send(Asked::new(Method::DELETE, "/users/:id", &[id]).repeat(Repeat::Safe)).await {
        Ok(_) => Ok(()),
        Err(Miss::Call(error)) if nobody(&error) => Ok(()),
        // Who loses a race of deletions is told 400 or 500, though the person is gone.
        Err(Miss::Call(error)) if matches!(error.status(), Some(400 | 409 | 500..)) => match admin.person(id).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(error.failure()),
            Err(_) => Err(error.unknown()),
        },
        Err(miss) => Err(miss.failure()),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Written {
    There,
    NobodyThere,
}

/// Writes until the account reads as it should.
async fn write(admin: &Admin, id: &str, person: Person, account: &Account, way: Way) -> Outcome<Written> {
    let mut look = put(admin, id, &person, account, way).await?;
    for _ in 1..WRITES {
        let Look::Otherwise(person) = look else { break };
        look = put(admin, id, &person, account, way).await.map_err(unsure)?;
    }
    match look {
        Look::There => Ok(Written::There),
        Look::NobodyThere => Ok(Written::NobodyThere),
        Look::Otherwise(_) => Err(Failure::unknown(error::changed_meanwhile())),
    }
}

/// What stands there after a write.
enum Look {
    There,
    NobodyThere,
    /// Torn by, or under, somebody else's write.
    Otherwise(Person),
}

async fn put(admin: &Admin, id: &str, person: &Person, account: &Account, way: Way) -> Outcome<Look> {
    let body = person.becoming(account, way).map_err(Failure::not_done)?;
    let refused = match admin.send(Asked::new(Method::PUT, "/users/:id", &[id]).json(&body)).await {
        Ok(_) => None,
        // In a race with a deletion the status says nothing; what stands there does.
        Err(Miss::Call(error)) if matches!(error.status(), Some(400 | 404 | 409)) && !error.unsure() => Some(error),
        Err(miss) => return Err(miss.failure()),
    };
    // A write that was carried out cannot become not done because it could not be read back.
    match (admin.person(id).await.map_err(unsure)?, refused) {
        (None, Some(_)) => Ok(Look::NobodyThere),
        // Written, and gone at the next look.
        (None, None) => Err(unsure(gone())),
        (Some(read), _) if read.mark() == account.mark.as_deref() && read.shows(account) => Ok(Look::There),
        (Some(read), Some(error)) if read.bears(account.mark.as_deref()) => Err(error.unknown()),
        (Some(_), Some(error)) => Err(refusal(&error, account)),
        (Some(read), None) => Ok(Look::Otherwise(read)),
    }
}

fn refusal(error: &remote::Error, account: &Account) -> Failure {
    if error.status() == Some(409) {
        let taken = Refusal::of(error).name_taken(login_field(account), account.email.is_some());
        return Failure::not_done(taken);
    }
    error.failure()
}

/// Becoming disabled ends what is open: Keycloak itself keeps the sessions and revives them later.
async fn after(admin: &Admin, id: &str, account: &Account) -> Outcome<()> {
    if account.enabled {
        return Ok(());
    }
    // The account is written already: a refusal here is no refusal of the whole.
    end_sessions(admin, id).await.map_err(unsure)
}

async fn end_sessions(admin: &Admin, id: &str) -> Outcome<()> {
    #[derive(Deserialize)]
    struct Consent {
        #[serde(rename = "clientId")]
        client_id: String,
        /// Offline tokens.
        #[serde(default, rename = "additionalGrants")]
        grants: Vec<serde::de::IgnoredAny>,
    }
    let values = [id];
    let logout = Asked::new(Method::POST, "/users/:id/logout", &values).repeat(Repeat::Safe);
    if done_or_nobody(admin.send(logout).await)?.is_none() {
        return Ok(());
    }
    // An offline token of the same second survives the logout.
    let consents = admin.send(Asked::new(Method::GET, "/users/:id/consents", &[id])).await;
    let Some(answer) = done_or_nobody(consents)? else { return Ok(()) };
    let consents: Vec<Consent> = answer.json()?;
    for consent in consents.iter().filter(|consent| !consent.grants.is_empty()) {
        let values = [id, consent.client_id.as_str()];
        let revoke = Asked::new(Method::DELETE, "/users/:id/consents/:client", &values).repeat(Repeat::Safe);
        done_or_nobody(admin.send(revoke).await)?;
    }
    Ok(())
}

/// Nothing where the person, or what was to be removed of him, is not there.
fn done_or_nobody(sent: Result<remote::Answer, Miss>) -> Outcome<Option<remote::Answer>> {
    match sent {
        Ok(answer) => Ok(Some(answer)),
        Err(Miss::Call(error)) if nobody(&error) => Ok(None),
        Err(miss) => Err(miss.failure()),
    }
}

fn gone() -> Failure {
    let template = "/admin/realms/:realm/users/:id".to_owned();
    let nobody = Upstream { system: "Auth", method: "GET", template, fault: Fault::Status(404) };
    Failure::not_done(error::upstream(Code::UpstreamRefused, nobody))
}
