//! Giving permissions to one user beside what his roles give.

use super::{UserId, steps::GrantPermissions};
use crate::{
    access::Caller,
    app::App,
    error::Error,
    saga::{Answer, Saga},
};

/// The user has all of these, or those that he had. Which of them are new.
pub async fn grant(app: &App, caller: &Caller, id: &UserId, permissions: Vec<String>) -> Result<Vec<String>, Error> {
    let names = vec![format!("user:{id}")];
    let asked = caller.asks("grant-permissions", "granting permissions", Some(id), names, Answer::AtCommit);
    let (id, systems) = (id.clone(), app.systems.clone());
    app.sagas
        .run(asked, async move |saga: &mut Saga| {
            // Read now that nobody else may touch him.
            let before = systems.grants.of(id.as_str()).await?;
            let fresh = permissions.iter().filter(|permission| !before.contains(permission)).cloned().collect();
            saga.step(GrantPermissions { user: id, permissions, before }).await?;
            Ok(fresh)
        })
        .await
}
