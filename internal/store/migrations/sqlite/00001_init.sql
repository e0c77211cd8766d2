-- +goose Up
-- Times are RFC 3339 text in UTC. What an operator writes by hand as
-- datetime('now') or CURRENT_TIMESTAMP is understood too.
-- No foreign keys lead to users or workspaces: a DELETE typed by hand must work
-- in any shell; the triggers below end what the row carried.

CREATE TABLE tenants (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    active     INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE workspaces (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (tenant_id, name)
) STRICT;

CREATE TABLE users (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    user_name      TEXT NOT NULL,
    user_name_fold TEXT NOT NULL,
    display_name   TEXT NOT NULL DEFAULT '',
    external_id    TEXT NOT NULL DEFAULT '',
    active         INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    role           TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('super_admin', 'admin', 'auditor', 'member')),
    source         TEXT NOT NULL,
    profile        TEXT NOT NULL DEFAULT '{}',
    version        INTEGER NOT NULL DEFAULT 1,
    created_at     TEXT NOT NULL,
    updated_at     TEXT NOT NULL,
    deactivated_at TEXT,
    last_seen_at   TEXT,
    deleted_at     TEXT -- a tombstone: the name is free again, the id never is
) STRICT;
CREATE UNIQUE INDEX users_by_name ON users (tenant_id, user_name_fold) WHERE deleted_at IS NULL;
CREATE INDEX users_deleted ON users (tenant_id, user_name_fold) WHERE deleted_at IS NOT NULL;
CREATE INDEX users_by_external_id ON users (tenant_id, external_id) WHERE external_id <> '';

CREATE TABLE memberships (
    tenant_id    TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    role         TEXT NOT NULL DEFAULT 'member' CHECK (role IN ('workspace_admin', 'member', 'viewer')),
    created_at   TEXT NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE service_accounts (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    workspace_id  TEXT NOT NULL,
    name          TEXT NOT NULL,
    owner_user_id TEXT NOT NULL,
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    created_at    TEXT NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT;

CREATE TABLE api_tokens (
    id                 TEXT PRIMARY KEY,
    tenant_id          TEXT NOT NULL,
    workspace_id       TEXT NOT NULL DEFAULT '',
    user_id            TEXT NOT NULL DEFAULT '',
    service_account_id TEXT NOT NULL DEFAULT '',
    name               TEXT NOT NULL,
    kind               TEXT NOT NULL CHECK (kind IN ('pat', 'svc', 'scim', 'root')),
    token_hash         TEXT NOT NULL UNIQUE,
    token_prefix       TEXT NOT NULL,
    scopes             TEXT NOT NULL DEFAULT '',
    created_at         TEXT NOT NULL,
    expires_at         TEXT,
    last_used_at       TEXT,
    revoked_at         TEXT,
    revoked_by         TEXT,
    revoked_reason     TEXT
) STRICT;
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);
CREATE INDEX api_tokens_by_tenant ON api_tokens (tenant_id, id);

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    user_id      TEXT NOT NULL DEFAULT '',
    token_id     TEXT NOT NULL DEFAULT '', -- the root token that opened it
    token_hash   TEXT NOT NULL DEFAULT '', -- its digest: the session lives while that token stands
    session_hash TEXT NOT NULL UNIQUE,
    via          TEXT NOT NULL,
    address      TEXT NOT NULL DEFAULT '',
    user_agent   TEXT NOT NULL DEFAULT '',
    created_at   TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    expires_at   TEXT NOT NULL,
    ended_at     TEXT,
    ended_by     TEXT,
    ended_reason TEXT
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE provider_credentials (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    name         TEXT NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('openai', 'anthropic')),
    base_url     TEXT NOT NULL,
    key_sealed   BLOB NOT NULL, -- AES-256-GCM under the data key
    data_key     BLOB NOT NULL, -- the data key, wrapped by the key-encryption key
    key_last4    TEXT NOT NULL,
    key_version  INTEGER NOT NULL DEFAULT 1,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL,
    UNIQUE (workspace_id, name)
) STRICT;

CREATE TABLE audit_events (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    at           TEXT NOT NULL,
    tenant_id    TEXT NOT NULL,
    workspace_id TEXT NOT NULL DEFAULT '',
    action       TEXT NOT NULL,
    actor_kind   TEXT NOT NULL,
    actor_id     TEXT NOT NULL DEFAULT '',
    actor        TEXT NOT NULL DEFAULT '',
    object_id    TEXT NOT NULL DEFAULT '',
    object       TEXT NOT NULL DEFAULT '',
    outcome      TEXT NOT NULL,
    reason       TEXT NOT NULL DEFAULT '',
    request_id   TEXT NOT NULL DEFAULT '',
    address      TEXT NOT NULL DEFAULT '',
    detail       TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX audit_events_by_tenant ON audit_events (tenant_id, seq);

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- The change feed: every change of authority, whoever made it. Replicas tail it.
CREATE TABLE changes (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id   TEXT NOT NULL, -- of a membership: the user's id
    at   TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

INSERT INTO tenants (id, name, created_at) VALUES ('default', 'default', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));
INSERT INTO workspaces (id, tenant_id, name, created_at) VALUES ('default', 'default', 'default', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));

