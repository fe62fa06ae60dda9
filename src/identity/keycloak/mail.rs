//! The mail with a link to choose a password, which Keycloak sends itself. Asked once is one mail, asked twice two: it is never
//! repeated here, and whoever asks again after a lost answer knows that.

use reqwest::Method;
use serde_json::json;

use super::{
    admin::{Admin, Asked, Miss},
    failed, nobody,
    refusal::Refusal,
};
use crate::{config::KeycloakMail, outcome::Outcome};

/// `false`: nobody is there who could get it.
pub async fn link(admin: &Admin, mail: &KeycloakMail, id: &str) -> Outcome<bool> {
    let mut query = vec![("lifespan", mail.lifespan.as_secs().max(1).to_string())];
    query.extend(mail.client_id.clone().map(|client| ("client_id", client)));
    query.extend(mail.redirect_uri.clone().map(|uri| ("redirect_uri", uri)));
    let (values, actions) = ([id], json!(["UPDATE_PASSWORD"]));
    let asked = Asked::new(Method::PUT, "/users/:id/execute-actions-email", &values);
    match admin.send(asked.query(&query).json(&actions)).await {
        Ok(_) => Ok(true),
        Err(Miss::Call(error)) if nobody(&error) => Ok(false),
        Err(Miss::Call(error)) if error.status() == Some(400) && Refusal::of(&error).nobody_to_mail() => Ok(false),
        // It answers when the mail server has: this one was not sent.
        Err(Miss::Call(error)) if Refusal::of(&error).mail() && !error.unsure() => Err(error.not_done()),
        Err(Miss::Call(error)) => Err(failed(&error)),
        Err(miss @ Miss::NoToken(_)) => Err(miss.failure()),
    }
}
