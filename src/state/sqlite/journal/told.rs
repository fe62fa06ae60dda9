//! An operation as the chain tells it and as its rows show it: two ways to the same picture, which must be equal.
//! Knows the words of the chain and the tables; must not know how the chain is linked.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{chain::Code, events, keys};

/// One record as the chain keeps it, for ever: a code stands for everything that may be personal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Kind, beginning, who asked and about whom.
    Begin(String, i64, Code),
    /// A name is held.
    Hold(Code),
    /// Number, name, body.
    Intent(u32, String, Code),
    /// Number, what happened, output.
    Outcome(u32, String, Option<Code>),
    /// Number, name, body.
    Promise(u32, String, Code),
    Commit,
    /// What went wrong, though it is not put back: the sentence.
    Remark(Code),
    /// The sentence of the error that turned it.
    RollBack(Code),
    /// Number, sentence, whether somebody should look.
    Failed(u32, Code, bool),
    /// Somebody should look: the sentence.
    Attention(Code),
    Settled(u32),
    Quiet(i64),
    TakenOver,
    End,
    /// It was asked for under an idempotency key: what was asked.
    Key(Code),
    /// What that request will be answered.
    Answer(Code),
    /// From here on it is.
    Answered,
    /// Its outcome became an event: id, all the rest.
    Event(String, Code),
    /// No operation: an answer that is kept under a key.
    Kept(Code),
    /// No operation: an event by itself.
    Noted(Code),
    /// No operation: rows that had their time are gone.
    Dropped(Vec<String>),
}

/// One write of the chain.
pub struct Write {
    pub seq: i64,
    pub fence: i64,
    pub at_ms: i64,
    pub words: Vec<Word>,
}

/// Everything that an operation is, with codes in place of texts.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// The write that began it.
    pub first: i64,
    fence: i64,
    kind: String,
    asked: Option<Code>,
    state: String,
    began_ms: i64,
    settled_ms: Option<i64>,
    quiet_until_ms: i64,
    attention: Option<Code>,
    error: Option<Code>,
    names: BTreeSet<Code>,
    steps: BTreeMap<u32, Step>,
    /// It may go before the operation does.
    pub key: Option<KeyTold>,
    event: Option<(String, Code)>,
}

/// A request under a key.
#[derive(Debug, PartialEq)]
pub struct KeyTold {
    pub asked: Code,
    pub answer: Option<Code>,
    pub answered_ms: Option<i64>,
}

#[derive(Debug, PartialEq)]
struct Step {
    promise: bool,
    name: String,
    body: Option<Code>,
    happened: String,
    output: Option<Code>,
    settled: bool,
    failures: u32,
    error: Option<Code>,
    began_ms: i64,
    ended_ms: Option<i64>,
}

impl Told {
    pub fn begun(&self) -> bool {
        self.first > 0
    }

    pub fn settled(&self) -> bool {
        self.settled_ms.is_some()
    }

    /// How many names it holds.
    pub fn names(&self) -> usize {
        self.names.len()
    }

    /// What one more write makes of it.
    pub fn hear(&mut self, write: Write) {
        let Write { seq, fence, at_ms, words } = write;
        for word in words {
            match word {
                Word::Begin(kind, began_ms, asked) => {
                    (self.first, self.fence, self.kind, self.began_ms) = (seq, fence, kind, began_ms);
                    (self.asked, self.state) = (Some(asked), "running".to_owned());
                }
                Word::Hold(name) => {
                    self.names.insert(name);
                }
                Word::Intent(seq, name, body) => {
                    self.steps.insert(seq, Step::new(false, name, body, at_ms));
                }
                Word::Promise(seq, name, body) => {
                    self.steps.insert(seq, Step::new(true, name, body, at_ms));
                }
                Word::Outcome(seq, happened, output) => self.step(seq, |step| {
                    (step.happened, step.output, step.ended_ms) = (happened, output, Some(at_ms));
                }),
                Word::Commit => "committed".clone_into(&mut self.state),
                Word::Remark(error) => self.error = Some(error),
                Word::RollBack(error) => {
                    (self.state, self.error) = ("rolling-back".to_owned(), Some(error));
                }
                Word::Failed(seq, error, attention) => {
                    if attention {
                        self.attention = Some(error.clone());
                    }
                    self.step(seq, |step| {
                        step.failures += 1;
                        step.error = Some(error);
                    });
                }
                Word::Attention(why) => self.attention = Some(why),
                Word::Settled(seq) => {
                    self.attention = None;
                    self.step(seq, |step| (step.settled, step.error) = (true, None));
                }
                Word::Quiet(until_ms) => self.quiet_until_ms = until_ms,
                Word::TakenOver => self.fence = fence,
                Word::End => {
                    let end = if self.state == "committed" { "done" } else { "undone" };
                    (self.state, self.settled_ms, self.attention) = (end.to_owned(), Some(at_ms), None);
                    self.names.clear();
                    for step in self.steps.values_mut() {
                        (step.body, step.output) = (None, None);
                    }
                    self.answered(at_ms);
                }
                Word::Key(asked) => self.key = Some(KeyTold { asked, answer: None, answered_ms: None }),
                Word::Answer(answer) => {
                    if let Some(key) = &mut self.key {
                        key.answer = Some(answer);
                    }
                }
                Word::Answered => self.answered(at_ms),
                Word::Event(id, code) => self.event = Some((id, code)),
                // Of no operation.
                Word::Kept(_) | Word::Noted(_) | Word::Dropped(_) => {}
            }
        }
    }

