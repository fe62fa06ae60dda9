//! Answers of the CRUD service that go to the caller byte for byte. Which routes these are is told by `api`; how the request
//! to the service looks is known to its driver. Must not read a body.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};

use crate::{
    access::Caller,
    error::{self, Error},
    store::crud_service::{CrudService, Reading},
    users::UserId,
};

/// The way through. Cheap to copy.
#[derive(Clone)]
pub struct Proxy(Arc<CrudService>);

/// Name and value of a parameter, decoded.
pub type Parameters = [(String, String)];

impl Proxy {
    pub fn new(users: Arc<CrudService>) -> Self {
        Self(users)
    }

    pub async fn list(&self, parameters: &Parameters, caller: &Caller) -> Result<Response, Error> {
        self.pass(Reading::List, parameters, caller).await.map_err(|error| error.doing("listing users"))
    }

    pub async fn count(&self, parameters: &Parameters, caller: &Caller) -> Result<Response, Error> {
        self.pass(Reading::Count, parameters, caller).await.map_err(|error| error.doing("counting users"))
    }

    pub async fn get(&self, id: &UserId, parameters: &Parameters, caller: &Caller) -> Result<Response, Error> {
        self.pass(Reading::One(id), parameters, caller).await.map_err(|error| error.doing("reading user"))
    }

    async fn pass(&self, what: Reading<'_>, parameters: &Parameters, caller: &Caller) -> Result<Response, Error> {
        let Some(passed) = self.0.pass(what, parameters, &caller.rows, caller.read_columns.as_deref()).await? else {
            return Err(error::user_not_found());
        };
        let status = StatusCode::from_u16(passed.status).map_err(error::internal)?;
        let mut response = Response::new(Body::from_stream(passed.body()));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok(response)
    }
}
