//! Making an identity that nobody has yet, for somebody to be made of it later.

use secrecy::SecretString;

use super::{passwords, rules, steps::CreateIdentity};
use crate::{
    access::Caller,
    app::App,
    error::Error,
    groups::PasswordPolicy,
    identity::{Account, AuthUserId},
    saga::{Answer, Saga},
};

/// Either the identity stands at the provider, able to log in as soon as it has a user; or nothing is there.
///
/// `name-taken` when a user or an identity has the name: then nobody could be made of this one.
pub async fn create_identity(
    app: &App,
    caller: &Caller,
    email: Option<String>,
    username: Option<String>,
    password: SecretString,
) -> Result<AuthUserId, Error> {
    passwords::check(&password, PasswordPolicy::default())?;
    let account = Account { email, username, enabled: true, ..Account::default() };
    let fields = rules::fields_of(&account);
    rules::identifiable(&fields)?;
    let names = rules::names_in(&fields);
    let asked = caller.asks("create-identity", "creating identity", None, names, Answer::AtCommit);
    let (scope, chosen) = (app.config.unique_scope, app.systems.identity.choose_id());

    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            rules::names_free(saga.view(), scope, &rules::names_of(&fields), None).await?;
            let account = Account { mark: Some(saga.operation().to_owned()), ..account };
            saga.step(CreateIdentity { chosen, account, password: Some(password) }).await
        })
        .await
}
