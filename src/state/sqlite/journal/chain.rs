//! The hash chain over the journal's writes: nothing can be left out, slipped in or altered between a write and the next
//! start without being seen. It guards against damage, not against somebody who holds the key (it stands in the same file).

use std::collections::HashMap;

use aws_lc_rs::{digest, hmac};
use rusqlite::{Connection, OptionalExtension, params};

use super::Damage;

pub struct Chain {
    key: hmac::Key,
}

type Digest = Vec<u8>;

impl Chain {
    pub fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// Proves a step's body.
    pub fn body_mac(&self, operation: &str, seq: u32, name: &str, body: &str) -> Vec<u8> {
        self.mac(&[operation.as_bytes(), &seq.to_be_bytes(), name.as_bytes(), body.as_bytes()])
    }

    /// One more write.
    pub fn link(
        &self,
        db: &Connection,
        fence: i64,
        operation: &str,
        kinds: &str,
        payload: &[u8],
    ) -> rusqlite::Result<()> {
        let (seq, before) = head(db)?;
        let mac = self.mac(&[operation.as_bytes(), kinds.as_bytes(), payload]);
        let digest = digest_of(&before, seq + 1, fence, operation, kinds, &mac);
        db.prepare_cached(
            "INSERT INTO chain (seq, fence, operation, kinds, mac, digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![seq + 1, fence, operation, kinds, mac, digest])?;
        Ok(())
    }

    /// Reads the chain since the last checkpoint, holds every unsettled operation against it, and sets the checkpoint
    /// anew. `Err` inside: what does not fit.
    pub fn verify(&self, db: &Connection) -> rusqlite::Result<Result<(), Damage>> {
        let (mut seq, mut before) = checkpoint(db)?;
        let mut told: HashMap<String, Told> = HashMap::new();
        let mut rows =
            db.prepare("SELECT seq, fence, operation, kinds, mac, digest FROM chain WHERE seq > ?1 ORDER BY seq")?;
        let mut rows = rows.query([seq])?;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(0)?;
            let (fence, operation, kinds): (i64, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let (mac, digest): (Vec<u8>, Digest) = (row.get(4)?, row.get(5)?);
            if at != seq + 1 {
                return Ok(damage(format!("write {} is missing", seq + 1)));
            }
            if digest != digest_of(&before, at, fence, &operation, &kinds, &mac) {
                return Ok(damage(format!("write {at} is not what was written")));
            }
            told.entry(operation).or_default().hear(at, &kinds);
            (seq, before) = (at, digest);
        }
        drop(rows);
        if let Err(damage) = self.verify_unsettled(db, &told)? {
            return Ok(Err(damage));
        }
        let oldest = told.values().filter(|told| told.state != "end").map(|told| told.first).min();
        let upto = oldest.map_or(seq, |first| first - 1);
        set_checkpoint(db, upto)?;
        Ok(Ok(()))
    }

    /// The rows of an unsettled operation say the same as the chain.
    fn verify_unsettled(&self, db: &Connection, told: &HashMap<String, Told>) -> rusqlite::Result<Result<(), Damage>> {
        let mut operations = db.prepare("SELECT id, state FROM operation WHERE state NOT IN ('done', 'undone')")?;
        let mut rows = operations.query([])?;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let (id, state): (String, String) = (row.get(0)?, row.get(1)?);
            let Some(told) = told.get(&id) else { return Ok(damage(format!("operation {id} was never begun"))) };
            if told.state != state {
                return Ok(damage(format!("operation {id} stands as {state}, it was left as {}", told.state)));
            }
            let mut steps =
                db.prepare_cached("SELECT seq, name, body, mac FROM step WHERE operation = ?1 AND promise = 0")?;
            let mut steps = steps.query([&id])?;
            let mut intents = 0;
            while let Some(step) = steps.next()? {
                let (seq, name, body): (u32, String, Option<String>) = (step.get(0)?, step.get(1)?, step.get(2)?);
                let mac: Vec<u8> = step.get(3)?;
                if self.body_mac(&id, seq, &name, &body.unwrap_or_default()) != mac {
                    return Ok(damage(format!("step {seq} of operation {id} is not what was written")));
                }
                intents += 1;
            }
            if intents != told.intents {
                return Ok(damage(format!("operation {id} has {intents} steps, {} were written", told.intents)));
            }
            seen += 1;
        }
        let unsettled = told.values().filter(|told| told.state != "end").count();
        if unsettled != seen {
            return Ok(damage(format!("{unsettled} operations are unsettled, {seen} of them are there")));
        }
        Ok(Ok(()))
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

/// What the chain tells of one operation.
#[derive(Default)]
struct Told {
    first: i64,
    state: &'static str,
    intents: u32,
}

impl Told {
    fn hear(&mut self, at: i64, kinds: &str) {
        for kind in kinds.split(' ') {
            match kind {
                "begin" => (self.first, self.state) = (at, "running"),
                "intent" => self.intents += 1,
                "commit" => self.state = "committed",
                "roll-back" => self.state = "rolling-back",
                "end" => self.state = "end",
                _ => {}
            }
        }
    }
}

fn digest_of(before: &[u8], seq: i64, fence: i64, operation: &str, kinds: &str, mac: &[u8]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(before);
    context.update(&seq.to_be_bytes());
    context.update(&fence.to_be_bytes());
    for text in [operation, kinds] {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    context.update(mac);
    context.finish().as_ref().to_vec()
}

fn head(db: &Connection) -> rusqlite::Result<(i64, Digest)> {
    let last = db
        .prepare_cached("SELECT seq, digest FROM chain ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    last.map_or_else(|| checkpoint(db), Ok)
}

fn checkpoint(db: &Connection) -> rusqlite::Result<(i64, Digest)> {
    let found =
        db.query_row("SELECT seq, digest FROM checkpoint", [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.unwrap_or_default())
}

fn set_checkpoint(db: &Connection, upto: i64) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO checkpoint (one, seq, digest) SELECT 1, seq, digest FROM chain WHERE seq = ?1 \
         ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, digest = excluded.digest",
        [upto],
    )?;
    Ok(())
}

fn damage(what: String) -> Result<(), Damage> {
    Err(Damage(what))
}
