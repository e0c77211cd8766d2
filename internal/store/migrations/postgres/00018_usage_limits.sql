-- +goose Up
-- Limits on the use of models: all that bear on a request hold. A bound of 0 is none.
CREATE TABLE usage_limits (
    id                  text COLLATE "C" PRIMARY KEY,
    tenant_id           text COLLATE "C" NOT NULL,
    workspace_id        text COLLATE "C" NOT NULL DEFAULT '', -- what is asked in it alone is counted; '': everywhere
    subject_kind        text COLLATE "C" NOT NULL CHECK (subject_kind IN ('tenant', 'workspace', 'user', 'service_account', 'token')),
    subject_id          text COLLATE "C" NOT NULL,
    requests_per_minute bigint NOT NULL DEFAULT 0,
    tokens_per_day      bigint NOT NULL DEFAULT 0, -- UTC
    spend_per_month     bigint NOT NULL DEFAULT 0, -- millionths of the installation's currency; UTC
    created_by          text COLLATE "C" NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL
);
CREATE UNIQUE INDEX usage_limits_by_subject ON usage_limits (tenant_id, subject_kind, subject_id, workspace_id);

-- How many requests each replica admitted under a limit, by spans of five seconds; of
-- the last minutes only.
CREATE TABLE usage_limit_requests (
    limit_id  text COLLATE "C" NOT NULL,
    span      bigint NOT NULL, -- since 1970
    replica   text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    requests  bigint NOT NULL,
    PRIMARY KEY (limit_id, span, replica)
);

ALTER TABLE usage_limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_limits
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

ALTER TABLE usage_limit_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_limit_requests
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

CREATE TRIGGER usage_limits_inserted AFTER INSERT ON usage_limits
    FOR EACH ROW EXECUTE FUNCTION tenure_change('limit', 'tenant_id');
CREATE TRIGGER usage_limits_updated AFTER UPDATE ON usage_limits
    FOR EACH ROW EXECUTE FUNCTION tenure_change('limit', 'tenant_id');
CREATE TRIGGER usage_limits_deleted AFTER DELETE ON usage_limits
    FOR EACH ROW EXECUTE FUNCTION tenure_change('limit', 'tenant_id');
CREATE TRIGGER usage_limits_truncated BEFORE TRUNCATE ON usage_limits EXECUTE FUNCTION tenure_truncate();

-- +goose Down
DROP TABLE usage_limit_requests;
DROP TABLE usage_limits;
