//! Making a user for an identity that exists.

use crate::{access::Caller, app::App, error::Error, identity::AuthUserId, users::UserId};

use super::create::Draft;

pub async fn adopt(_app: &App, _caller: &Caller, _identity: AuthUserId, _draft: Draft) -> Result<UserId, Error> {
    Err(crate::error::internal("to be written"))
}
