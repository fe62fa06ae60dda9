-- Documents of the embedded drivers, granted permissions, keys.

-- What each collection's unique and indexed fields were when its values were last written below.
CREATE TABLE collection (
    name       TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE document (
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    -- Grows strictly with every write: what conditional writes are bound to.
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (collection, id)
) STRICT, WITHOUT ROWID;

-- The folded values that no two documents may share; a space is one or more fields.
CREATE TABLE unique_value (
    collection TEXT NOT NULL,
    space      TEXT NOT NULL,
    value      TEXT NOT NULL,
    id         TEXT NOT NULL,
    PRIMARY KEY (collection, space, value)
) STRICT, WITHOUT ROWID;

-- Values as they are, to find documents by.
CREATE TABLE indexed_value (
    collection TEXT NOT NULL,
    field      TEXT NOT NULL,
    value      TEXT NOT NULL,
    id         TEXT NOT NULL,
    PRIMARY KEY (collection, field, value, id)
) STRICT, WITHOUT ROWID;

-- Ids under which nothing can be inserted any more: the fence of an abandoned insert.
CREATE TABLE closed (
    collection TEXT NOT NULL,
    id         TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (collection, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE "grant" (
    user       TEXT NOT NULL,
    permission TEXT NOT NULL,
    PRIMARY KEY (user, permission)
) STRICT, WITHOUT ROWID;

CREATE INDEX holder ON "grant" (permission, user);

CREATE TABLE key (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
