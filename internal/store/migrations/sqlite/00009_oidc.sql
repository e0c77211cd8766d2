-- +goose Up
-- Sign-in by OpenID Connect: connections, who a provider's subject is here, and
-- how each session's person showed who they are.

ALTER TABLE sessions ADD COLUMN authenticated_at TEXT; -- NULL: when it was made
ALTER TABLE sessions ADD COLUMN connection_id TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN sid TEXT NOT NULL DEFAULT ''; -- the provider's own session
ALTER TABLE sessions ADD COLUMN acr TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN amr TEXT NOT NULL DEFAULT ''; -- with spaces between
CREATE INDEX sessions_by_subject ON sessions (tenant_id, issuer, subject) WHERE issuer <> '' AND ended_at IS NULL;
CREATE INDEX sessions_by_sid ON sessions (tenant_id, issuer, sid) WHERE sid <> '' AND ended_at IS NULL;

-- Another connection of a tenant may come to have the name of one that is gone:
-- rows are deleted, not marked.
CREATE TABLE oidc_connections (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL UNIQUE, -- one each
    name            TEXT NOT NULL UNIQUE, -- over all tenants: it is in addresses
    issuer          TEXT NOT NULL,
    client_id       TEXT NOT NULL,
    secret_sealed   BLOB NOT NULL, -- AES-256-GCM under the data key
    data_key        BLOB NOT NULL, -- the data key, wrapped by the key-encryption key
    scopes          TEXT NOT NULL,
    user_name_claim TEXT NOT NULL,
    trust_email     INTEGER NOT NULL DEFAULT 0, -- an e-mail address that the provider has not verified
    created_at      TEXT NOT NULL,
    created_by      TEXT NOT NULL DEFAULT ''
) STRICT;

-- Domains of e-mail addresses: each leads to one connection.
CREATE TABLE oidc_domains (
    domain        TEXT PRIMARY KEY, -- in lower case
    connection_id TEXT NOT NULL REFERENCES oidc_connections (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX oidc_domains_by_connection ON oidc_domains (connection_id);

-- Which subject of which issuer a person is: one each, from the first sign-in on.
-- A row outlives its person, so that a deleted one is known again. An empty issuer:
-- they were unlinked, and the next who comes by their name is they.
CREATE TABLE oidc_subjects (
    user_id    TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (tenant_id, issuer, subject)
) STRICT, WITHOUT ROWID;

-- What may be used once only: states of sign-ins and ids of logout tokens, as
-- digests, until they would be refused for their age.
CREATE TABLE oidc_seen (
    digest TEXT PRIMARY KEY,
    until  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX oidc_seen_by_age ON oidc_seen (until);

-- +goose Down
-- There is no way down: sessions and people would lose where they came from.