    fn answered(&mut self, at_ms: i64) {
        if let Some(key) = &mut self.key {
            key.answered_ms.get_or_insert(at_ms);
        }
    }

    fn step(&mut self, seq: u32, change: impl FnOnce(&mut Step)) {
        // A word about a step that was never laid makes no difference to the rows either.
        if let Some(step) = self.steps.get_mut(&seq) {
            change(step);
        }
    }

    /// As the rows show it; nothing where there is no such row. `code` makes the code of a text.
    pub fn shown(db: &Connection, id: &str, code: impl Fn(&str) -> Code) -> rusqlite::Result<Option<Self>> {
        let coded = |text: Option<String>| text.map(|text| code(&text));
        let told = db
            .prepare_cached(
                "SELECT first_write, fence, kind, origin, actor, request_id, subject, state, began_ms, settled_ms, \
                 quiet_until_ms, attention, error FROM operation WHERE id = ?1",
            )?
            .query_row([id], |row| {
                let (origin, actor, request, subject): (String, String, String, Option<String>) =
                    (row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?);
                Ok(Self {
                    first: row.get(0)?,
                    fence: row.get(1)?,
                    kind: row.get(2)?,
                    asked: Some(code(&asked(&origin, &actor, &request, subject.as_deref()))),
                    state: row.get(7)?,
                    began_ms: row.get(8)?,
                    settled_ms: row.get(9)?,
                    quiet_until_ms: row.get(10)?,
                    attention: coded(row.get(11)?),
                    error: coded(row.get(12)?),
                    names: BTreeSet::new(),
                    steps: BTreeMap::new(),
                    key: None,
                    event: None,
                })
            })
            .optional()?;
        let Some(mut told) = told else { return Ok(None) };
        told.key = keys::shown(db, id, &code)?;
        told.event = events::shown(db, id, &code)?;
        let mut names = db.prepare_cached("SELECT name FROM hold WHERE operation = ?1")?;
        let names = names.query_map([id], |row| row.get::<_, String>(0))?;
        told.names = names.map(|name| name.map(|name| code(&name))).collect::<rusqlite::Result<_>>()?;
        let mut steps = db.prepare_cached(
            "SELECT seq, promise, name, body, happened, output, settled, failures, error, began_ms, ended_ms \
             FROM step WHERE operation = ?1",
        )?;
        let steps = steps.query_map([id], |row| {
            let step = Step {
                promise: row.get(1)?,
                name: row.get(2)?,
                body: coded(row.get(3)?),
                happened: row.get(4)?,
                output: coded(row.get(5)?),
                settled: row.get(6)?,
                failures: row.get(7)?,
                error: coded(row.get(8)?),
                began_ms: row.get(9)?,
                ended_ms: row.get(10)?,
            };
            Ok((row.get(0)?, step))
        })?;
        told.steps = steps.collect::<rusqlite::Result<_>>()?;
        Ok(Some(told))
    }
}

impl Step {
    fn new(promise: bool, name: String, body: Code, began_ms: i64) -> Self {
        Self {
            promise,
            name,
            body: Some(body),
            happened: "unknown".to_owned(),
            output: None,
            settled: false,
            failures: 0,
            error: None,
            began_ms,
            ended_ms: None,
        }
    }
}

/// The columns that tell who asked, as one text.
pub fn asked(origin: &str, actor: &str, request: &str, subject: Option<&str>) -> String {
    serde_json::json!([origin, actor, request, subject]).to_string()
}
