//! The hash chain over the journal's writes: nothing can be left out, slipped in or altered between a write and the next
//! start without being seen. It guards against damage, not against somebody who holds the key (it stands in the same file).
//!
//! Each link keeps what was written, with codes in place of whatever may be personal. So at a start every operation since
//! the checkpoint is told anew from the chain, and its rows must say the same.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Damage, UNSETTLED, events, keys, rows,
    told::{Told, Word, Write},
};

pub struct Chain {
    key: hmac::Key,
}

/// Stands for a text of one operation; nobody without the key can try texts against it.
pub type Code = String;

type Digest = Vec<u8>;

/// Writes until the checkpoint is moved up, so that a start after a long life reads no more than some of them.
const WRITES_BETWEEN_CHECKPOINTS: i64 = 1024;

impl Chain {
    pub fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    pub fn code(&self, operation: &str, text: &str) -> Code {
        BASE64_URL_SAFE_NO_PAD.encode(&self.mac(&[operation.as_bytes(), text.as_bytes()])[..16])
    }

    /// The number of the write that comes next.
    pub fn next(db: &Connection) -> rusqlite::Result<i64> {
        Ok(head(db)?.0 + 1)
    }

    /// One more write.
    pub fn link(
        &self,
        db: &Connection,
        fence: i64,
        at_ms: i64,
        operation: &str,
        words: &[Word],
    ) -> rusqlite::Result<()> {
        let (last, before) = head(db)?;
        let (seq, words) = (last + 1, rows::json(&words));
        let digest = self.digest(&before, seq, fence, at_ms, operation, &words);
        db.prepare_cached(
            "INSERT INTO chain (seq, fence, at_ms, operation, words, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![seq, fence, at_ms, operation, words, digest])?;
        if seq % WRITES_BETWEEN_CHECKPOINTS == 0 {
            move_checkpoint(db, seq)?;
        }
        Ok(())
    }

    /// Reads the chain since the last checkpoint, holds every operation of it against its rows, and sets the checkpoint
    /// anew. `Err` inside: what does not fit.
    pub fn verify(&self, db: &Connection) -> rusqlite::Result<Result<(), Damage>> {
        let (mut seq, mut before) = checkpoint(db)?;
        let since = seq;
        if seq > 0 && link_at(db, seq)?.as_ref() != Some(&before) {
            return Ok(damage(format!("write {seq}, where the chain was checked last, is not what was written")));
        }
        let mut open: BTreeMap<String, Told> = BTreeMap::new();
        // Rows that are not there, or not as they were: retention took them, as the chain will tell, or damage did.
        let mut missing: BTreeSet<String> = BTreeSet::new();
        let mut links =
            db.prepare("SELECT seq, fence, at_ms, operation, words, digest FROM chain WHERE seq > ?1 ORDER BY seq")?;
        let mut links = links.query([seq])?;
        while let Some(row) = links.next()? {
            let (at, fence, at_ms): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (operation, words, digest): (String, String, Digest) = (row.get(3)?, row.get(4)?, row.get(5)?);
            if at != seq + 1 {
                return Ok(damage(format!("write {} is missing", seq + 1)));
            }
            if digest != self.digest(&before, at, fence, at_ms, &operation, &words) {
                return Ok(damage(format!("write {at} is not what was written")));
            }
            let Ok(words) = serde_json::from_str::<Vec<Word>>(&words) else {
                return Ok(damage(format!("write {at} is in words that this version does not know")));
            };
            (seq, before) = (at, digest);
            if self.alone(db, &operation, &words, &mut open, &mut missing)? {
                continue;
            }
            let told = open.entry(operation.clone()).or_default();
            told.hear(Write { seq: at, fence, at_ms, words });
            if !told.begun() && !begun_before(db, &operation, since)? {
                missing.insert(operation.clone());
            }
            if told.settled() {
                // Where it began before an operation that was left unsettled, only its end was heard.
                let compared = if told.begun() { self.compare(db, &operation, told, &mut missing)? } else { Ok(()) };
                if let Err(damage) = compared {
                    return Ok(Err(damage));
                }
                open.remove(&operation);
            }
        }
        if let Err(damage) = self.verify_unsettled(db, &mut open, &mut missing)? {
            return Ok(Err(damage));
        }
        if let Some(name) = missing.first() {
            return Ok(damage(format!("{name} is missing or not what was written")));
        }
        move_checkpoint(db, seq)?;
        Ok(Ok(()))
    }

    /// What no operation wrote. Whether it was that.
    fn alone(
        &self,
        db: &Connection,
        name: &str,
        words: &[Word],
        open: &mut BTreeMap<String, Told>,
        missing: &mut BTreeSet<String>,
    ) -> rusqlite::Result<bool> {
        let code = |text: &str| self.code(name, text);
        let as_written = match words {
            [Word::Kept(written)] => keys::shown_kept(db, name, code)?.as_ref() == Some(written),
            [Word::Noted(written)] => events::shown_alone(db, name, code)?.as_ref() == Some(written),
            [Word::Dropped(names)] => {
                for name in names {
                    missing.remove(name);
                    if let Some(told) = keys::operation_of(name).and_then(|operation| open.get_mut(operation)) {
                        told.key = None;
                    }
                }
                return Ok(true);
            }
            _ => return Ok(false),
        };
        if !as_written {
            missing.insert(name.to_owned());
        }
        Ok(true)
    }

    /// What the chain left unsettled is there, no more and no less, and so are the names that it holds.
    fn verify_unsettled(
        &self,
        db: &Connection,
        open: &mut BTreeMap<String, Told>,
        missing: &mut BTreeSet<String>,
    ) -> rusqlite::Result<Result<(), Damage>> {
        for (operation, told) in open.iter_mut() {
            if let Err(damage) = self.compare(db, operation, told, missing)? {
                return Ok(Err(damage));
            }
        }
        let mut unsettled = rows::ids(db, UNSETTLED)?;
        unsettled.sort();
        if !unsettled.iter().eq(open.keys()) {
            let (told, found) = (open.len(), unsettled.len());
            return Ok(damage(format!("{told} operations were left unsettled, {found} are found")));
        }
        let sound: String = db.query_row("PRAGMA integrity_check('hold')", [], |row| row.get(0))?;
        let held: i64 = db.query_row("SELECT count(*) FROM hold", [], |row| row.get(0))?;
        if sound != "ok" || usize::try_from(held) != Ok(open.values().map(Told::names).sum()) {
            return Ok(damage("names are held that no operation holds".to_owned()));
        }
        Ok(Ok(()))
    }

    fn compare(
        &self,
        db: &Connection,
        operation: &str,
        told: &mut Told,
        missing: &mut BTreeSet<String>,
    ) -> rusqlite::Result<Result<(), Damage>> {
        let Some(shown) = Told::shown(db, operation, |text| self.code(operation, text))? else {
            missing.insert(operation.to_owned());
            return Ok(Ok(()));
        };
        if told.key.is_some() && shown.key.is_none() {
            missing.insert(keys::of_operation(operation));
            told.key = None;
        }
        Ok(if shown == *told { Ok(()) } else { damage(format!("operation {operation} is not what was written")) })
    }

    fn digest(&self, before: &[u8], seq: i64, fence: i64, at_ms: i64, operation: &str, words: &str) -> Digest {
        let numbers = [seq.to_be_bytes(), fence.to_be_bytes(), at_ms.to_be_bytes()].concat();
        self.mac(&[before, &numbers, operation.as_bytes(), words.as_bytes()])
    }

    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().to_vec()
    }
}