-- The triggers of the feed use built-in functions only, so that the plain
-- sqlite3 shell fires them too. INSERT is among them because INSERT OR REPLACE
-- fires no DELETE trigger.
-- api_tokens
-- +goose StatementBegin
CREATE TRIGGER api_tokens_inserted AFTER INSERT ON api_tokens
BEGIN
    INSERT INTO changes (kind, id) VALUES ('token', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER api_tokens_updated AFTER UPDATE OF id, tenant_id, workspace_id, user_id, service_account_id, name, kind, token_hash, scopes, expires_at, revoked_at ON api_tokens
BEGIN
    INSERT INTO changes (kind, id) SELECT 'token', OLD.id UNION SELECT 'token', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER api_tokens_deleted AFTER DELETE ON api_tokens
BEGIN
    INSERT INTO changes (kind, id) VALUES ('token', OLD.id);
END;
-- +goose StatementEnd

-- users
-- +goose StatementBegin
CREATE TRIGGER users_inserted AFTER INSERT ON users
BEGIN
    INSERT INTO changes (kind, id) VALUES ('user', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_updated AFTER UPDATE OF id, tenant_id, user_name, active, role, deleted_at ON users
BEGIN
    INSERT INTO changes (kind, id) SELECT 'user', OLD.id UNION SELECT 'user', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_deleted AFTER DELETE ON users
BEGIN
    INSERT INTO changes (kind, id) VALUES ('user', OLD.id);
END;
-- +goose StatementEnd

-- sessions
-- +goose StatementBegin
CREATE TRIGGER sessions_inserted AFTER INSERT ON sessions
BEGIN
    INSERT INTO changes (kind, id) VALUES ('session', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER sessions_updated AFTER UPDATE OF id, tenant_id, user_id, token_id, session_hash, expires_at, ended_at ON sessions
BEGIN
    INSERT INTO changes (kind, id) SELECT 'session', OLD.id UNION SELECT 'session', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions
BEGIN
    INSERT INTO changes (kind, id) VALUES ('session', OLD.id);
END;
-- +goose StatementEnd

-- memberships
-- +goose StatementBegin
CREATE TRIGGER memberships_inserted AFTER INSERT ON memberships
BEGIN
    INSERT INTO changes (kind, id) VALUES ('membership', NEW.user_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER memberships_updated AFTER UPDATE OF tenant_id, workspace_id, user_id, role ON memberships
BEGIN
    INSERT INTO changes (kind, id) SELECT 'membership', OLD.user_id UNION SELECT 'membership', NEW.user_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER memberships_deleted AFTER DELETE ON memberships
BEGIN
    INSERT INTO changes (kind, id) VALUES ('membership', OLD.user_id);
END;
-- +goose StatementEnd

-- service_accounts
-- +goose StatementBegin
CREATE TRIGGER service_accounts_inserted AFTER INSERT ON service_accounts
BEGIN
    INSERT INTO changes (kind, id) VALUES ('service_account', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER service_accounts_updated AFTER UPDATE OF id, tenant_id, workspace_id, owner_user_id, active ON service_accounts
BEGIN
    INSERT INTO changes (kind, id) SELECT 'service_account', OLD.id UNION SELECT 'service_account', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER service_accounts_deleted AFTER DELETE ON service_accounts
BEGIN
    INSERT INTO changes (kind, id) VALUES ('service_account', OLD.id);
END;
-- +goose StatementEnd

-- provider_credentials
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_inserted AFTER INSERT ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) VALUES ('provider', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, key_sealed, data_key, key_version ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER provider_credentials_deleted AFTER DELETE ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) VALUES ('provider', OLD.id);
END;
-- +goose StatementEnd

-- workspaces
-- +goose StatementBegin
CREATE TRIGGER workspaces_inserted AFTER INSERT ON workspaces
BEGIN
    INSERT INTO changes (kind, id) VALUES ('workspace', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name ON workspaces
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.id UNION SELECT 'workspace', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspaces_deleted AFTER DELETE ON workspaces
BEGIN
    INSERT INTO changes (kind, id) VALUES ('workspace', OLD.id);
END;
-- +goose StatementEnd

-- tenants
-- +goose StatementBegin
CREATE TRIGGER tenants_inserted AFTER INSERT ON tenants
BEGIN
    INSERT INTO changes (kind, id) VALUES ('tenant', NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER tenants_updated AFTER UPDATE OF id, active ON tenants
BEGIN
    INSERT INTO changes (kind, id) SELECT 'tenant', OLD.id UNION SELECT 'tenant', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER tenants_deleted AFTER DELETE ON tenants
BEGIN
    INSERT INTO changes (kind, id) VALUES ('tenant', OLD.id);
END;
-- +goose StatementEnd

-- INSERT OR REPLACE throws out the rows that stand in its way, without a DELETE
-- trigger: what it displaces is told, and ended, before.
-- +goose StatementBegin
CREATE TRIGGER api_tokens_displaced BEFORE INSERT ON api_tokens
BEGIN
    INSERT INTO changes (kind, id) SELECT 'token', id FROM api_tokens WHERE token_hash = NEW.token_hash AND id <> NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER sessions_displaced BEFORE INSERT ON sessions
BEGIN
    INSERT INTO changes (kind, id) SELECT 'session', id FROM sessions WHERE session_hash = NEW.session_hash AND id <> NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER provider_credentials_displaced BEFORE INSERT ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', id FROM provider_credentials WHERE workspace_id = NEW.workspace_id AND name = NEW.name AND id <> NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER service_accounts_displaced BEFORE INSERT ON service_accounts
BEGIN
    INSERT INTO changes (kind, id) SELECT 'service_account', id FROM service_accounts WHERE workspace_id = NEW.workspace_id AND name = NEW.name AND id <> NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspaces_displaced BEFORE INSERT ON workspaces
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', id FROM workspaces WHERE tenant_id = NEW.tenant_id AND name = NEW.name AND id <> NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_displaced BEFORE INSERT ON users
BEGIN
    INSERT INTO changes (kind, id) SELECT 'user', id FROM (SELECT id FROM users WHERE tenant_id = NEW.tenant_id AND user_name_fold = NEW.user_name_fold
            AND deleted_at IS NULL AND NEW.deleted_at IS NULL AND id <> NEW.id);
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'user replaced'
        WHERE revoked_at IS NULL AND user_id IN (SELECT id FROM users WHERE tenant_id = NEW.tenant_id AND user_name_fold = NEW.user_name_fold
            AND deleted_at IS NULL AND NEW.deleted_at IS NULL AND id <> NEW.id);
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'user replaced'
        WHERE ended_at IS NULL AND user_id IN (SELECT id FROM users WHERE tenant_id = NEW.tenant_id AND user_name_fold = NEW.user_name_fold
            AND deleted_at IS NULL AND NEW.deleted_at IS NULL AND id <> NEW.id);
END;
-- +goose StatementEnd

-- What a person loses with their access, they lose for good: reactivation
-- revives nothing, whichever way the person was deactivated.
-- +goose StatementBegin
CREATE TRIGGER users_end_on_insert AFTER INSERT ON users WHEN NEW.active = 0 OR NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'user deactivated'
        WHERE user_id = NEW.id AND revoked_at IS NULL;
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'user deactivated'
        WHERE user_id = NEW.id AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_end_on_update AFTER UPDATE OF active, deleted_at ON users WHEN NEW.active = 0 OR NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'user deactivated'
        WHERE user_id = NEW.id AND revoked_at IS NULL;
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'user deactivated'
        WHERE user_id = NEW.id AND ended_at IS NULL;
    UPDATE users SET deactivated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id AND deactivated_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_end_on_delete AFTER DELETE ON users
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'user deleted'
        WHERE user_id = OLD.id AND revoked_at IS NULL;
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'user deleted'
        WHERE user_id = OLD.id AND ended_at IS NULL;
    DELETE FROM memberships WHERE user_id = OLD.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_reactivated AFTER UPDATE OF active ON users WHEN NEW.active = 1 AND OLD.active = 0
BEGIN
    UPDATE users SET deactivated_at = NULL WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_renamed AFTER UPDATE OF user_name ON users WHEN NEW.user_name <> OLD.user_name AND NEW.user_name_fold = OLD.user_name_fold AND lower(NEW.user_name) <> lower(OLD.user_name)
BEGIN
    UPDATE users SET user_name_fold = lower(NEW.user_name) WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER memberships_end_on_delete AFTER DELETE ON memberships
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE user_id = OLD.user_id AND revoked_at IS NULL
        AND workspace_id = OLD.workspace_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER memberships_end_on_update AFTER UPDATE OF workspace_id, user_id ON memberships
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE user_id = OLD.user_id AND revoked_at IS NULL
        AND workspace_id = OLD.workspace_id AND NOT (OLD.workspace_id = NEW.workspace_id AND OLD.user_id = NEW.user_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspaces_end_on_delete AFTER DELETE ON workspaces
BEGIN
    DELETE FROM memberships WHERE workspace_id = OLD.id;
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'workspace deleted'
        WHERE workspace_id = OLD.id AND revoked_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER service_accounts_end AFTER UPDATE OF active ON service_accounts WHEN NEW.active = 0
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'service account stopped'
        WHERE service_account_id = NEW.id AND revoked_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER service_accounts_end_on_delete AFTER DELETE ON service_accounts
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'service account deleted'
        WHERE service_account_id = OLD.id AND revoked_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER root_sessions_end AFTER UPDATE OF revoked_at ON api_tokens WHEN NEW.kind = 'root' AND NEW.revoked_at IS NOT NULL
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'root token revoked'
        WHERE token_id = NEW.id AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER root_sessions_end_on_delete AFTER DELETE ON api_tokens WHEN OLD.kind = 'root'
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'root token deleted'
        WHERE token_id = OLD.id AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose Down
-- The first migration has no way down: dropping the directory is not a migration.
