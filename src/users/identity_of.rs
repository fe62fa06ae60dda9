//! Whose sessions, whose mails: from the `_id` of a person to his identity, for those who may see him or act on him.

use super::{User, UserId, rules};
use crate::{access::Caller, app::App, error::Error, identity::AuthUserId};

/// Nothing where he has none.
pub async fn identity_of(app: &App, caller: &Caller, id: &UserId) -> Result<Option<AuthUserId>, Error> {
    let user = rules::found(app.systems.view(), id, &caller.rows).await?;
    Ok(user.auth_user_id().map(str::to_owned))
}

/// The same for acting on him.
///
/// # Errors
/// `person-above`.
pub async fn identity_not_above(app: &App, caller: &Caller, id: &UserId) -> Result<Option<AuthUserId>, Error> {
    let user: User = rules::found(app.systems.view(), id, &caller.rows).await?;
    rules::not_above(&app.systems, caller, &user).await?;
    Ok(user.auth_user_id().map(str::to_owned))
}
