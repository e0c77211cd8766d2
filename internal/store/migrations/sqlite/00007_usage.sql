-- +goose Up
-- How much was asked and refused, a row for a tenant and a minute: for pictures.
CREATE TABLE usage_minutes (
    tenant_id TEXT NOT NULL,
    minute    INTEGER NOT NULL, -- since 1970, UTC
    requests  INTEGER NOT NULL DEFAULT 0, -- to models
    refused   INTEGER NOT NULL DEFAULT 0, -- anywhere: 401, 403, 429
    failed    INTEGER NOT NULL DEFAULT 0, -- to models: 5xx
    PRIMARY KEY (tenant_id, minute)
) STRICT, WITHOUT ROWID;

-- How long each end of access took, from its start until the last stream was told.
CREATE TABLE revocations (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    at         TEXT NOT NULL,
    what       TEXT NOT NULL, -- of what: user, token, session, service_account, workspace, …
    object_id  TEXT NOT NULL DEFAULT '',
    object     TEXT NOT NULL DEFAULT '',
    actor      TEXT NOT NULL DEFAULT '',
    tokens     INTEGER NOT NULL DEFAULT 0,
    sessions   INTEGER NOT NULL DEFAULT 0,
    streams    INTEGER NOT NULL DEFAULT 0,
    took_us    INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_by_tenant ON revocations (tenant_id, at);

-- +goose Down
DROP TABLE revocations;
DROP TABLE usage_minutes;
