//! The table of keys.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::Sqlite;
use crate::state::{Error, Keys};

#[async_trait]
impl Keys for Sqlite {
    async fn get_or_put(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, Error> {
        let wanted = name.to_owned();
        if let Some(value) = self.read(move |connection| stored(connection, &wanted)).await? {
            return Ok(value);
        }
        let name = name.to_owned();
        self.write(move |connection| {
            if let Some(value) = stored(connection, &name)? {
                return Ok(value);
            }
            connection
                .prepare_cached("INSERT INTO key (name, value) VALUES (?1, ?2)")?
                .execute(params![name, fresh])?;
            Ok(fresh)
        })
        .await
    }

    async fn beginning(&self, with: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let with = with.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT name, value FROM key WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name")?
                .query_map([with], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .await
    }

    async fn exchange(
        &self,
        name: &str,
        value: Vec<u8>,
        further: (String, Vec<u8>),
        gone: Vec<String>,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        self.write(move |connection| {
            for (name, value) in [(name, value), further] {
                connection
                    .prepare_cached(
                        "INSERT INTO key (name, value) VALUES (?1, ?2) \
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    )?
                    .execute(params![name, value])?;
            }
            for name in gone {
                connection.prepare_cached("DELETE FROM key WHERE name = ?1")?.execute([name])?;
            }
            Ok(())
        })
        .await
    }

    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = name.to_owned();
        self.read(move |connection| stored(connection, &name)).await
    }
}

fn stored(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.prepare_cached("SELECT value FROM key WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}
