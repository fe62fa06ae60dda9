//! `/operations/`: what was asked, how far it is, another try.

use std::sync::Arc;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use serde_json::{Value, json};

use super::{
    body::Nothing,
    frame,
    keyed::Keyed,
    target::{Listed, OfOperation},
};
use crate::{
    access::{
        Caller,
        gate::{Allowed, OperationsWrite, Own},
    },
    app::App,
    error::Error,
    operations,
};

pub async fn list(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Own>,
    Listed(query): Listed,
) -> Result<Response, Error> {
    Ok(frame::json(&operations::list(&app, &caller, query).await?))
}

pub async fn get(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<Own>,
    OfOperation(id): OfOperation,
) -> Result<Response, Error> {
    Ok(frame::json(&operations::get(&app, &caller, &id).await?))
}

pub async fn retry(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<OperationsWrite>,
    OfOperation(id): OfOperation,
    asked: Keyed<Nothing>,
) -> Response {
    let retry = async |caller: Caller, _| Ok(json!(operations::retry(&app, &caller, &id).await?));
    asked.answer(&app, caller, accepted, retry).await
}

fn accepted(shown: Value) -> Result<Response, Error> {
    Ok((StatusCode::ACCEPTED, frame::json(&shown)).into_response())
}
