//! Copies of the state: made beside a running server, looked through, put back.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    app::{self, OpenError},
    clock::{Clock, rfc3339},
    config::{self, Config},
    metrics::Metrics,
    state::sqlite::{Sqlite, backup, lock::Lock},
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
        take_away(&to);
        backup::copy(&from, &to)
    });
    let looked = match copied.await {
        Ok(()) => look_through(config, clock, &scratch, file).await,
        Err(error) => Err(error),
    };
    take_away(&scratch);
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
    let before = values(scratch)?;
    forget_definitions(scratch)?;
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
    let after = values(scratch)?;
    for (collection, values) in &after {
        // Other settings than those under which the copy was made look documents up otherwise.
        if let Some((_, kept)) = before.iter().find(|(known, _)| known == collection)
            && kept != values
        {
            let (name, _) = collection;
            let what = format!("documents of {name} are not found by what is in them");
            return Err(damaged(file, what));
        }
    }
    let counted = counted(scratch)?;
    if counted.without_identity > 0 && counted.unsettled == 0 {
        let what = format!("{} users name an identity that is not there", counted.without_identity);
        return Err(damaged(file, what));
    }
    Ok(counted.told())
}

fn damaged(file: &Path, what: String) -> OpenError {
    OpenError::State(crate::state::sqlite::OpenError::Damaged { path: file.display().to_string(), what })
}

/// Name and definition of each collection, and the values by which its documents are found.
type Values = Vec<((String, String), BTreeSet<Vec<String>>)>;

fn values(file: &Path) -> Result<Values, OpenError> {
    let read = |db: &rusqlite::Connection| -> rusqlite::Result<Values> {
        let mut collections = db.prepare("SELECT name, definition FROM collection ORDER BY name")?;
        let collections: Vec<(String, String)> =
            collections.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let mut all = db.prepare(
            "SELECT 'unique', space, value, id FROM unique_value WHERE collection = ?1 \
             UNION ALL SELECT 'indexed', field, value, id FROM indexed_value WHERE collection = ?1",
        )?;
        let mut values = Vec::new();
        for collection in collections {
            let rows = all.query_map([&collection.0], |row| (0..4).map(|at| row.get(at)).collect())?;
            values.push((collection, rows.collect::<Result<_, _>>()?));
        }
        Ok(values)
    };
    with(file, read)
}

fn forget_definitions(file: &Path) -> Result<(), OpenError> {
    with(file, |db| db.execute("UPDATE collection SET definition = ''", []).map(drop))
}

/// What a state holds.
struct Counted {
    users: i64,
    identities: i64,
    sessions: i64,
    operations: i64,
    unsettled: i64,
    without_identity: i64,
}

impl Counted {
    fn told(&self) -> String {
        format!(
            "{} users, {} identities, {} sessions, {} operations of which {} unsettled",
            self.users, self.identities, self.sessions, self.operations, self.unsettled
        )
    }
}

fn counted(file: &Path) -> Result<Counted, OpenError> {
    with(file, |db| {
        let count = |sql: &str| db.query_row(sql, [], |row| row.get(0));
        let documents = |of: &str| count(&format!("SELECT count(*) FROM document WHERE collection = '{of}'"));
        let (users, identities) = (documents("users")?, documents("identities")?);
        // Where identities are elsewhere nobody here could say.
        let without_identity = match identities {
            0 => 0,
            _ => count(
                "SELECT count(*) FROM document AS user WHERE collection = 'users' AND body ->> 'authUserId' IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM document WHERE collection = 'identities' \
                                 AND id = user.body ->> 'authUserId')",
            )?,
        };
        Ok(Counted {
            users,
            identities,
            without_identity,
            sessions: count("SELECT count(*) FROM session")?,
            operations: count("SELECT count(*) FROM operation")?,
            unsettled: count("SELECT count(*) FROM operation WHERE state NOT IN ('done', 'undone')")?,
        })
    })
}

fn with<T>(file: &Path, work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>) -> Result<T, OpenError> {
    let unusable = |error: rusqlite::Error| {
        OpenError::State(crate::state::sqlite::OpenError::Unusable {
            path: file.display().to_string(),
            error: error.to_string(),
        })
    };
    rusqlite::Connection::open(file).and_then(|db| work(&db)).map_err(unusable)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, crate::state::sqlite::OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(OpenError::Driver(error.to_string())),
    }
}

fn take_away(scratch: &Path) {
    for beside in ["", "-wal", "-shm"] {
        // What is not there need not go.
        let _ = fs::remove_file(format!("{}{beside}", scratch.display()));
    }
}
