-- Who has logged in. A row goes when its session ends. Times as integers (milliseconds since 1970).
CREATE TABLE session (
  -- UUID v7
  id        TEXT PRIMARY KEY,
  identity  TEXT NOT NULL,
  door      TEXT NOT NULL,
  address   TEXT,
  began_ms  INTEGER NOT NULL,
  ends_ms   INTEGER NOT NULL,
  turn      INTEGER NOT NULL,
  turned_ms INTEGER NOT NULL,
  lapses_ms INTEGER NOT NULL,
  -- SHA-256 of the refresh token that counts, and of the one before it.
  current   BLOB NOT NULL,
  previous  BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX session_identity ON session (identity, id);
CREATE INDEX session_lapses ON session (lapses_ms);

-- Sessions of the identity provider that were ended here.
CREATE TABLE refused_session (
  id       TEXT PRIMARY KEY,
  until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX refused_session_until ON refused_session (until_ms);
