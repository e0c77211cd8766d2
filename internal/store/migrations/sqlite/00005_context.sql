-- +goose Up
-- Workspaces, roles through groups, service accounts with an end, the life of a
-- token beyond its first secret, and each tenant's policy.

CREATE UNIQUE INDEX tenants_by_name ON tenants (name);
ALTER TABLE workspaces ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE workspaces ADD COLUMN models TEXT NOT NULL DEFAULT '*'; -- patterns with spaces between; '' allows none
ALTER TABLE workspaces ADD COLUMN deleted_at TEXT; -- for good: its tokens are revoked, its name is changed

ALTER TABLE service_accounts ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE service_accounts ADD COLUMN expires_at TEXT; -- the end date
ALTER TABLE service_accounts ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE service_accounts ADD COLUMN updated_at TEXT;
ALTER TABLE service_accounts ADD COLUMN ended_at TEXT;
ALTER TABLE service_accounts ADD COLUMN ended_by TEXT;
ALTER TABLE service_accounts ADD COLUMN ended_reason TEXT;
CREATE INDEX service_accounts_by_tenant ON service_accounts (tenant_id, id);

ALTER TABLE api_tokens ADD COLUMN models TEXT NOT NULL DEFAULT '*'; -- narrows the workspace's
ALTER TABLE api_tokens ADD COLUMN cidrs TEXT NOT NULL DEFAULT ''; -- networks with spaces between; '': from anywhere
ALTER TABLE api_tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE api_tokens ADD COLUMN created_by_user TEXT NOT NULL DEFAULT ''; -- the person who has seen the secret
ALTER TABLE api_tokens ADD COLUMN family_id TEXT NOT NULL DEFAULT ''; -- the first token of a line of rotations; '': itself
ALTER TABLE api_tokens ADD COLUMN rotated_at TEXT; -- when a newer secret took its place
ALTER TABLE api_tokens ADD COLUMN rotated_to TEXT NOT NULL DEFAULT '';
CREATE INDEX api_tokens_by_account ON api_tokens (service_account_id) WHERE service_account_id <> '';
CREATE INDEX api_tokens_by_workspace ON api_tokens (workspace_id, id);
CREATE INDEX api_tokens_by_maker ON api_tokens (created_by_user) WHERE created_by_user <> '';
CREATE INDEX api_tokens_by_end ON api_tokens (expires_at) WHERE revoked_at IS NULL;
CREATE INDEX api_tokens_by_age ON api_tokens (tenant_id, created_at) WHERE revoked_at IS NULL;
CREATE INDEX api_tokens_of_root ON api_tokens (tenant_id, id) WHERE kind = 'root';
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = 1 AND deleted_at IS NULL;
CREATE INDEX service_accounts_by_end ON service_accounts (expires_at) WHERE ended_at IS NULL;
CREATE INDEX service_accounts_orphaned ON service_accounts (orphaned_at) WHERE orphaned_at IS NOT NULL AND ended_at IS NULL;
CREATE INDEX api_tokens_by_family ON api_tokens (family_id) WHERE family_id <> '';

ALTER TABLE sessions ADD COLUMN lapsed_at TEXT; -- it was idle for too long to administer with, and stays so

ALTER TABLE provider_credentials ADD COLUMN created_by_user TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_credentials ADD COLUMN created_by TEXT NOT NULL DEFAULT '';
ALTER TABLE scim_connectors ADD COLUMN created_by_user TEXT NOT NULL DEFAULT '';
CREATE INDEX provider_credentials_by_maker ON provider_credentials (created_by_user) WHERE created_by_user <> '';
CREATE INDEX scim_connectors_by_maker ON scim_connectors (created_by_user) WHERE created_by_user <> '';
CREATE INDEX audit_events_by_object ON audit_events (tenant_id, object_id, seq);
CREATE INDEX audit_events_by_object_name ON audit_events (tenant_id, object, seq);
CREATE INDEX audit_events_by_actor ON audit_events (tenant_id, actor_id, seq);
CREATE INDEX audit_events_by_actor_name ON audit_events (tenant_id, actor, seq);
CREATE INDEX audit_events_by_request ON audit_events (tenant_id, request_id, seq) WHERE request_id <> '';
CREATE INDEX audit_events_by_action ON audit_events (tenant_id, action, at);

