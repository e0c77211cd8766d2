-- +goose Up
-- What models used is kept by the provider's key, too; of what was used before, nobody
-- knows which it was.
CREATE TABLE model_usage_of_keys (
    tenant_id          TEXT NOT NULL,
    day                INTEGER NOT NULL, -- since 1970, UTC
    token_id           TEXT NOT NULL, -- '': the root token that the operator sets
    workspace_id       TEXT NOT NULL,
    provider_id        TEXT NOT NULL,
    key_id             TEXT NOT NULL DEFAULT '', -- '': not known
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
    spend              INTEGER NOT NULL DEFAULT 0, -- millionths
    unpriced           INTEGER NOT NULL DEFAULT 0, -- of the requests
    PRIMARY KEY (tenant_id, day, token_id, workspace_id, provider_id, model, key_id)
) STRICT, WITHOUT ROWID;
INSERT INTO model_usage_of_keys (tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider,
        requests, input, cache_reads, cache_writes, output, last_at, spend, unpriced)
    SELECT tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider,
        requests, input, cache_reads, cache_writes, output, last_at, spend, unpriced FROM model_usage;
DROP TABLE model_usage;
ALTER TABLE model_usage_of_keys RENAME TO model_usage;

-- The last request that a model answered with the key, and whose it was.
ALTER TABLE provider_keys ADD COLUMN last_used_at TEXT;
ALTER TABLE provider_keys ADD COLUMN last_used_user TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_keys ADD COLUMN last_used_account TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_keys ADD COLUMN last_used_token TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE provider_keys DROP COLUMN last_used_token;
ALTER TABLE provider_keys DROP COLUMN last_used_account;
ALTER TABLE provider_keys DROP COLUMN last_used_user;
ALTER TABLE provider_keys DROP COLUMN last_used_at;
CREATE TABLE model_usage_before (
    tenant_id          TEXT NOT NULL,
    day                INTEGER NOT NULL,
    token_id           TEXT NOT NULL,
    workspace_id       TEXT NOT NULL,
    provider_id        TEXT NOT NULL,
    model              TEXT NOT NULL,
    user_id            TEXT NOT NULL,
    service_account_id TEXT NOT NULL,
    provider           TEXT NOT NULL,
    requests           INTEGER NOT NULL,
    input              INTEGER NOT NULL,
    cache_reads        INTEGER NOT NULL,
    cache_writes       INTEGER NOT NULL,
    output             INTEGER NOT NULL,
    last_at            TEXT NOT NULL,
    spend              INTEGER NOT NULL DEFAULT 0,
    unpriced           INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, day, token_id, workspace_id, provider_id, model)
) STRICT, WITHOUT ROWID;
INSERT INTO model_usage_before (tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider,
        requests, input, cache_reads, cache_writes, output, last_at, spend, unpriced)
    SELECT tenant_id, day, token_id, workspace_id, provider_id, model, MAX(user_id), MAX(service_account_id), MAX(provider),
        SUM(requests), SUM(input), SUM(cache_reads), SUM(cache_writes), SUM(output), MAX(last_at), SUM(spend), SUM(unpriced) FROM model_usage
    GROUP BY tenant_id, day, token_id, workspace_id, provider_id, model;
DROP TABLE model_usage;
ALTER TABLE model_usage_before RENAME TO model_usage;
