-- +goose Up
-- What is read and dropped every few seconds is chosen by its span. (PostgreSQL's walls
-- between tenants, after which this is named, have no counterpart here.)
CREATE TABLE usage_limit_requests_by_span (
    limit_id  TEXT NOT NULL,
    span      INTEGER NOT NULL, -- since 1970
    replica   TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    requests  INTEGER NOT NULL,
    PRIMARY KEY (span, limit_id, replica)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_limit_requests_by_span SELECT limit_id, span, replica, tenant_id, requests FROM usage_limit_requests;
DROP TABLE usage_limit_requests;
ALTER TABLE usage_limit_requests_by_span RENAME TO usage_limit_requests;

-- +goose Down
CREATE TABLE usage_limit_requests_by_limit (
    limit_id  TEXT NOT NULL,
    span      INTEGER NOT NULL, -- since 1970
    replica   TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    requests  INTEGER NOT NULL,
    PRIMARY KEY (limit_id, span, replica)
) STRICT, WITHOUT ROWID;
INSERT INTO usage_limit_requests_by_limit SELECT limit_id, span, replica, tenant_id, requests FROM usage_limit_requests;
DROP TABLE usage_limit_requests;
ALTER TABLE usage_limit_requests_by_limit RENAME TO usage_limit_requests;
