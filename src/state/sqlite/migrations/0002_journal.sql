-- The journal of operations. Names, times and JSON as text and integers (milliseconds since 1970).

-- One row per process life; its number fences off whoever came before.
CREATE TABLE lease (
  fence     INTEGER PRIMARY KEY AUTOINCREMENT,
  began_ms  INTEGER NOT NULL,
  lapses_ms INTEGER
) STRICT;

CREATE TABLE operation (
  id             TEXT PRIMARY KEY,
  kind           TEXT NOT NULL,
  state          TEXT NOT NULL,
  fence          INTEGER NOT NULL,
  -- Its begin in the chain.
  first_write    INTEGER NOT NULL,
  origin         TEXT NOT NULL,
  actor          TEXT NOT NULL,
  request_id     TEXT NOT NULL,
  subject        TEXT,
  began_ms       INTEGER NOT NULL,
  settled_ms     INTEGER,
  quiet_until_ms INTEGER NOT NULL DEFAULT 0,
  attention      TEXT,
  error          TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX operation_unsettled ON operation (fence) WHERE state NOT IN ('done', 'undone');
CREATE INDEX operation_subject ON operation (subject, id) WHERE subject IS NOT NULL;
CREATE INDEX operation_request ON operation (request_id);
-- What may go once it is older than the retention.
CREATE INDEX operation_settled ON operation (settled_ms) WHERE settled_ms IS NOT NULL;

CREATE TABLE step (
  operation TEXT NOT NULL,
  seq       INTEGER NOT NULL,
  promise   INTEGER NOT NULL,
  name      TEXT NOT NULL,
  -- Personal data; blanked when the operation is settled.
  body      TEXT,
  happened  TEXT NOT NULL DEFAULT 'unknown',
  output    TEXT,
  settled   INTEGER NOT NULL DEFAULT 0,
  failures  INTEGER NOT NULL DEFAULT 0,
  error     TEXT,
  began_ms  INTEGER NOT NULL,
  ended_ms  INTEGER,
  PRIMARY KEY (operation, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE hold (
  name      TEXT PRIMARY KEY,
  operation TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX hold_operation ON hold (operation);

-- One row a write; each digest covers the one before, so that nothing can be left out or slipped in between.
CREATE TABLE chain (
  seq       INTEGER PRIMARY KEY,
  fence     INTEGER NOT NULL,
  at_ms     INTEGER NOT NULL,
  operation TEXT NOT NULL,
  -- What was written, as JSON; codes stand for what may be personal.
  words     TEXT NOT NULL,
  digest    BLOB NOT NULL
) STRICT;

-- From where the chain is read at the next start: everything before was sound, and every operation of it settled.
CREATE TABLE checkpoint (
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  seq    INTEGER NOT NULL,
  digest BLOB NOT NULL
) STRICT;
