-- Failed logins. Neither names nor addresses stand here: codes made with a key of the state stand for them. Times as integers
-- (milliseconds since 1970).
CREATE TABLE failure (
  -- Of a name and an address, or of an address.
  code      BLOB PRIMARY KEY,
  -- The last one.
  failed_ms INTEGER NOT NULL,
  -- When all of them are forgotten: each adds to it.
  clear_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX failure_clear ON failure (clear_ms);
