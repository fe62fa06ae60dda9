//! Taking away what has had its time. The chain is told of every row that goes, since its start may still lie before the
//! row's end; of the chain itself only goes what lies before the checkpoint, which keeps the digest from which the rest is
//! read.

use rusqlite::{Connection, params};

use super::{UNSETTLED, keys};
use crate::{clock, state::ledger::Older};

/// Under this name the chain tells of what went.
pub const NAME: &str = "retention";

/// The names of what is gone, and whether there may be more.
pub fn take(db: &Connection, older: Older) -> rusqlite::Result<(Vec<String>, bool)> {
    let Older { settled_before_ms, answered_before_ms, most } = older;
    let mut gone = Vec::new();

    let mut aged = db.prepare_cached(
        "SELECT slot, operation FROM idempotency_key INDEXED BY idempotency_key_answered \
         WHERE answered_ms < ?1 ORDER BY answered_ms LIMIT ?2",
    )?;
    let aged = aged.query_map(params![answered_before_ms, most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let aged: Vec<(String, Option<String>)> = aged.collect::<rusqlite::Result<_>>()?;
    for (slot, operation) in &aged {
        db.prepare_cached("DELETE FROM idempotency_key WHERE slot = ?1")?.execute([slot])?;
        gone.push(keys::name(slot, operation.as_deref()));
    }

    // What is part of one that is not settled yet stays: that one will tell how many of its parts are done. Of what cannot
    // be read nobody knows that it is a part.
    let mut settled = db.prepare_cached(&format!(
        "SELECT id FROM operation INDEXED BY operation_settled WHERE settled_ms < ?1 \
         AND ifnull(CASE WHEN json_valid(origin) THEN json_extract(origin, '$.part_of') END, '') NOT IN ({UNSETTLED}) \
         ORDER BY settled_ms LIMIT ?2"
    ))?;
    let settled = settled.query_map(params![settled_before_ms, most], |row| row.get(0))?;
    let settled: Vec<String> = settled.collect::<rusqlite::Result<_>>()?;
    for id in &settled {
        for sql in [
            "DELETE FROM step WHERE operation = ?1",
            "DELETE FROM event WHERE operation = ?1",
            "DELETE FROM operation WHERE id = ?1",
        ] {
            db.prepare_cached(sql)?.execute([id])?;
        }
    }

    // Events of operations go with these. Ids begin with the time, so that the search ends where the young ones begin.
    let first = clock::uuid(settled_before_ms).hyphenated().to_string();
    let mut alone = db.prepare_cached(
        "DELETE FROM event WHERE id IN \
         (SELECT id FROM event WHERE id < ?1 AND at_ms < ?2 AND operation IS NULL ORDER BY id LIMIT ?3) RETURNING id",
    )?;
    let alone = alone.query_map(params![first, settled_before_ms, most], |row| row.get(0))?;
    let alone: Vec<String> = alone.collect::<rusqlite::Result<_>>()?;
    let links = db
        .prepare_cached(
            // Only the front is looked at: behind it nothing is older, but where the clock went back.
            "DELETE FROM chain WHERE seq IN (SELECT seq FROM (SELECT seq, at_ms FROM chain \
             WHERE seq < (SELECT seq FROM checkpoint) ORDER BY seq LIMIT ?2) WHERE at_ms < ?1)",
        )?
        .execute(params![settled_before_ms, most])?;

    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let more = [aged.len(), settled.len(), alone.len(), links].iter().any(|taken| *taken >= most);
    gone.extend(settled);
    gone.extend(alone);
    Ok((gone, more))
}
