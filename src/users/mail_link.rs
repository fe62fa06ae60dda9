//! Mailing somebody a link by which he chooses another password.

use super::{User, rules, steps::MailLink};
use crate::{
    access::Caller,
    app::App,
    error::{Code, Error},
    identity::AuthUserId,
    query::Filter,
    saga::{Answer, Saga},
    state::mails::{Kind, Mail},
    systems::View,
};

/// The mail is kept to be sent, which lapses where he is blocked or gone by then; or nothing is.
///
/// `identity-not-found` also where the identity has no user whom the caller sees: nobody could tell who is above him.
/// `no-email`, `identity-blocked`; `mail-unavailable` where there is nothing to mail with.
pub async fn mail_link(app: &App, caller: &Caller, identity: AuthUserId) -> Result<(), Error> {
    let told = |error: Error| error.doing(DOING);
    let user = look(app, caller, &identity).await.map_err(told)?;
    if let Some(post) = &app.post {
        post.ready()?;
    }
    let mail = Mail {
        id: app.clock.uuid().to_string(),
        identity,
        kind: Kind::Reset,
        locale: user.text("locale").map(str::to_owned),
    };
    let asked = caller.asks("mail-password-link", DOING, Some(&user.id), Vec::new(), Answer::AtCommit);
    app.sagas.run(asked, async move |saga: &mut Saga| saga.on_commit(MailLink { mail })).await
}

const DOING: &str = "changing password";

/// Whose identity it is, who may be mailed to.
async fn look(app: &App, caller: &Caller, identity: &AuthUserId) -> Result<User, Error> {
    let unknown = || Error::new(Code::IdentityNotFound, "There is no such identity").field("authUserId");
    let view: View<'_> = app.systems.view();
    let account = view.account(identity).await?.ok_or_else(unknown)?;
    let linked = view.users(&[("authUserId", identity)]).await?.into_iter().next().ok_or_else(unknown)?;
    // As the caller sees him.
    let user = match caller.rows == Filter::Everything {
        true => linked,
        false => view.user(&linked.id, &caller.rows).await?.ok_or_else(unknown)?,
    };
    rules::not_above(&app.systems, caller, &user).await?;
    if account.email.is_none() {
        return Err(Error::new(Code::NoEmail, "The identity has no e-mail").field("authUserId"));
    }
    if !account.enabled || user.identity_blocked(view.expired_until_ms()) {
        return Err(Error::new(Code::IdentityBlocked, "The identity is blocked").field("authUserId"));
    }
    Ok(user)
}
