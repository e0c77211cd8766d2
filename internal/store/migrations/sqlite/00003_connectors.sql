-- +goose Up
-- A SCIM connector is one identity provider's way in. Its tokens are rows of
-- api_tokens of the kind 'scim'; one that is linked to no living connector is
-- good for nothing.

CREATE TABLE scim_connectors (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    cidrs      TEXT NOT NULL DEFAULT '', -- networks with spaces between them; empty: anywhere
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL DEFAULT '',
    deleted_at TEXT, -- the name is free again
    deleted_by TEXT
) STRICT;
CREATE UNIQUE INDEX scim_connectors_by_name ON scim_connectors (tenant_id, name) WHERE deleted_at IS NULL;

CREATE TABLE scim_connector_tokens (
    token_id     TEXT PRIMARY KEY,
    connector_id TEXT NOT NULL,
    created_at   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX scim_connector_tokens_by_connector ON scim_connector_tokens (connector_id);

-- The figures are apart from the authority: writing them tells the feed nothing.
-- The connector of TENURE_SCIM_TOKEN has figures under the id 'builtin'.
CREATE TABLE scim_connector_figures (
    connector_id     TEXT PRIMARY KEY,
    last_seen_at     TEXT,
    usual_seconds    REAL NOT NULL DEFAULT 0, -- between two bursts of requests; 0: not known
    error_at         TEXT,
    error_operation  TEXT NOT NULL DEFAULT '',
    error_status     INTEGER NOT NULL DEFAULT 0,
    error_scim_type  TEXT NOT NULL DEFAULT '',
    error_shape      TEXT NOT NULL DEFAULT '', -- keys and types, never values
    error_request_id TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE scim_connector_counts (
    connector_id TEXT NOT NULL,
    operation    TEXT NOT NULL,
    ok           INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (connector_id, operation)
) STRICT, WITHOUT ROWID;

-- scim_connectors
-- +goose StatementBegin
CREATE TRIGGER scim_connectors_inserted AFTER INSERT ON scim_connectors
BEGIN
    INSERT INTO changes (kind, id) VALUES ('connector', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER scim_connectors_updated AFTER UPDATE OF id, tenant_id, name, cidrs, deleted_at ON scim_connectors
BEGIN
    INSERT INTO changes (kind, id) SELECT 'connector', OLD.id UNION SELECT 'connector', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER scim_connectors_deleted AFTER DELETE ON scim_connectors
BEGIN
    INSERT INTO changes (kind, id) VALUES ('connector', OLD.id);
END;
-- +goose StatementEnd

-- scim_connector_tokens
-- +goose StatementBegin
CREATE TRIGGER scim_connector_tokens_inserted AFTER INSERT ON scim_connector_tokens
BEGIN
    INSERT INTO changes (kind, id) VALUES ('connector', NEW.connector_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER scim_connector_tokens_updated AFTER UPDATE ON scim_connector_tokens
BEGIN
    INSERT INTO changes (kind, id) SELECT 'connector', OLD.connector_id UNION SELECT 'connector', NEW.connector_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER scim_connector_tokens_deleted AFTER DELETE ON scim_connector_tokens
BEGIN
    INSERT INTO changes (kind, id) VALUES ('connector', OLD.connector_id);
END;
-- +goose StatementEnd

-- INSERT OR REPLACE throws out what stands in its way, without a DELETE trigger.
-- +goose StatementBegin
CREATE TRIGGER scim_connectors_displaced BEFORE INSERT ON scim_connectors
BEGIN
    INSERT INTO changes (kind, id) SELECT 'connector', id FROM scim_connectors
        WHERE tenant_id = NEW.tenant_id AND name = NEW.name AND deleted_at IS NULL AND NEW.deleted_at IS NULL AND id <> NEW.id;
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'connector replaced'
        WHERE revoked_at IS NULL AND id IN (SELECT l.token_id FROM scim_connector_tokens l JOIN scim_connectors c ON c.id = l.connector_id
            WHERE c.tenant_id = NEW.tenant_id AND c.name = NEW.name AND c.deleted_at IS NULL AND NEW.deleted_at IS NULL AND c.id <> NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER scim_connector_tokens_displaced BEFORE INSERT ON scim_connector_tokens
BEGIN
    INSERT INTO changes (kind, id) SELECT 'connector', connector_id FROM scim_connector_tokens WHERE token_id = NEW.token_id;
END;
-- +goose StatementEnd

-- A connector that is gone takes its tokens along, whoever ended it, and nothing
-- brings them back.
-- +goose StatementBegin
CREATE TRIGGER scim_connectors_end AFTER UPDATE OF deleted_at ON scim_connectors WHEN NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'connector deleted'
        WHERE revoked_at IS NULL AND id IN (SELECT token_id FROM scim_connector_tokens WHERE connector_id = NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER scim_connectors_end_on_delete AFTER DELETE ON scim_connectors
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'connector deleted'
        WHERE revoked_at IS NULL AND id IN (SELECT token_id FROM scim_connector_tokens WHERE connector_id = OLD.id);
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE scim_connector_counts;
DROP TABLE scim_connector_figures;
DROP TABLE scim_connector_tokens;
DROP TABLE scim_connectors;
