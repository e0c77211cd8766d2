-- +goose Up
-- What models used, as their providers counted it: a row for a day (UTC), a token, a
-- provider and a model. Replicas add to it in batches, of which each counts once.
CREATE TABLE model_usage (
    tenant_id          text COLLATE "C" NOT NULL,
    day                bigint           NOT NULL, -- since 1970, UTC
    token_id           text COLLATE "C" NOT NULL, -- '': the root token that the operator sets
    workspace_id       text COLLATE "C" NOT NULL,
    provider_id        text COLLATE "C" NOT NULL,
    model              text COLLATE "C" NOT NULL,
    user_id            text COLLATE "C" NOT NULL,
    service_account_id text COLLATE "C" NOT NULL,
    provider           text COLLATE "C" NOT NULL, -- its name
    requests           bigint           NOT NULL,
    input              bigint           NOT NULL,
    cache_reads        bigint           NOT NULL, -- of the input
    cache_writes       bigint           NOT NULL, -- of the input
    output             bigint           NOT NULL,
    last_at            timestamptz      NOT NULL,
    PRIMARY KEY (tenant_id, day, token_id, workspace_id, provider_id, model)
);
ALTER TABLE model_usage ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON model_usage
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

CREATE TABLE usage_batches (
    id text COLLATE "C" PRIMARY KEY,
    at timestamptz      NOT NULL
);

-- +goose Down
DROP TABLE usage_batches;
DROP TABLE model_usage;
