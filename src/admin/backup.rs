//! Copies of the state: made beside a running server, looked through, put back.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    app::{self, OpenError},
    clock::{Clock, rfc3339},
    config::{self, Config},
    metrics::Metrics,
    state::sqlite::{
        self, Sqlite,
        backup::{
            self,
            contents::{self, Collection, Counted},
        },
        lock::Lock,
    },
};

/// Writes a copy of the state to a file that is not there yet, and looks through it.
pub async fn back_up(config: &Config, clock: Clock, to: PathBuf) -> Result<String, OpenError> {
    let state = config.state_file.clone();
    let target = to.clone();
    blocking(move || backup::copy(&state, &target)).await?;
    let found = verify(config, clock, &to).await?;
    Ok(format!("{} is a copy of {}: {found}", to.display(), config.state_file.display()))
}

/// Whether that state, or ours, is whole: its pages, the chain over its journal, what documents are found by. What it holds.
/// Looks at a copy, which lies beside it meanwhile, so that nothing is changed.
pub async fn verify(config: &Config, clock: Clock, file: &Path) -> Result<String, OpenError> {
    let scratch = file.with_added_extension("verify");
    let (from, to) = (file.to_owned(), scratch.clone());
    let copied = blocking(move || {
        backup::check(&from)?;
        backup::take_away(&to)?;
        backup::copy(&from, &to)
    });
    let looked = match copied.await {
        Ok(()) => look_through(config, clock, &scratch, file).await,
        Err(error) => Err(error),
    };
    // Whether it goes says nothing of the state.
    let _ = backup::take_away(&scratch);
    looked
}

/// Puts a copy in the place of the state. Nobody may hold that; what was there stays beside it.
pub async fn restore(config: &Config, clock: Clock, from: PathBuf) -> Result<String, OpenError> {
    let _lock = Lock::take(&config.data_dir, Duration::ZERO, &clock).await?;
    let found = verify(config, clock.clone(), &from).await?;
    let state = config.state_file.clone();
    let now = rfc3339(clock.now_ms()).replace([':', '.'], "-");
    let aside = state.with_added_extension(format!("before-{now}"));
    let kept = blocking(move || backup::put(&from, &state, &aside)).await?;
    let kept = kept.map(|kept| format!("; what was there is {}", kept.display())).unwrap_or_default();
    Ok(format!("{} is restored: {found}{kept}", config.state_file.display()))
}

async fn look_through(config: &Config, clock: Clock, scratch: &Path, file: &Path) -> Result<String, OpenError> {
    let before = contents::collections(scratch)?;
    contents::forget_definitions(scratch)?;
    let state = Sqlite::open(scratch, clock.clone())?;
    app::open_journal(&state, &clock).await?;
    // Found and told apart anew, as at the very first start.
    if matches!(config.store, config::Store::Embedded) {
        app::open_stores(config, &state, &clock, &Metrics::default()).await?;
    }
    if matches!(config.identity, config::Identity::Embedded { .. }) {
        app::open_identity(config, &state, &clock, &Metrics::default()).await?;
    }
    drop(state);
    for now in contents::collections(scratch)? {
        // Other settings than those under which the copy was made look documents up otherwise.
        let same = |then: &&Collection| then.name == now.name && then.definition == now.definition;
        if before.iter().find(same).is_some_and(|then| then.values != now.values) {
            return Err(damaged(file, format!("documents of {} are not found by what is in them", now.name)));
        }
    }
    let counted = contents::counted(scratch)?;
    if counted.without_identity > 0 && counted.unsettled == 0 {
        let what = format!("{} users name an identity that is not there", counted.without_identity);
        return Err(damaged(file, what));
    }
    Ok(told(&counted))
}

fn damaged(file: &Path, what: String) -> OpenError {
    OpenError::State(sqlite::OpenError::Damaged { path: file.display().to_string(), what })
}

fn told(counted: &Counted) -> String {
    let Counted { users, identities, sessions, operations, unsettled, .. } = counted;
    format!(
        "{users} users, {identities} identities, {sessions} sessions, {operations} operations of which {unsettled} unsettled"
    )
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, sqlite::OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(OpenError::Driver(error.to_string())),
    }
}