-- What a group of the identity provider is in a workspace. Only roles of a
-- workspace: no group makes an administrator of the tenant.
CREATE TABLE workspace_groups (
    tenant_id    TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    group_id     TEXT NOT NULL,
    role         TEXT NOT NULL CHECK (role IN ('workspace_admin', 'member', 'viewer')),
    created_at   TEXT NOT NULL,
    created_by   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (workspace_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX workspace_groups_by_group ON workspace_groups (group_id);

-- Every role that somebody has in a workspace, from whichever source. It is read,
-- never copied: what changes in a group has changed here. The lowest rank counts.
-- Ask it with constants: a column of an outer query is not pushed down into it.
CREATE VIEW workspace_roles (tenant_id, workspace_id, user_id, rank, group_id) AS
    SELECT tenant_id, workspace_id, user_id,
           CASE role WHEN 'workspace_admin' THEN 1 WHEN 'member' THEN 2 WHEN 'viewer' THEN 3 END, ''
      FROM memberships
    UNION ALL
    SELECT g.tenant_id, g.workspace_id, m.user_id,
           CASE g.role WHEN 'workspace_admin' THEN 1 WHEN 'member' THEN 2 WHEN 'viewer' THEN 3 END, g.group_id
      FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id;

-- What a tenant sets otherwise than the product does.
CREATE TABLE policies (
    tenant_id  TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    updated_by TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;

-- A token with scopes of administration that waits for a second person.
CREATE TABLE token_requests (
    id                 TEXT PRIMARY KEY,
    tenant_id          TEXT NOT NULL,
    workspace_id       TEXT NOT NULL,
    service_account_id TEXT NOT NULL,
    name               TEXT NOT NULL,
    scopes             TEXT NOT NULL,
    models             TEXT NOT NULL,
    cidrs              TEXT NOT NULL,
    life_seconds       INTEGER NOT NULL,
    reason             TEXT NOT NULL DEFAULT '',
    requested_by_user  TEXT NOT NULL,
    requested_by       TEXT NOT NULL,
    requested_at       TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'withdrawn', 'collected')),
    decided_by_user    TEXT NOT NULL DEFAULT '',
    decided_by         TEXT NOT NULL DEFAULT '',
    decided_at         TEXT,
    decision           TEXT NOT NULL DEFAULT '',
    token_id           TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX token_requests_by_requester ON token_requests (requested_by_user);
CREATE INDEX token_requests_by_tenant ON token_requests (tenant_id, id);

-- What people should know before it hurts. One row for one matter and stage.
CREATE TABLE notices (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    at          TEXT NOT NULL,
    kind        TEXT NOT NULL,
    severity    TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'alert')),
    user_id     TEXT NOT NULL DEFAULT '', -- whom it concerns beside the administrators
    object_kind TEXT NOT NULL DEFAULT '',
    object_id   TEXT NOT NULL DEFAULT '',
    object      TEXT NOT NULL DEFAULT '',
    message     TEXT NOT NULL,
    dedupe      TEXT NOT NULL,
    read_at     TEXT,
    read_by     TEXT NOT NULL DEFAULT '',
    sent_at     TEXT, -- by the webhook; or given up
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_try_at TEXT,
    UNIQUE (tenant_id, dedupe)
) STRICT;
CREATE INDEX notices_by_user ON notices (user_id, id) WHERE user_id <> '';
CREATE INDEX notices_by_tenant ON notices (tenant_id, id);
CREATE INDEX notices_unsent ON notices (tenant_id, id) WHERE sent_at IS NULL;

-- The secret that a tenant's webhook signs with, sealed as a provider's key is.
CREATE TABLE webhook_secrets (
    tenant_id  TEXT PRIMARY KEY,
    sealed     BLOB NOT NULL,
    data_key   BLOB NOT NULL,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL DEFAULT ''
) STRICT;

-- What somebody had and has no row any more, for the report of a leaver: kept
-- once for each thing, with its last end.
CREATE TABLE past_holdings (
    tenant_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('membership', 'group', 'service_account', 'provider')),
    object_id  TEXT NOT NULL, -- of a membership: the workspace
    via        TEXT NOT NULL, -- of a membership: the group's name; '' is direct
    name       TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    role       TEXT NOT NULL,
    created_at TEXT NOT NULL,
    ended_at   TEXT NOT NULL,
    PRIMARY KEY (user_id, kind, object_id, via)
) STRICT, WITHOUT ROWID;

