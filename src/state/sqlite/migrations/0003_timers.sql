-- When a person's time is up. Goes with his expirationDate, or when it has been acted upon.
CREATE TABLE timer (
  user     TEXT PRIMARY KEY,
  due_ms   INTEGER NOT NULL,
  -- The identity that he had when it was set.
  identity TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX timer_due ON timer (due_ms, user);
