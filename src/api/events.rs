//! `/events/`: what has happened, in order.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{frame, target::ListedEvents};
use crate::{
    access::gate::{Allowed, EventsRead},
    app::App,
    error::Error,
    events,
};

pub async fn list(
    State(app): State<Arc<App>>,
    Allowed { caller, .. }: Allowed<EventsRead>,
    ListedEvents(query): ListedEvents,
) -> Result<Response, Error> {
    Ok(frame::json(&events::list(&app, &caller, query).await?))
}
