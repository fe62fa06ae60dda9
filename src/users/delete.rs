//! Removing a person on both sides.

use crate::{
    access::Caller,
    app::App,
    error::Error,
    users::{UserId, rules::Precondition},
};

pub async fn delete(_app: &App, _caller: &Caller, _id: &UserId, _only_if: Precondition) -> Result<(), Error> {
    Err(crate::error::internal("to be written"))
}
