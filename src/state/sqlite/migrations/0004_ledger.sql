-- What lasts beside operations: answers under idempotency keys, and events. Times as integers (milliseconds since 1970).

-- Neither the key nor the request stands here: codes made with a key of the state stand for them.
CREATE TABLE idempotency_key (
  -- Of the caller and his key.
  slot        TEXT PRIMARY KEY,
  -- Of what was asked.
  request     TEXT NOT NULL,
  -- That it began, where it began one.
  operation   TEXT,
  began_ms    INTEGER NOT NULL,
  -- Personal data; goes with the row.
  answer      TEXT,
  -- From when on the answer may be told.
  answered_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX idempotency_key_operation ON idempotency_key (operation) WHERE operation IS NOT NULL;
-- What may go once it is older than the life of a key.
CREATE INDEX idempotency_key_answered ON idempotency_key (answered_ms) WHERE answered_ms IS NOT NULL;

CREATE TABLE event (
  -- Grows with every commit.
  id        TEXT PRIMARY KEY,
  at_ms     INTEGER NOT NULL,
  action    TEXT NOT NULL,
  outcome   TEXT NOT NULL,
  origin    TEXT NOT NULL,
  actor     TEXT NOT NULL,
  subject   TEXT,
  -- Whose outcome it is; nothing where a single system was changed.
  operation TEXT
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX event_operation ON event (operation) WHERE operation IS NOT NULL;
CREATE INDEX event_actor ON event (actor, id);
CREATE INDEX event_subject ON event (subject, id) WHERE subject IS NOT NULL;