-- What was made under an Idempotency-Key: the answer, without secrets.
CREATE TABLE idempotency (
    tenant_id  TEXT NOT NULL,
    actor      TEXT NOT NULL,
    key_hash   TEXT NOT NULL,
    request    TEXT NOT NULL, -- SHA-256 of method, path and body
    status     INTEGER NOT NULL DEFAULT 0, -- 0: carried out, the answer was not kept
    answer     TEXT NOT NULL DEFAULT '',
    created_at TEXT NOT NULL,
    PRIMARY KEY (tenant_id, actor, key_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- api_tokens: what is new is authority too.
DROP TRIGGER api_tokens_updated;
-- +goose StatementBegin
CREATE TRIGGER api_tokens_updated AFTER UPDATE OF id, tenant_id, workspace_id, user_id, service_account_id, name, kind, token_hash, scopes, expires_at, revoked_at, models, cidrs, rotated_at ON api_tokens
BEGIN
    INSERT INTO changes (kind, id) SELECT 'token', OLD.id UNION SELECT 'token', NEW.id;
END;
-- +goose StatementEnd

-- workspaces
DROP TRIGGER workspaces_updated;
-- +goose StatementBegin
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at ON workspaces
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.id UNION SELECT 'workspace', NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspaces_end_on_update AFTER UPDATE OF deleted_at ON workspaces WHEN NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'workspace deleted'
        WHERE workspace_id = NEW.id AND revoked_at IS NULL;
    UPDATE service_accounts SET active = 0 WHERE workspace_id = NEW.id AND active = 1;
    DELETE FROM memberships WHERE workspace_id = NEW.id;
    DELETE FROM workspace_groups WHERE workspace_id = NEW.id;
END;
-- +goose StatementEnd

DROP TRIGGER workspaces_end_on_delete;
-- +goose StatementBegin
CREATE TRIGGER workspaces_end_on_delete AFTER DELETE ON workspaces
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'workspace deleted'
        WHERE workspace_id = OLD.id AND revoked_at IS NULL;
    UPDATE service_accounts SET active = 0 WHERE workspace_id = OLD.id AND active = 1;
    DELETE FROM memberships WHERE workspace_id = OLD.id;
    DELETE FROM workspace_groups WHERE workspace_id = OLD.id;
END;
-- +goose StatementEnd

-- service_accounts: one that has ended takes its tokens along, for good, and
-- leaves its name to others.
DROP TRIGGER service_accounts_updated;
-- +goose StatementBegin
CREATE TRIGGER service_accounts_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, owner_user_id, active, expires_at, ended_at, orphaned_at ON service_accounts
BEGIN
    INSERT INTO changes (kind, id) SELECT 'service_account', OLD.id UNION SELECT 'service_account', NEW.id;
END;
-- +goose StatementEnd

DROP TRIGGER service_accounts_end;
-- +goose StatementBegin
CREATE TRIGGER service_accounts_end_on_update AFTER UPDATE OF active, ended_at ON service_accounts WHEN NEW.active = 0 OR NEW.ended_at IS NOT NULL
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'service account ended'
        WHERE service_account_id = NEW.id AND revoked_at IS NULL;
    UPDATE service_accounts SET active = 0, ended_at = COALESCE(ended_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        ended_by = COALESCE(ended_by, 'database'), ended_reason = COALESCE(ended_reason, 'ended')
        WHERE id = NEW.id AND (active = 1 OR ended_at IS NULL);
    UPDATE service_accounts SET name = name || ' ended ' || id WHERE id = NEW.id AND name NOT LIKE '% ended ' || id; -- the name is free again
END;
-- +goose StatementEnd

-- A leaver's service accounts go on for the tenant's orphan_grace; "0" stops them.
DROP TRIGGER users_orphan_on_update;
-- +goose StatementBegin
CREATE TRIGGER users_orphan_on_update AFTER UPDATE OF active, deleted_at ON users WHEN NEW.active = 0 OR NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE service_accounts SET orphaned_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE owner_user_id = NEW.id AND orphaned_at IS NULL AND active = 1;
    UPDATE service_accounts SET active = 0, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'policy', ended_reason = 'its owner left'
        WHERE owner_user_id = NEW.id AND active = 1
          AND EXISTS (SELECT 1 FROM policies WHERE tenant_id = service_accounts.tenant_id AND key = 'orphan_grace' AND value = '0');
END;
-- +goose StatementEnd

DROP TRIGGER users_orphan_on_delete;
-- +goose StatementBegin
CREATE TRIGGER users_orphan_on_delete AFTER DELETE ON users
BEGIN
    UPDATE service_accounts SET orphaned_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE owner_user_id = OLD.id AND orphaned_at IS NULL AND active = 1;
    UPDATE service_accounts SET active = 0, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'policy', ended_reason = 'its owner left'
        WHERE owner_user_id = OLD.id AND active = 1
          AND EXISTS (SELECT 1 FROM policies WHERE tenant_id = service_accounts.tenant_id AND key = 'orphan_grace' AND value = '0');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_orphan_on_insert AFTER INSERT ON users WHEN NEW.active = 0 OR NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE service_accounts SET orphaned_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE owner_user_id = NEW.id AND orphaned_at IS NULL AND active = 1;
    UPDATE service_accounts SET active = 0, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'policy', ended_reason = 'its owner left'
        WHERE owner_user_id = NEW.id AND active = 1
          AND EXISTS (SELECT 1 FROM policies WHERE tenant_id = service_accounts.tenant_id AND key = 'orphan_grace' AND value = '0');
END;
-- +goose StatementEnd

-- INSERT OR REPLACE throws out whoever has the name, or the id in another tenant.
-- +goose StatementBegin
CREATE TRIGGER users_orphan_on_displace BEFORE INSERT ON users
BEGIN
    UPDATE service_accounts SET orphaned_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE owner_user_id IN (SELECT id FROM users WHERE id <> NEW.id AND tenant_id = NEW.tenant_id AND user_name_fold = NEW.user_name_fold
            AND deleted_at IS NULL AND NEW.deleted_at IS NULL UNION ALL SELECT id FROM users WHERE id = NEW.id AND tenant_id <> NEW.tenant_id) AND orphaned_at IS NULL AND active = 1;
    UPDATE service_accounts SET active = 0, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'policy', ended_reason = 'its owner left'
        WHERE owner_user_id IN (SELECT id FROM users WHERE id <> NEW.id AND tenant_id = NEW.tenant_id AND user_name_fold = NEW.user_name_fold
            AND deleted_at IS NULL AND NEW.deleted_at IS NULL UNION ALL SELECT id FROM users WHERE id = NEW.id AND tenant_id <> NEW.tenant_id) AND active = 1
          AND EXISTS (SELECT 1 FROM policies WHERE tenant_id = service_accounts.tenant_id AND key = 'orphan_grace' AND value = '0');
END;
-- +goose StatementEnd

-- Whoever has another id, or is of another tenant, is not who was there before.
-- +goose StatementBegin
CREATE TRIGGER users_moved AFTER UPDATE OF id, tenant_id ON users WHEN NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'user replaced'
        WHERE user_id = OLD.id AND revoked_at IS NULL;
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'user replaced'
        WHERE user_id = OLD.id AND ended_at IS NULL;
    UPDATE service_accounts SET orphaned_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE owner_user_id = OLD.id AND orphaned_at IS NULL AND active = 1;
    UPDATE service_accounts SET active = 0, ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'policy', ended_reason = 'its owner left'
        WHERE owner_user_id = OLD.id AND active = 1
          AND EXISTS (SELECT 1 FROM policies WHERE tenant_id = service_accounts.tenant_id AND key = 'orphan_grace' AND value = '0');
END;
-- +goose StatementEnd

-- workspace_groups
-- +goose StatementBegin
CREATE TRIGGER workspace_groups_inserted AFTER INSERT ON workspace_groups
BEGIN
    INSERT INTO changes (kind, id) VALUES ('workspace', NEW.workspace_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspace_groups_updated AFTER UPDATE ON workspace_groups
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.workspace_id UNION SELECT 'workspace', NEW.workspace_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspace_groups_deleted AFTER DELETE ON workspace_groups
BEGIN
    INSERT INTO changes (kind, id) VALUES ('workspace', OLD.workspace_id);
END;
-- +goose StatementEnd

-- Who comes into, or leaves, a group that means something in a workspace.
-- +goose StatementBegin
CREATE TRIGGER group_members_inserted AFTER INSERT ON group_members WHEN EXISTS (SELECT 1 FROM workspace_groups WHERE group_id = NEW.group_id)
BEGIN
    INSERT INTO changes (kind, id) VALUES ('membership', NEW.user_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER group_members_updated AFTER UPDATE OF group_id, user_id ON group_members
BEGIN
    INSERT INTO changes (kind, id) SELECT 'membership', OLD.user_id UNION SELECT 'membership', NEW.user_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER group_members_deleted AFTER DELETE ON group_members WHEN EXISTS (SELECT 1 FROM workspace_groups WHERE group_id = OLD.group_id)
BEGIN
    INSERT INTO changes (kind, id) VALUES ('membership', OLD.user_id);
END;
-- +goose StatementEnd

-- Who loses the last role in a workspace loses the tokens there, for good.
DROP TRIGGER memberships_end_on_delete;
-- +goose StatementBegin
CREATE TRIGGER memberships_end_on_delete AFTER DELETE ON memberships
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE user_id = OLD.user_id AND workspace_id = OLD.workspace_id AND revoked_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = OLD.workspace_id AND user_id = OLD.user_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
              WHERE g.workspace_id = OLD.workspace_id AND m.user_id = OLD.user_id);
END;
-- +goose StatementEnd

DROP TRIGGER memberships_end_on_update;
-- +goose StatementBegin
CREATE TRIGGER memberships_end_on_update AFTER UPDATE OF workspace_id, user_id ON memberships
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE user_id = OLD.user_id AND workspace_id = OLD.workspace_id AND revoked_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = OLD.workspace_id AND user_id = OLD.user_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
              WHERE g.workspace_id = OLD.workspace_id AND m.user_id = OLD.user_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER group_members_end AFTER DELETE ON group_members WHEN EXISTS (SELECT 1 FROM workspace_groups WHERE group_id = OLD.group_id)
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE user_id = OLD.user_id AND revoked_at IS NULL
          AND workspace_id IN (SELECT workspace_id FROM workspace_groups WHERE group_id = OLD.group_id)
          AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = api_tokens.workspace_id AND user_id = OLD.user_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
              WHERE g.workspace_id = api_tokens.workspace_id AND m.user_id = OLD.user_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspace_groups_end AFTER DELETE ON workspace_groups
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE workspace_id = OLD.workspace_id AND revoked_at IS NULL
          AND user_id IN (SELECT user_id FROM group_members WHERE group_id = OLD.group_id)
          AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = OLD.workspace_id AND user_id = api_tokens.user_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
              WHERE g.workspace_id = OLD.workspace_id AND m.user_id = api_tokens.user_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER group_members_end_on_update AFTER UPDATE OF group_id, user_id ON group_members WHEN EXISTS (SELECT 1 FROM workspace_groups WHERE group_id = OLD.group_id)
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE user_id = OLD.user_id AND revoked_at IS NULL
          AND workspace_id IN (SELECT workspace_id FROM workspace_groups WHERE group_id = OLD.group_id)
          AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = api_tokens.workspace_id AND user_id = OLD.user_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
              WHERE g.workspace_id = api_tokens.workspace_id AND m.user_id = OLD.user_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspace_groups_end_on_update AFTER UPDATE OF workspace_id, group_id ON workspace_groups
BEGIN
    UPDATE api_tokens SET revoked_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE workspace_id = OLD.workspace_id AND revoked_at IS NULL
          AND user_id IN (SELECT user_id FROM group_members WHERE group_id = OLD.group_id)
          AND NOT EXISTS (SELECT 1 FROM memberships WHERE workspace_id = OLD.workspace_id AND user_id = api_tokens.user_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id
              WHERE g.workspace_id = OLD.workspace_id AND m.user_id = api_tokens.user_id);
END;
-- +goose StatementEnd

-- A group that is thrown out by INSERT OR REPLACE, or gets another id or tenant,
-- means nothing any more. Rows of the two tables above displace only rows of the
-- same keys: nobody loses a role by that.
-- +goose StatementBegin
CREATE TRIGGER groups_displaced BEFORE INSERT ON groups
BEGIN
    DELETE FROM workspace_groups WHERE group_id IN (SELECT id FROM groups WHERE tenant_id = NEW.tenant_id AND display_name_fold = NEW.display_name_fold
        AND id <> NEW.id UNION ALL SELECT id FROM groups WHERE id = NEW.id AND tenant_id <> NEW.tenant_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER groups_moved AFTER UPDATE OF id, tenant_id ON groups WHEN NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id
BEGIN
    DELETE FROM workspace_groups WHERE group_id = OLD.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER groups_unmap_on_delete AFTER DELETE ON groups
BEGIN
    DELETE FROM workspace_groups WHERE group_id = OLD.id;
END;
-- +goose StatementEnd

-- past_holdings: whatever takes the row away, SQL typed by hand included.
-- +goose StatementBegin
CREATE TRIGGER memberships_remembered AFTER DELETE ON memberships
BEGIN
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT OLD.tenant_id, OLD.user_id, 'membership', OLD.workspace_id, '', COALESCE((SELECT name FROM workspaces WHERE id = OLD.workspace_id), ''),
            OLD.workspace_id, OLD.role, OLD.created_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE true
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER group_members_remembered AFTER DELETE ON group_members
BEGIN
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT g.tenant_id, OLD.user_id, 'group', g.id, '', g.display_name, '', '', OLD.added_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') FROM groups g WHERE g.id = OLD.group_id
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT m.tenant_id, OLD.user_id, 'membership', m.workspace_id, g.display_name, COALESCE(w.name, ''), m.workspace_id, m.role, OLD.added_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
        FROM workspace_groups m JOIN groups g ON g.id = m.group_id LEFT JOIN workspaces w ON w.id = m.workspace_id WHERE m.group_id = OLD.group_id
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER groups_remembered BEFORE DELETE ON groups
BEGIN
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT OLD.tenant_id, p.user_id, 'group', OLD.id, '', OLD.display_name, '', '', p.added_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') FROM group_members p WHERE p.group_id = OLD.id
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT m.tenant_id, p.user_id, 'membership', m.workspace_id, OLD.display_name, COALESCE(w.name, ''), m.workspace_id, m.role, p.added_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
        FROM workspace_groups m JOIN group_members p ON p.group_id = m.group_id LEFT JOIN workspaces w ON w.id = m.workspace_id WHERE m.group_id = OLD.id
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER workspace_groups_remembered AFTER DELETE ON workspace_groups
BEGIN
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT OLD.tenant_id, p.user_id, 'membership', OLD.workspace_id, g.display_name, COALESCE(w.name, ''), OLD.workspace_id, OLD.role, p.added_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
        FROM group_members p JOIN groups g ON g.id = p.group_id LEFT JOIN workspaces w ON w.id = OLD.workspace_id WHERE p.group_id = OLD.group_id
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER service_accounts_passed_on AFTER UPDATE OF owner_user_id ON service_accounts WHEN NEW.owner_user_id <> OLD.owner_user_id
BEGIN
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT OLD.tenant_id, OLD.owner_user_id, 'service_account', OLD.id, '', OLD.name, OLD.workspace_id, '', OLD.created_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE true
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER service_accounts_remembered AFTER DELETE ON service_accounts
BEGIN
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT OLD.tenant_id, OLD.owner_user_id, 'service_account', OLD.id, '', OLD.name, OLD.workspace_id, '', OLD.created_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE true
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER provider_credentials_remembered AFTER DELETE ON provider_credentials WHEN OLD.created_by_user <> ''
BEGIN
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        SELECT OLD.tenant_id, OLD.created_by_user, 'provider', OLD.id, '', OLD.name, OLD.workspace_id, '', OLD.created_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now') WHERE true
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
END;
-- +goose StatementEnd

-- policies
-- +goose StatementBegin
CREATE TRIGGER policies_inserted AFTER INSERT ON policies
BEGIN
    INSERT INTO changes (kind, id) VALUES ('policy', NEW.tenant_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER policies_updated AFTER UPDATE ON policies
BEGIN
    INSERT INTO changes (kind, id) SELECT 'policy', OLD.tenant_id UNION SELECT 'policy', NEW.tenant_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER policies_deleted AFTER DELETE ON policies
BEGIN
    INSERT INTO changes (kind, id) VALUES ('policy', OLD.tenant_id);
END;
-- +goose StatementEnd

-- +goose Down
-- There is no way down: what groups mean in workspaces would be lost.
