-- +goose Up
-- Limits on the use of models: all that bear on a request hold. A bound of 0 is none.
CREATE TABLE usage_limits (
    id                  TEXT PRIMARY KEY,
    tenant_id           TEXT NOT NULL,
    workspace_id        TEXT NOT NULL DEFAULT '', -- what is asked in it alone is counted; '': everywhere
    subject_kind        TEXT NOT NULL CHECK (subject_kind IN ('tenant', 'workspace', 'user', 'service_account', 'token')),
    subject_id          TEXT NOT NULL,
    requests_per_minute INTEGER NOT NULL DEFAULT 0,
    tokens_per_day      INTEGER NOT NULL DEFAULT 0, -- UTC
    spend_per_month     INTEGER NOT NULL DEFAULT 0, -- millionths of the installation's currency; UTC
    created_by          TEXT NOT NULL DEFAULT '',
    created_at          TEXT NOT NULL,
    updated_at          TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX usage_limits_by_subject ON usage_limits (tenant_id, subject_kind, subject_id, workspace_id);

-- How many requests each replica admitted under a limit, by spans of five seconds; of
-- the last minutes only.
CREATE TABLE usage_limit_requests (
    limit_id  TEXT NOT NULL,
    span      INTEGER NOT NULL, -- since 1970
    replica   TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    requests  INTEGER NOT NULL,
    PRIMARY KEY (limit_id, span, replica)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER usage_limits_inserted AFTER INSERT ON usage_limits
BEGIN
    INSERT INTO changes (kind, id) VALUES ('limit', NEW.tenant_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER usage_limits_updated AFTER UPDATE ON usage_limits
BEGIN
    INSERT INTO changes (kind, id) SELECT 'limit', OLD.tenant_id UNION SELECT 'limit', NEW.tenant_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER usage_limits_deleted AFTER DELETE ON usage_limits
BEGIN
    INSERT INTO changes (kind, id) VALUES ('limit', OLD.tenant_id);
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE usage_limit_requests;
DROP TABLE usage_limits;
