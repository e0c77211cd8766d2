-- +goose Up
-- What models used, as their providers counted it: a row for a day (UTC), a token, a
-- provider and a model. Replicas add to it in batches, of which each counts once.
CREATE TABLE model_usage (
    tenant_id          TEXT NOT NULL,
    day                INTEGER NOT NULL, -- since 1970, UTC
    token_id           TEXT NOT NULL, -- '': the root token that the operator sets
    workspace_id       TEXT NOT NULL,
    provider_id        TEXT NOT NULL,
    model              TEXT NOT NULL,
    user_id            TEXT NOT NULL,
    service_account_id TEXT NOT NULL,
    provider           TEXT NOT NULL, -- its name
    requests           INTEGER NOT NULL,
    input              INTEGER NOT NULL,
    cache_reads        INTEGER NOT NULL, -- of the input
    cache_writes       INTEGER NOT NULL, -- of the input
    output             INTEGER NOT NULL,
    last_at            TEXT NOT NULL,
    PRIMARY KEY (tenant_id, day, token_id, workspace_id, provider_id, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_batches (
    id TEXT PRIMARY KEY,
    at TEXT NOT NULL
) STRICT;

-- +goose Down
DROP TABLE usage_batches;
DROP TABLE model_usage;
