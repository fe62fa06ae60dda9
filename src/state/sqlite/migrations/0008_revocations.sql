-- Identities whose tokens, made by their provider, count only from some time on. Times as integers (milliseconds since 1970).
CREATE TABLE revocation (
  -- `authUserId`
  identity  TEXT PRIMARY KEY,
  -- What was issued before is refused.
  before_ms INTEGER NOT NULL,
  -- No token lives so long.
  until_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revocation_until ON revocation (until_ms);
