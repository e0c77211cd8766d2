-- +goose Up
-- When somebody last read a tenant's trust page and found it true.
CREATE TABLE trust_reviews (
    tenant_id   TEXT PRIMARY KEY,
    reviewed_at TEXT NOT NULL,
    reviewed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who asks for evidence, and what came of it.
CREATE TABLE trust_requests (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    at           TEXT NOT NULL,
    user_id      TEXT NOT NULL, -- '': nobody signed in
    name         TEXT NOT NULL,
    email        TEXT NOT NULL,
    organisation TEXT NOT NULL,
    wants        TEXT NOT NULL, -- topics, with spaces between
    message      TEXT NOT NULL,
    address      TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('open', 'answered', 'declined')),
    closed_at    TEXT,
    closed_by    TEXT NOT NULL DEFAULT '',
    answer       TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX trust_requests_by_tenant ON trust_requests (tenant_id, id);

-- +goose Down
DROP TABLE trust_requests;
DROP TABLE trust_reviews;
