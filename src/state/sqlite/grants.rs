//! The table of granted permissions.

use async_trait::async_trait;
use rusqlite::params;

use super::Sqlite;
use crate::state::{Error, Grants};

#[async_trait]
impl Grants for Sqlite {
    async fn of(&self, user: &str) -> Result<Vec<String>, Error> {
        let user = user.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(r#"SELECT permission FROM "grant" WHERE user = ?1 ORDER BY permission"#)?
                .query_map([user], |row| row.get(0))?
                .collect()
        })
        .await
    }

    async fn grant(&self, user: &str, permissions: &[String]) -> Result<Vec<String>, Error> {
        let user = user.to_owned();
        let permissions = permissions.to_vec();
        self.write(move |connection| {
            let mut insert = connection
                .prepare_cached(r#"INSERT INTO "grant" (user, permission) VALUES (?1, ?2) ON CONFLICT DO NOTHING"#)?;
            let mut fresh = Vec::new();
            for permission in permissions {
                if insert.execute(params![user, permission])? > 0 {
                    fresh.push(permission);
                }
            }
            Ok(fresh)
        })
        .await
    }

    async fn revoke(&self, user: &str, permissions: &[String]) -> Result<(), Error> {
        let user = user.to_owned();
        let permissions = permissions.to_vec();
        self.write(move |connection| {
            let mut delete = connection.prepare_cached(r#"DELETE FROM "grant" WHERE user = ?1 AND permission = ?2"#)?;
            for permission in permissions {
                delete.execute(params![user, permission])?;
            }
            Ok(())
        })
        .await
    }

    async fn holders(&self, permission: &str) -> Result<Vec<String>, Error> {
        let permission = permission.to_owned();
        self.read(move |connection| {
            connection
                .prepare_cached(r#"SELECT user FROM "grant" WHERE permission = ?1 ORDER BY user"#)?
                .query_map([permission], |row| row.get(0))?
                .collect()
        })
        .await
    }
}
