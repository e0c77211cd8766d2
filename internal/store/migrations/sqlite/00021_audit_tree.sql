-- +goose Up
-- The audit log is a tree of hashes (RFC 6962). What may be about a person is bound to
-- its event under the event's salt, and is what is kept when it is erased.
ALTER TABLE audit_events ADD COLUMN salt BLOB;
ALTER TABLE audit_events ADD COLUMN erased BLOB; -- NULL: nothing was
UPDATE audit_events SET salt = randomblob(16);

-- The place of an event in the tree, and its hash.
CREATE TABLE audit_leaves (
    place INTEGER PRIMARY KEY, -- from 0
    seq   INTEGER NOT NULL UNIQUE, -- of the event
    hash  BLOB NOT NULL
) STRICT;

-- Roots of complete subtrees: of 256 leaves at level 1, of 65,536 at level 2, …
CREATE TABLE audit_subtrees (
    level INTEGER NOT NULL,
    n     INTEGER NOT NULL, -- from 0
    hash  BLOB NOT NULL,
    PRIMARY KEY (level, n)
) STRICT;

CREATE TABLE audit_checkpoints (
    size INTEGER PRIMARY KEY, -- leaves
    at   TEXT NOT NULL,
    note TEXT NOT NULL -- signed
) STRICT;

-- What checkpoints are signed with; the newest signs.
CREATE TABLE audit_keys (
    id         TEXT PRIMARY KEY,
    public     TEXT NOT NULL, -- as notes are verified with
    sealed     BLOB NOT NULL,
    data_key   BLOB NOT NULL,
    kek        TEXT NOT NULL DEFAULT '',
    form       INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL DEFAULT '',
    checkpoints INTEGER NOT NULL DEFAULT 0, -- that it has signed
    retired_at TEXT -- when another took its place; what is sealed is destroyed then
) STRICT;

-- +goose Down
DROP TABLE audit_keys;
DROP TABLE audit_checkpoints;
DROP TABLE audit_subtrees;
DROP TABLE audit_leaves;
ALTER TABLE audit_events DROP COLUMN erased;
ALTER TABLE audit_events DROP COLUMN salt;