fn head(db: &Connection) -> rusqlite::Result<(i64, Digest)> {
    let last = db
        .prepare_cached("SELECT seq, digest FROM chain ORDER BY seq DESC LIMIT 1")?
        .query_row([], numbered)
        .optional()?;
    last.map_or_else(|| checkpoint(db), Ok)
}

fn link_at(db: &Connection, seq: i64) -> rusqlite::Result<Option<Digest>> {
    db.query_row("SELECT digest FROM chain WHERE seq = ?1", [seq], |row| row.get(0)).optional()
}

/// Whether it was under way at that write, and has been settled since. Whatever is not settled began after the checkpoint.
fn begun_before(db: &Connection, operation: &str, checkpoint: i64) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM operation WHERE id = ?1 AND first_write <= ?2 AND state IN ('done', 'undone')")?
        .exists(params![operation, checkpoint])
}

fn checkpoint(db: &Connection) -> rusqlite::Result<(i64, Digest)> {
    let found = db.query_row("SELECT seq, digest FROM checkpoint", [], numbered).optional()?;
    Ok(found.unwrap_or_default())
}

fn numbered(row: &Row<'_>) -> rusqlite::Result<(i64, Digest)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// To right before the first write of the oldest operation that is not settled; `last` where all are.
fn move_checkpoint(db: &Connection, last: i64) -> rusqlite::Result<()> {
    let oldest: Option<i64> = db.query_row(
        "SELECT min(first_write) FROM operation INDEXED BY operation_unsettled WHERE state NOT IN ('done', 'undone')",
        [],
        |row| row.get(0),
    )?;
    db.execute(
        "INSERT INTO checkpoint (one, seq, digest) SELECT 1, seq, digest FROM chain WHERE seq = ?1 \
         ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, digest = excluded.digest",
        [oldest.map_or(last, |first| first - 1)],
    )?;
    Ok(())
}

fn damage(what: String) -> Result<(), Damage> {
    Err(Damage(what))
}
