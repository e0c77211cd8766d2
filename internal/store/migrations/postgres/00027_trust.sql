-- +goose Up
-- When somebody last read a tenant's trust page and found it true.
CREATE TABLE trust_reviews (
    tenant_id   text COLLATE "C" PRIMARY KEY,
    reviewed_at timestamptz NOT NULL,
    reviewed_by text COLLATE "C" NOT NULL
);

-- Who asks for evidence, and what came of it.
CREATE TABLE trust_requests (
    id           text COLLATE "C" PRIMARY KEY,
    tenant_id    text COLLATE "C" NOT NULL,
    at           timestamptz NOT NULL,
    user_id      text COLLATE "C" NOT NULL, -- '': nobody signed in
    name         text COLLATE "C" NOT NULL,
    email        text COLLATE "C" NOT NULL,
    organisation text COLLATE "C" NOT NULL,
    wants        text COLLATE "C" NOT NULL, -- topics, with spaces between
    message      text COLLATE "C" NOT NULL,
    address      text COLLATE "C" NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('open', 'answered', 'declined')),
    closed_at    timestamptz,
    closed_by    text COLLATE "C" NOT NULL DEFAULT '',
    answer       text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX trust_requests_by_tenant ON trust_requests (tenant_id, id);

ALTER TABLE trust_reviews ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON trust_reviews
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');
ALTER TABLE trust_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON trust_requests
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

-- +goose Down
DROP TABLE trust_requests;
DROP TABLE trust_reviews;
