-- +goose Up
-- Where audit events are sent, and how far each has come.
CREATE TABLE audit_sinks (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    everywhere boolean NOT NULL DEFAULT FALSE, -- it gets the events of all tenants
    kind       text COLLATE "C" NOT NULL CHECK (kind IN ('syslog', 'otlp', 'webhook')),
    address    text COLLATE "C" NOT NULL,
    format     text COLLATE "C" NOT NULL CHECK (format IN ('native', 'ocsf')),
    ca         text COLLATE "C" NOT NULL DEFAULT '', -- PEM
    cert       text COLLATE "C" NOT NULL DEFAULT '', -- PEM
    header     text COLLATE "C" NOT NULL DEFAULT '', -- whose value is sealed
    sealed     bytea NOT NULL,
    data_key   bytea NOT NULL,
    kek        text COLLATE "C" NOT NULL DEFAULT '',
    form       bigint NOT NULL DEFAULT 0,
    cursor     bigint NOT NULL, -- the first place that it does not have
    signed     bigint NOT NULL, -- places that its last checkpoint is over
    error      text COLLATE "C" NOT NULL DEFAULT '',
    error_at   timestamptz,
    sent_at    timestamptz,
    attempts   bigint NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    holder     text COLLATE "C" NOT NULL DEFAULT '', -- the process that sends
    lease_ends_at timestamptz,
    paused     boolean NOT NULL DEFAULT FALSE,
    created_at timestamptz NOT NULL,
    created_by text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX audit_sinks_by_name ON audit_sinks (tenant_id, name);

ALTER TABLE audit_sinks ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_sinks
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

-- +goose Down
DROP TABLE audit_sinks;
