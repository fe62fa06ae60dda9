//! Trying a schema on the users who are there: whom it would break, before it holds for anybody. Changes nothing.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Group, documents::refused};
use crate::{
    access::Caller,
    app::App,
    documents,
    error::{Error, Finding},
    query::{Filter, Order, Query, Test},
    store::Collection,
    users::UserId,
};

/// Read at once.
const PAGE: u32 = 200;
/// More are counted but not shown.
const SHOWN: usize = 20;

/// How many users a schema would break, and the first of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trial {
    checked: u64,
    broken: u64,
    users: Vec<Broken>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Broken {
    #[serde(rename = "_id")]
    #[schema(value_type = String)]
    id: UserId,
    errors: Vec<Finding>,
}

/// Every user of the group whom the caller may see, in whatever state, by `_id`.
pub async fn check(app: &App, caller: &Caller, id: &UserId, schema: Value) -> Result<Trial, Error> {
    let mut document = documents::get(app, Collection::Groups, id).await?.fields();
    document.insert("crudSchema".to_owned(), schema);
    let group = Group::compile(&document).map_err(refused)?;
    let mut trial = Trial { checked: 0, broken: 0, users: Vec::new() };
    let mut last: Option<UserId> = None;
    loop {
        let beyond =
            last.as_ref().map(|last| Filter::Field("_id".to_owned(), Test::Than(Order::Above, last.as_str().into())));
        let ours = Filter::equals("userGroup", group.name.as_str());
        let filter = Filter::all([ours, caller.rows.clone(), beyond.unwrap_or_default()]);
        let page = Query::everybody_where(filter).limit(PAGE);
        let mut users =
            app.systems.store.list(&page).await.map_err(|failure| failure.into_error().doing("listing users"))?;
        for user in &mut users {
            trial.checked += 1;
            let errors = group.findings(&mut user.document);
            if errors.is_empty() {
                continue;
            }
            trial.broken += 1;
            if trial.users.len() < SHOWN {
                trial.users.push(Broken { id: user.id.clone(), errors });
            }
        }
        last = users.last().map(|user| user.id.clone());
        if last.is_none() || users.len() < PAGE as usize {
            return Ok(trial);
        }
    }
}
