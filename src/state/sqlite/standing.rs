//! How much of everything there is. By the indexes, so that it costs little.

use std::time::Duration;

use rusqlite::Connection;

use super::Sqlite;
use crate::{metrics::Standing, state::Error};

/// Whoever wants to know has no more patience than that.
const PATIENCE: Duration = Duration::from_secs(1);

const SESSIONS: &str = "SELECT count(*) FROM session WHERE lapses_ms > ?1";
const TIMERS: &str = "SELECT count(*) FROM timer WHERE due_ms <= ?1";
const UNSETTLED: &str = "SELECT count(*) FROM operation INDEXED BY operation_unsettled \
    WHERE state NOT IN ('done', 'undone') AND ?1 IS NOT NULL";
const ATTENTION: &str = "SELECT count(*) FROM operation INDEXED BY operation_unsettled \
    WHERE state NOT IN ('done', 'undone') AND attention IS NOT NULL AND ?1 IS NOT NULL";
const NAMES: &str = "SELECT count(*) FROM hold WHERE ?1 IS NOT NULL";

impl Sqlite {
    /// At that time. What cannot be read is not in it.
    pub async fn standing(&self, now_ms: i64) -> Result<Standing, Error> {
        self.queries
            .read_within(PATIENCE, move |db| {
                Ok(Standing {
                    sessions: count(db, SESSIONS, now_ms),
                    timers_due: count(db, TIMERS, now_ms),
                    operations_unsettled: count(db, UNSETTLED, now_ms),
                    operations_needing_attention: count(db, ATTENTION, now_ms),
                    names_held: count(db, NAMES, now_ms),
                    ..Standing::default()
                })
            })
            .await
    }
}

fn count(db: &Connection, sql: &str, now_ms: i64) -> Option<u64> {
    let counted = db.prepare_cached(sql).and_then(|mut sql| sql.query_row([now_ms], |row| row.get::<_, i64>(0)));
    match counted {
        Ok(count) => Some(count.unsigned_abs()),
        Err(error) => {
            tracing::warn!(%error, "a figure for the metrics cannot be read");
            None
        }
    }
}
