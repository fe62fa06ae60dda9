-- Mails with a link to choose a password. Neither an address nor a text nor a link: they are made when one is sent. Times
-- as integers (milliseconds since 1970).
CREATE TABLE mail (
  id         TEXT PRIMARY KEY,
  -- Who gets it.
  identity   TEXT NOT NULL,
  kind       TEXT NOT NULL CHECK (kind IN ('welcome', 'reset')),
  -- The language that he is written to in, where he has said one.
  locale     TEXT,
  created_ms INTEGER NOT NULL,
  attempts   INTEGER NOT NULL DEFAULT 0,
  -- When it is tried next; nothing once it was sent or given up.
  next_ms    INTEGER,
  sent_ms    INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX mail_next ON mail (next_ms) WHERE next_ms IS NOT NULL;
-- How many somebody was sent lately.
CREATE INDEX mail_identity ON mail (identity, created_ms);
-- What may go.
CREATE INDEX mail_created ON mail (created_ms) WHERE next_ms IS NULL;
