-- +goose Up
-- The audit log is a tree of hashes (RFC 6962). What may be about a person is bound to
-- its event under the event's salt, and is what is kept when it is erased.
ALTER TABLE audit_events ADD COLUMN salt bytea;
ALTER TABLE audit_events ADD COLUMN erased bytea; -- NULL: nothing was
UPDATE audit_events SET salt = uuid_send(gen_random_uuid());

-- The place of an event in the tree, and its hash.
CREATE TABLE audit_leaves (
    place bigint PRIMARY KEY, -- from 0
    seq   bigint NOT NULL UNIQUE, -- of the event
    hash  bytea  NOT NULL
);

-- Roots of complete subtrees: of 256 leaves at level 1, of 65,536 at level 2, …
CREATE TABLE audit_subtrees (
    level bigint NOT NULL,
    n     bigint NOT NULL, -- from 0
    hash  bytea  NOT NULL,
    PRIMARY KEY (level, n)
);

CREATE TABLE audit_checkpoints (
    size bigint PRIMARY KEY, -- leaves
    at   timestamptz NOT NULL,
    note text COLLATE "C" NOT NULL -- signed
);

-- What checkpoints are signed with; the newest signs.
CREATE TABLE audit_keys (
    id         text COLLATE "C" PRIMARY KEY,
    public     text COLLATE "C" NOT NULL, -- as notes are verified with
    sealed     bytea NOT NULL,
    data_key   bytea NOT NULL,
    kek        text COLLATE "C" NOT NULL DEFAULT '',
    form       bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    created_by text COLLATE "C" NOT NULL DEFAULT '',
    checkpoints bigint NOT NULL DEFAULT 0, -- that it has signed
    retired_at timestamptz -- when another took its place; what is sealed is destroyed then
);

-- Who serves adds to the log, and changes or removes nothing of it (deploy/postgres/roles.sql).
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_app') THEN
        REVOKE UPDATE, DELETE ON audit_events, audit_leaves, audit_subtrees, audit_checkpoints FROM tenure_app;
        REVOKE DELETE ON audit_keys FROM tenure_app;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE audit_keys;
DROP TABLE audit_checkpoints;
DROP TABLE audit_subtrees;
DROP TABLE audit_leaves;
ALTER TABLE audit_events DROP COLUMN erased;
ALTER TABLE audit_events DROP COLUMN salt;
