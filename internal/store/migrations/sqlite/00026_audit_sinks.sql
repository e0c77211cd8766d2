-- +goose Up
-- Where audit events are sent, and how far each has come.
CREATE TABLE audit_sinks (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    everywhere INTEGER NOT NULL DEFAULT 0, -- it gets the events of all tenants
    kind       TEXT NOT NULL CHECK (kind IN ('syslog', 'otlp', 'webhook')),
    address    TEXT NOT NULL,
    format     TEXT NOT NULL CHECK (format IN ('native', 'ocsf')),
    ca         TEXT NOT NULL DEFAULT '', -- PEM
    cert       TEXT NOT NULL DEFAULT '', -- PEM
    header     TEXT NOT NULL DEFAULT '', -- whose value is sealed
    sealed     BLOB NOT NULL,
    data_key   BLOB NOT NULL,
    kek        TEXT NOT NULL DEFAULT '',
    form       INTEGER NOT NULL DEFAULT 0,
    cursor     INTEGER NOT NULL, -- the first place that it does not have
    signed     INTEGER NOT NULL, -- places that its last checkpoint is over
    error      TEXT NOT NULL DEFAULT '',
    error_at   TEXT,
    sent_at    TEXT,
    attempts   INTEGER NOT NULL DEFAULT 0,
    next_try_at TEXT,
    holder     TEXT NOT NULL DEFAULT '', -- the process that sends
    lease_ends_at TEXT,
    paused     INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX audit_sinks_by_name ON audit_sinks (tenant_id, name);

-- +goose Down
DROP TABLE audit_sinks;
