-- +goose Up
-- What models used is kept by the provider's key, too; of what was used before, nobody
-- knows which it was.
ALTER TABLE model_usage ADD COLUMN key_id text COLLATE "C" NOT NULL DEFAULT ''; -- '': not known
ALTER TABLE model_usage DROP CONSTRAINT model_usage_pkey,
    ADD PRIMARY KEY (tenant_id, day, token_id, workspace_id, provider_id, model, key_id);

-- The last request that a model answered with the key, and whose it was.
ALTER TABLE provider_keys ADD COLUMN last_used_at timestamptz,
    ADD COLUMN last_used_user text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN last_used_account text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN last_used_token text COLLATE "C" NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE provider_keys DROP COLUMN last_used_token, DROP COLUMN last_used_account, DROP COLUMN last_used_user, DROP COLUMN last_used_at;
CREATE TEMP TABLE model_usage_before ON COMMIT DROP AS
    SELECT tenant_id, day, token_id, workspace_id, provider_id, model, MAX(user_id) AS user_id, MAX(service_account_id) AS service_account_id,
        MAX(provider) AS provider, SUM(requests)::bigint AS requests, SUM(input)::bigint AS input, SUM(cache_reads)::bigint AS cache_reads,
        SUM(cache_writes)::bigint AS cache_writes, SUM(output)::bigint AS output, MAX(last_at) AS last_at, SUM(spend)::bigint AS spend, SUM(unpriced)::bigint AS unpriced
    FROM model_usage GROUP BY tenant_id, day, token_id, workspace_id, provider_id, model;
DELETE FROM model_usage;
ALTER TABLE model_usage DROP CONSTRAINT model_usage_pkey;
ALTER TABLE model_usage DROP COLUMN key_id, ADD PRIMARY KEY (tenant_id, day, token_id, workspace_id, provider_id, model);
INSERT INTO model_usage (tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider,
        requests, input, cache_reads, cache_writes, output, last_at, spend, unpriced)
    SELECT tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider,
        requests, input, cache_reads, cache_writes, output, last_at, spend, unpriced FROM model_usage_before;
