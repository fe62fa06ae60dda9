//! What is in a state that nobody has open: by what its documents are found, and how much of everything there is. Blocks.

use std::{collections::BTreeSet, path::Path};

use rusqlite::Connection;

use super::{OpenError, open};

/// One kind of documents, as it is looked up.
pub struct Collection {
    pub name: String,
    /// By which fields its documents are found.
    pub definition: String,
    /// By which values, each with its field and its document.
    pub values: BTreeSet<Vec<String>>,
}

/// How much a state holds.
pub struct Counted {
    pub users: i64,
    pub identities: i64,
    pub sessions: i64,
    pub operations: i64,
    pub unsettled: i64,
    /// Users who name an identity that is not there, where there are identities.
    pub without_identity: i64,
}

pub fn collections(state: &Path) -> Result<Vec<Collection>, OpenError> {
    with(state, |db| {
        let mut collections = db.prepare("SELECT name, definition FROM collection ORDER BY name")?;
        let collections = collections.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut all = db.prepare(
            "SELECT 'unique', space, value, id FROM unique_value WHERE collection = ?1 \
             UNION ALL SELECT 'indexed', field, value, id FROM indexed_value WHERE collection = ?1",
        )?;
        let with_values = collections.map(|collection| {
            let (name, definition): (String, String) = collection?;
            let rows = all.query_map([&name], |row| (0..4).map(|at| row.get(at)).collect())?;
            let values = rows.collect::<rusqlite::Result<_>>()?;
            Ok(Collection { name, definition, values })
        });
        with_values.collect()
    })
}

/// So that whoever opens it next finds out anew by which values its documents are found.
pub fn forget_definitions(state: &Path) -> Result<(), OpenError> {
    with(state, |db| db.execute("UPDATE collection SET definition = ''", []).map(drop))
}

pub fn counted(state: &Path) -> Result<Counted, OpenError> {
    with(state, |db| {
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

fn with<T>(state: &Path, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, OpenError> {
    let connection = open(state)?;
    work(&connection).map_err(|error| OpenError::unusable(state, &error))
}
