-- +goose Up
-- What the migrations of SQLite have come to, in PostgreSQL 15 or later: the same
-- tables, columns, keys and triggers, with types of its own. Text compares by its
-- bytes, as it does in SQLite, whatever the database's own order is.
-- No foreign keys lead to users or workspaces: a DELETE typed by hand must work
-- in any shell; the triggers below end what the row carried.

CREATE TABLE tenants (
    id         text COLLATE "C" PRIMARY KEY,
    name       text COLLATE "C" NOT NULL,
    active     boolean          NOT NULL DEFAULT TRUE,
    created_at timestamptz      NOT NULL
);
CREATE UNIQUE INDEX tenants_by_name ON tenants (name);

CREATE TABLE workspaces (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    created_at  timestamptz      NOT NULL,
    description text COLLATE "C" NOT NULL DEFAULT '',
    models      text COLLATE "C" NOT NULL DEFAULT '*',
    deleted_at  timestamptz,
    UNIQUE (tenant_id, name)
);

CREATE TABLE users (
    id                text COLLATE "C" PRIMARY KEY,
    tenant_id         text COLLATE "C" NOT NULL,
    user_name         text COLLATE "C" NOT NULL,
    user_name_fold    text COLLATE "C" NOT NULL,
    display_name      text COLLATE "C" NOT NULL DEFAULT '',
    external_id       text COLLATE "C" NOT NULL DEFAULT '',
    active            boolean          NOT NULL DEFAULT TRUE,
    role              text COLLATE "C" NOT NULL DEFAULT 'member' CHECK (role IN ('super_admin', 'admin', 'auditor', 'member')),
    source            text COLLATE "C" NOT NULL,
    profile           text COLLATE "C" NOT NULL DEFAULT '{}',
    version           bigint           NOT NULL DEFAULT 1,
    created_at        timestamptz      NOT NULL,
    updated_at        timestamptz      NOT NULL,
    deactivated_at    timestamptz,
    last_seen_at      timestamptz,
    deleted_at        timestamptz, -- a tombstone: the name is free again, the id never is
    display_name_fold text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX users_by_display_name ON users (tenant_id, display_name_fold, id) WHERE deleted_at IS NULL;
CREATE INDEX users_by_external_id ON users (tenant_id, external_id, id) WHERE external_id <> '';
CREATE UNIQUE INDEX users_by_name ON users (tenant_id, user_name_fold) WHERE deleted_at IS NULL;
CREATE INDEX users_by_tenant ON users (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX users_deleted ON users (tenant_id, user_name_fold) WHERE deleted_at IS NOT NULL;
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = TRUE AND deleted_at IS NULL;

CREATE TABLE user_emails (
    user_id    text COLLATE "C" NOT NULL,
    n          bigint           NOT NULL,
    type_fold  text COLLATE "C" NOT NULL,
    value_fold text COLLATE "C" NOT NULL,
    tenant_id  text COLLATE "C" NOT NULL DEFAULT '', -- its parent's; nobody writes it
    PRIMARY KEY (user_id, n)
);
CREATE INDEX user_emails_by_value ON user_emails (value_fold, user_id);

CREATE TABLE groups (
    id                text COLLATE "C" PRIMARY KEY,
    tenant_id         text COLLATE "C" NOT NULL,
    display_name      text COLLATE "C" NOT NULL,
    display_name_fold text COLLATE "C" NOT NULL,
    external_id       text COLLATE "C" NOT NULL DEFAULT '',
    profile           text COLLATE "C" NOT NULL DEFAULT '{}',
    version           bigint           NOT NULL DEFAULT 1,
    created_at        timestamptz      NOT NULL,
    updated_at        timestamptz      NOT NULL,
    UNIQUE (tenant_id, display_name_fold)
);
CREATE INDEX groups_by_external_id ON groups (tenant_id, external_id, id) WHERE external_id <> '';
CREATE INDEX groups_by_tenant ON groups (tenant_id, id);

CREATE TABLE group_members (
    group_id  text COLLATE "C" NOT NULL,
    user_id   text COLLATE "C" NOT NULL,
    added_at  timestamptz      NOT NULL,
    tenant_id text COLLATE "C" NOT NULL DEFAULT '', -- its parent's; nobody writes it
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_by_user ON group_members (user_id, group_id);

CREATE TABLE memberships (
    tenant_id    text COLLATE "C" NOT NULL,
    workspace_id text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    role         text COLLATE "C" NOT NULL DEFAULT 'member' CHECK (role IN ('workspace_admin', 'member', 'viewer')),
    created_at   timestamptz      NOT NULL,
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE workspace_groups (
    tenant_id    text COLLATE "C" NOT NULL,
    workspace_id text COLLATE "C" NOT NULL,
    group_id     text COLLATE "C" NOT NULL,
    role         text COLLATE "C" NOT NULL CHECK (role IN ('workspace_admin', 'member', 'viewer')),
    created_at   timestamptz      NOT NULL,
    created_by   text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (workspace_id, group_id)
);
CREATE INDEX workspace_groups_by_group ON workspace_groups (group_id);

CREATE TABLE service_accounts (
    id            text COLLATE "C" PRIMARY KEY,
    tenant_id     text COLLATE "C" NOT NULL,
    workspace_id  text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    owner_user_id text COLLATE "C" NOT NULL,
    active        boolean          NOT NULL DEFAULT TRUE,
    created_at    timestamptz      NOT NULL,
    orphaned_at   timestamptz,
    description   text COLLATE "C" NOT NULL DEFAULT '',
    expires_at    timestamptz,
    created_by    text COLLATE "C" NOT NULL DEFAULT '',
    updated_at    timestamptz,
    ended_at      timestamptz,
    ended_by      text COLLATE "C",
    ended_reason  text COLLATE "C",
    UNIQUE (workspace_id, name)
);
CREATE INDEX service_accounts_by_end ON service_accounts (expires_at) WHERE ended_at IS NULL;
CREATE INDEX service_accounts_by_owner ON service_accounts (owner_user_id);
CREATE INDEX service_accounts_by_tenant ON service_accounts (tenant_id, id);
CREATE INDEX service_accounts_orphaned ON service_accounts (orphaned_at) WHERE orphaned_at IS NOT NULL AND ended_at IS NULL;

CREATE TABLE api_tokens (
    id                 text COLLATE "C" PRIMARY KEY,
    tenant_id          text COLLATE "C" NOT NULL,
    workspace_id       text COLLATE "C" NOT NULL DEFAULT '',
    user_id            text COLLATE "C" NOT NULL DEFAULT '',
    service_account_id text COLLATE "C" NOT NULL DEFAULT '',
    name               text COLLATE "C" NOT NULL,
    kind               text COLLATE "C" NOT NULL CHECK (kind IN ('pat', 'svc', 'scim', 'root')),
    token_hash         text COLLATE "C" NOT NULL UNIQUE,
    token_prefix       text COLLATE "C" NOT NULL,
    scopes             text COLLATE "C" NOT NULL DEFAULT '',
    created_at         timestamptz      NOT NULL,
    expires_at         timestamptz,
    last_used_at       timestamptz,
    revoked_at         timestamptz,
    revoked_by         text COLLATE "C",
    revoked_reason     text COLLATE "C",
    models             text COLLATE "C" NOT NULL DEFAULT '*',
    cidrs              text COLLATE "C" NOT NULL DEFAULT '',
    created_by         text COLLATE "C" NOT NULL DEFAULT '',
    created_by_user    text COLLATE "C" NOT NULL DEFAULT '',
    family_id          text COLLATE "C" NOT NULL DEFAULT '',
    rotated_at         timestamptz,
    rotated_to         text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX api_tokens_by_account ON api_tokens (service_account_id) WHERE service_account_id <> '';
CREATE INDEX api_tokens_by_age ON api_tokens (tenant_id, created_at) WHERE revoked_at IS NULL;
CREATE INDEX api_tokens_by_end ON api_tokens (expires_at) WHERE revoked_at IS NULL;
CREATE INDEX api_tokens_by_family ON api_tokens (family_id) WHERE family_id <> '';
CREATE INDEX api_tokens_by_maker ON api_tokens (created_by_user) WHERE created_by_user <> '';
CREATE INDEX api_tokens_by_tenant ON api_tokens (tenant_id, id);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);
CREATE INDEX api_tokens_by_workspace ON api_tokens (workspace_id, id);
CREATE INDEX api_tokens_of_root ON api_tokens (tenant_id, id) WHERE kind = 'root';

CREATE TABLE token_requests (
    id                 text COLLATE "C" PRIMARY KEY,
    tenant_id          text COLLATE "C" NOT NULL,
    workspace_id       text COLLATE "C" NOT NULL,
    service_account_id text COLLATE "C" NOT NULL,
    name               text COLLATE "C" NOT NULL,
    scopes             text COLLATE "C" NOT NULL,
    models             text COLLATE "C" NOT NULL,
    cidrs              text COLLATE "C" NOT NULL,
    life_seconds       bigint           NOT NULL,
    reason             text COLLATE "C" NOT NULL DEFAULT '',
    requested_by_user  text COLLATE "C" NOT NULL,
    requested_by       text COLLATE "C" NOT NULL,
    requested_at       timestamptz      NOT NULL,
    state              text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'withdrawn', 'collected')),
    decided_by_user    text COLLATE "C" NOT NULL DEFAULT '',
    decided_by         text COLLATE "C" NOT NULL DEFAULT '',
    decided_at         timestamptz,
    decision           text COLLATE "C" NOT NULL DEFAULT '',
    token_id           text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX token_requests_by_requester ON token_requests (requested_by_user);
CREATE INDEX token_requests_by_tenant ON token_requests (tenant_id, id);

CREATE TABLE sessions (
    id               text COLLATE "C" PRIMARY KEY,
    tenant_id        text COLLATE "C" NOT NULL,
    user_id          text COLLATE "C" NOT NULL DEFAULT '',
    token_id         text COLLATE "C" NOT NULL DEFAULT '', -- the root token that opened it
    token_hash       text COLLATE "C" NOT NULL DEFAULT '', -- its digest: the session lives while that token stands
    session_hash     text COLLATE "C" NOT NULL UNIQUE,
    via              text COLLATE "C" NOT NULL,
    address          text COLLATE "C" NOT NULL DEFAULT '',
    user_agent       text COLLATE "C" NOT NULL DEFAULT '',
    created_at       timestamptz      NOT NULL,
    last_seen_at     timestamptz      NOT NULL,
    expires_at       timestamptz      NOT NULL,
    ended_at         timestamptz,
    ended_by         text COLLATE "C",
    ended_reason     text COLLATE "C",
    lapsed_at        timestamptz,
    authenticated_at timestamptz,
    connection_id    text COLLATE "C" NOT NULL DEFAULT '',
    issuer           text COLLATE "C" NOT NULL DEFAULT '',
    subject          text COLLATE "C" NOT NULL DEFAULT '',
    sid              text COLLATE "C" NOT NULL DEFAULT '',
    acr              text COLLATE "C" NOT NULL DEFAULT '',
    amr              text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX sessions_by_sid ON sessions (tenant_id, issuer, sid) WHERE sid <> '' AND ended_at IS NULL;
CREATE INDEX sessions_by_subject ON sessions (tenant_id, issuer, subject) WHERE issuer <> '' AND ended_at IS NULL;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE oidc_connections (
    id              text COLLATE "C" PRIMARY KEY,
    tenant_id       text COLLATE "C" NOT NULL UNIQUE, -- one each
    name            text COLLATE "C" NOT NULL UNIQUE, -- over all tenants: it is in addresses
    issuer          text COLLATE "C" NOT NULL,
    client_id       text COLLATE "C" NOT NULL,
    secret_sealed   bytea            NOT NULL, -- AES-256-GCM under the data key
    data_key        bytea            NOT NULL, -- the data key, wrapped by the key-encryption key
    scopes          text COLLATE "C" NOT NULL,
    user_name_claim text COLLATE "C" NOT NULL,
    trust_email     boolean          NOT NULL DEFAULT FALSE, -- an e-mail address that the provider has not verified
    created_at      timestamptz      NOT NULL,
    created_by      text COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE oidc_domains (
    domain        text COLLATE "C" PRIMARY KEY, -- in lower case
    connection_id text COLLATE "C" NOT NULL REFERENCES oidc_connections (id) ON DELETE CASCADE,
    tenant_id     text COLLATE "C" NOT NULL DEFAULT '' -- its parent's; nobody writes it
);
CREATE INDEX oidc_domains_by_connection ON oidc_domains (connection_id);

CREATE TABLE oidc_subjects (
    user_id    text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL,
    issuer     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    created_at timestamptz      NOT NULL,
    UNIQUE (tenant_id, issuer, subject)
);

CREATE TABLE oidc_seen (
    digest text COLLATE "C" PRIMARY KEY,
    until  timestamptz      NOT NULL
);
CREATE INDEX oidc_seen_by_age ON oidc_seen (until);

CREATE TABLE scim_connectors (
    id              text COLLATE "C" PRIMARY KEY,
    tenant_id       text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    cidrs           text COLLATE "C" NOT NULL DEFAULT '', -- networks with spaces between them; empty: anywhere
    created_at      timestamptz      NOT NULL,
    created_by      text COLLATE "C" NOT NULL DEFAULT '',
    deleted_at      timestamptz, -- the name is free again
    deleted_by      text COLLATE "C",
    created_by_user text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX scim_connectors_by_maker ON scim_connectors (created_by_user) WHERE created_by_user <> '';
CREATE UNIQUE INDEX scim_connectors_by_name ON scim_connectors (tenant_id, name) WHERE deleted_at IS NULL;

CREATE TABLE scim_connector_tokens (
    token_id     text COLLATE "C" PRIMARY KEY,
    connector_id text COLLATE "C" NOT NULL,
    created_at   timestamptz      NOT NULL,
    tenant_id    text COLLATE "C" NOT NULL DEFAULT '' -- its parent's; nobody writes it
);
CREATE INDEX scim_connector_tokens_by_connector ON scim_connector_tokens (connector_id);

CREATE TABLE scim_connector_figures (
    connector_id     text COLLATE "C" PRIMARY KEY,
    last_seen_at     timestamptz,
    usual_seconds    double precision NOT NULL DEFAULT 0, -- between two bursts of requests; 0: not known
    error_at         timestamptz,
    error_operation  text COLLATE "C" NOT NULL DEFAULT '',
    error_status     bigint           NOT NULL DEFAULT 0,
    error_scim_type  text COLLATE "C" NOT NULL DEFAULT '',
    error_shape      text COLLATE "C" NOT NULL DEFAULT '', -- keys and types, never values
    error_request_id text COLLATE "C" NOT NULL DEFAULT '',
    tenant_id        text COLLATE "C" NOT NULL DEFAULT '' -- its parent's; nobody writes it
);

CREATE TABLE scim_connector_counts (
    connector_id text COLLATE "C" NOT NULL,
    operation    text COLLATE "C" NOT NULL,
    ok           bigint           NOT NULL DEFAULT 0,
    failed       bigint           NOT NULL DEFAULT 0,
    tenant_id    text COLLATE "C" NOT NULL DEFAULT '', -- its parent's; nobody writes it
    PRIMARY KEY (connector_id, operation)
);

CREATE TABLE provider_credentials (
    id              text COLLATE "C" PRIMARY KEY,
    tenant_id       text COLLATE "C" NOT NULL,
    workspace_id    text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    kind            text COLLATE "C" NOT NULL CHECK (kind IN ('openai', 'anthropic')),
    base_url        text COLLATE "C" NOT NULL,
    key_sealed      bytea            NOT NULL, -- AES-256-GCM under the data key
    data_key        bytea            NOT NULL, -- the data key, wrapped by the key-encryption key
    key_last4       text COLLATE "C" NOT NULL,
    key_version     bigint           NOT NULL DEFAULT 1,
    created_at      timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL,
    created_by_user text COLLATE "C" NOT NULL DEFAULT '',
    created_by      text COLLATE "C" NOT NULL DEFAULT '',
    UNIQUE (workspace_id, name)
);
CREATE INDEX provider_credentials_by_maker ON provider_credentials (created_by_user) WHERE created_by_user <> '';

CREATE TABLE policies (
    tenant_id  text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    updated_at timestamptz      NOT NULL,
    updated_by text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, key)
);

CREATE TABLE webhook_secrets (
    tenant_id  text COLLATE "C" PRIMARY KEY,
    sealed     bytea            NOT NULL,
    data_key   bytea            NOT NULL,
    created_at timestamptz      NOT NULL,
    created_by text COLLATE "C" NOT NULL DEFAULT ''
);

CREATE TABLE notices (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    at          timestamptz      NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    severity    text COLLATE "C" NOT NULL CHECK (severity IN ('info', 'warning', 'alert')),
    user_id     text COLLATE "C" NOT NULL DEFAULT '', -- whom it concerns beside the administrators
    object_kind text COLLATE "C" NOT NULL DEFAULT '',
    object_id   text COLLATE "C" NOT NULL DEFAULT '',
    object      text COLLATE "C" NOT NULL DEFAULT '',
    message     text COLLATE "C" NOT NULL,
    dedupe      text COLLATE "C" NOT NULL,
    read_at     timestamptz,
    read_by     text COLLATE "C" NOT NULL DEFAULT '',
    sent_at     timestamptz, -- by the webhook; or given up
    attempts    bigint           NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    UNIQUE (tenant_id, dedupe)
);
CREATE INDEX notices_by_tenant ON notices (tenant_id, id);
CREATE INDEX notices_by_user ON notices (user_id, id) WHERE user_id <> '';
CREATE INDEX notices_unsent ON notices (tenant_id, id) WHERE sent_at IS NULL;

CREATE TABLE past_holdings (
    tenant_id    text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    kind         text COLLATE "C" NOT NULL CHECK (kind IN ('membership', 'group', 'service_account', 'provider')),
    object_id    text COLLATE "C" NOT NULL, -- of a membership: the workspace
    via          text COLLATE "C" NOT NULL, -- of a membership: the group's name; '' is direct
    name         text COLLATE "C" NOT NULL,
    workspace_id text COLLATE "C" NOT NULL,
    role         text COLLATE "C" NOT NULL,
    created_at   timestamptz      NOT NULL,
    ended_at     timestamptz      NOT NULL,
    PRIMARY KEY (user_id, kind, object_id, via)
);

CREATE TABLE idempotency (
    tenant_id  text COLLATE "C" NOT NULL,
    actor      text COLLATE "C" NOT NULL,
    key_hash   text COLLATE "C" NOT NULL,
    request    text COLLATE "C" NOT NULL, -- SHA-256 of method, path and body
    status     bigint           NOT NULL DEFAULT 0, -- 0: carried out, the answer was not kept
    answer     text COLLATE "C" NOT NULL DEFAULT '',
    created_at timestamptz      NOT NULL,
    PRIMARY KEY (tenant_id, actor, key_hash)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE audit_events (
    seq          bigint           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    id           text COLLATE "C" NOT NULL UNIQUE,
    at           timestamptz      NOT NULL,
    tenant_id    text COLLATE "C" NOT NULL,
    workspace_id text COLLATE "C" NOT NULL DEFAULT '',
    action       text COLLATE "C" NOT NULL,
    actor_kind   text COLLATE "C" NOT NULL,
    actor_id     text COLLATE "C" NOT NULL DEFAULT '',
    actor        text COLLATE "C" NOT NULL DEFAULT '',
    object_id    text COLLATE "C" NOT NULL DEFAULT '',
    object       text COLLATE "C" NOT NULL DEFAULT '',
    outcome      text COLLATE "C" NOT NULL,
    reason       text COLLATE "C" NOT NULL DEFAULT '',
    request_id   text COLLATE "C" NOT NULL DEFAULT '',
    address      text COLLATE "C" NOT NULL DEFAULT '',
    detail       text COLLATE "C" NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_events_by_action ON audit_events (tenant_id, action, at);
CREATE INDEX audit_events_by_actor ON audit_events (tenant_id, actor_id, seq);
CREATE INDEX audit_events_by_actor_name ON audit_events (tenant_id, actor, seq);
CREATE INDEX audit_events_by_object ON audit_events (tenant_id, object_id, seq);
CREATE INDEX audit_events_by_object_name ON audit_events (tenant_id, object, seq);
CREATE INDEX audit_events_by_request ON audit_events (tenant_id, request_id, seq) WHERE request_id <> '';
CREATE INDEX audit_events_by_tenant ON audit_events (tenant_id, seq);

CREATE TABLE usage_minutes (
    tenant_id text COLLATE "C" NOT NULL,
    minute    bigint           NOT NULL, -- since 1970, UTC
    requests  bigint           NOT NULL DEFAULT 0, -- to models
    refused   bigint           NOT NULL DEFAULT 0, -- anywhere: 401, 403, 429
    failed    bigint           NOT NULL DEFAULT 0, -- to models: 5xx
    PRIMARY KEY (tenant_id, minute)
);

CREATE TABLE revocations (
    id        text COLLATE "C" PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    at        timestamptz      NOT NULL,
    what      text COLLATE "C" NOT NULL, -- of what: user, token, session, service_account, workspace, …
    object_id text COLLATE "C" NOT NULL DEFAULT '',
    object    text COLLATE "C" NOT NULL DEFAULT '',
    actor     text COLLATE "C" NOT NULL DEFAULT '',
    tokens    bigint           NOT NULL DEFAULT 0,
    sessions  bigint           NOT NULL DEFAULT 0,
    streams   bigint           NOT NULL DEFAULT 0,
    took_us   bigint           NOT NULL
);
CREATE INDEX revocations_by_tenant ON revocations (tenant_id, at);

CREATE TABLE meta (
    key   text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);

CREATE TABLE changes (
    seq   bigint           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind  text COLLATE "C" NOT NULL,
    id    text COLLATE "C" NOT NULL, -- of a membership: the user's id
    at    timestamptz      NOT NULL DEFAULT now(),
    xid   xid8             NOT NULL DEFAULT pg_current_xact_id(), -- the transaction that wrote it
    ended boolean          NOT NULL DEFAULT FALSE -- it left the thing without any authority
);
CREATE INDEX changes_by_xid ON changes (xid);

INSERT INTO meta (key, value) VALUES ('install.id', gen_random_uuid()); -- a backup has it too, another installation has not
INSERT INTO tenants (id, name, created_at) VALUES ('default', 'default', now());
INSERT INTO workspaces (id, tenant_id, name, created_at) VALUES ('default', 'default', 'default', now());

-- Every role of a person in a workspace, from wherever it comes: a membership, or
-- a group (then group_id says which). The highest one counts. The rank orders
-- roles: 1 is the highest. Whoever reads it reads the tables as themselves.
CREATE VIEW workspace_roles (tenant_id, workspace_id, user_id, rank, group_id) WITH (security_invoker = true) AS
    SELECT tenant_id, workspace_id, user_id,
           CASE role WHEN 'workspace_admin' THEN 1 WHEN 'member' THEN 2 WHEN 'viewer' THEN 3 END, ''
      FROM memberships
    UNION ALL
    SELECT g.tenant_id, g.workspace_id, m.user_id,
           CASE g.role WHEN 'workspace_admin' THEN 1 WHEN 'member' THEN 2 WHEN 'viewer' THEN 3 END, g.group_id
      FROM workspace_groups g JOIN group_members m ON m.group_id = g.group_id;

-- The functions run with the rights of the tables' owner, so that what a row
-- carried ends whoever touches it, and whichever tenant they may see. They find
-- this schema's tables and nobody else's: a temporary table of the same name comes
-- last. Only the owner may call them, or hang them on a table.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- tenure_change tells the feed that rows changed: of which kind, which column has
-- the id, and whether it ended: a replica remembers ends should the database forget
-- them. Whoever follows is woken, once for a transaction, but not for what is new
-- and has taken nothing from anybody: notices are committed one after the other.
-- +goose StatementBegin
CREATE FUNCTION tenure_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    old_row jsonb;
    new_row jsonb;
    before  text;
    after   text;
    own     boolean := TG_ARGV[1] = 'id'; -- or the row is about another's thing
    ended   boolean := own; -- where there is no new row
BEGIN
    IF TG_OP <> 'DELETE' THEN
        new_row := to_jsonb(NEW);
        after := new_row ->> TG_ARGV[1];
        ended := own AND (COALESCE(new_row ->> 'revoked_at', new_row ->> 'ended_at', new_row ->> 'deleted_at') IS NOT NULL
            OR COALESCE(new_row ->> 'active', '') = 'false');
        INSERT INTO changes (kind, id, ended) VALUES (TG_ARGV[0], after, ended);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        old_row := to_jsonb(OLD);
        before := old_row ->> TG_ARGV[1];
        IF before IS DISTINCT FROM after THEN
            INSERT INTO changes (kind, id, ended) VALUES (TG_ARGV[0], before, own);
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' OR ended OR TG_ARGV[0] IN ('policy', 'workspace', 'connector') THEN
        PERFORM pg_notify('tenure_changes', '');
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

-- The feed has no trigger for rows that are displaced: there is no INSERT OR REPLACE
-- here, and ON CONFLICT DO UPDATE is an update.
CREATE TRIGGER api_tokens_inserted AFTER INSERT ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_change('token', 'id');
CREATE TRIGGER api_tokens_updated AFTER UPDATE OF id, tenant_id, workspace_id, user_id, service_account_id, name, kind,
        token_hash, scopes, expires_at, revoked_at, models, cidrs, rotated_at ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_change('token', 'id');
CREATE TRIGGER api_tokens_deleted AFTER DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_change('token', 'id');

CREATE TRIGGER users_inserted AFTER INSERT ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_change('user', 'id');
CREATE TRIGGER users_updated AFTER UPDATE OF id, tenant_id, user_name, active, role, deleted_at ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_change('user', 'id');
CREATE TRIGGER users_deleted AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_change('user', 'id');

CREATE TRIGGER sessions_inserted AFTER INSERT ON sessions
    FOR EACH ROW EXECUTE FUNCTION tenure_change('session', 'id');
CREATE TRIGGER sessions_updated AFTER UPDATE OF id, tenant_id, user_id, token_id, session_hash, expires_at, ended_at ON sessions
    FOR EACH ROW EXECUTE FUNCTION tenure_change('session', 'id');
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION tenure_change('session', 'id');

CREATE TRIGGER memberships_inserted AFTER INSERT ON memberships
    FOR EACH ROW EXECUTE FUNCTION tenure_change('membership', 'user_id');
CREATE TRIGGER memberships_updated AFTER UPDATE OF tenant_id, workspace_id, user_id, role ON memberships
    FOR EACH ROW EXECUTE FUNCTION tenure_change('membership', 'user_id');
CREATE TRIGGER memberships_deleted AFTER DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION tenure_change('membership', 'user_id');

CREATE TRIGGER service_accounts_inserted AFTER INSERT ON service_accounts
    FOR EACH ROW EXECUTE FUNCTION tenure_change('service_account', 'id');
CREATE TRIGGER service_accounts_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, owner_user_id, active, expires_at,
        ended_at, orphaned_at ON service_accounts
    FOR EACH ROW EXECUTE FUNCTION tenure_change('service_account', 'id');
CREATE TRIGGER service_accounts_deleted AFTER DELETE ON service_accounts
    FOR EACH ROW EXECUTE FUNCTION tenure_change('service_account', 'id');

CREATE TRIGGER provider_credentials_inserted AFTER INSERT ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, key_sealed,
        data_key, key_version ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');
CREATE TRIGGER provider_credentials_deleted AFTER DELETE ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');

CREATE TRIGGER workspaces_inserted AFTER INSERT ON workspaces
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'id');
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at ON workspaces
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'id');
CREATE TRIGGER workspaces_deleted AFTER DELETE ON workspaces
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'id');

CREATE TRIGGER workspace_groups_inserted AFTER INSERT ON workspace_groups
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'workspace_id');
CREATE TRIGGER workspace_groups_updated AFTER UPDATE OF tenant_id, workspace_id, group_id, role ON workspace_groups
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'workspace_id');
CREATE TRIGGER workspace_groups_deleted AFTER DELETE ON workspace_groups
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'workspace_id');

CREATE TRIGGER tenants_inserted AFTER INSERT ON tenants
    FOR EACH ROW EXECUTE FUNCTION tenure_change('tenant', 'id');
CREATE TRIGGER tenants_updated AFTER UPDATE OF id, active ON tenants
    FOR EACH ROW EXECUTE FUNCTION tenure_change('tenant', 'id');
CREATE TRIGGER tenants_deleted AFTER DELETE ON tenants
    FOR EACH ROW EXECUTE FUNCTION tenure_change('tenant', 'id');

CREATE TRIGGER scim_connectors_inserted AFTER INSERT ON scim_connectors
    FOR EACH ROW EXECUTE FUNCTION tenure_change('connector', 'id');
CREATE TRIGGER scim_connectors_updated AFTER UPDATE OF id, tenant_id, name, cidrs, deleted_at ON scim_connectors
    FOR EACH ROW EXECUTE FUNCTION tenure_change('connector', 'id');
CREATE TRIGGER scim_connectors_deleted AFTER DELETE ON scim_connectors
    FOR EACH ROW EXECUTE FUNCTION tenure_change('connector', 'id');

CREATE TRIGGER scim_connector_tokens_inserted AFTER INSERT ON scim_connector_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_change('connector', 'connector_id');
CREATE TRIGGER scim_connector_tokens_updated AFTER UPDATE ON scim_connector_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_change('connector', 'connector_id');
CREATE TRIGGER scim_connector_tokens_deleted AFTER DELETE ON scim_connector_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_change('connector', 'connector_id');

CREATE TRIGGER policies_inserted AFTER INSERT ON policies
    FOR EACH ROW EXECUTE FUNCTION tenure_change('policy', 'tenant_id');
CREATE TRIGGER policies_updated AFTER UPDATE ON policies
    FOR EACH ROW EXECUTE FUNCTION tenure_change('policy', 'tenant_id');
CREATE TRIGGER policies_deleted AFTER DELETE ON policies
    FOR EACH ROW EXECUTE FUNCTION tenure_change('policy', 'tenant_id');

-- Who is in a group matters to the feed where the group means something.
-- +goose StatementBegin
CREATE FUNCTION tenure_group_member_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO changes (kind, id) SELECT 'membership', NEW.user_id
            WHERE EXISTS (SELECT 1 FROM workspace_groups WHERE group_id = NEW.group_id);
    ELSE
        INSERT INTO changes (kind, id) SELECT 'membership', OLD.user_id
            WHERE EXISTS (SELECT 1 FROM workspace_groups WHERE group_id = OLD.group_id);
        IF FOUND THEN
            PERFORM pg_notify('tenure_changes', '');
        END IF;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER group_members_inserted AFTER INSERT ON group_members
    FOR EACH ROW EXECUTE FUNCTION tenure_group_member_change();
CREATE TRIGGER group_members_updated AFTER UPDATE OF group_id, user_id ON group_members
    FOR EACH ROW EXECUTE FUNCTION tenure_change('membership', 'user_id');
CREATE TRIGGER group_members_deleted AFTER DELETE ON group_members
    FOR EACH ROW EXECUTE FUNCTION tenure_group_member_change();

-- tenure_truncate makes of a TRUNCATE a DELETE of the rows that carry something, so
-- that it ends, and tells that everything is to be looked at anew: kind ''. It comes
-- before, while the rows can still be read. Its argument chooses them; without one
-- there are none.
-- +goose StatementBegin
CREATE FUNCTION tenure_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_NARGS > 0 THEN
        EXECUTE format('DELETE FROM %I.%I WHERE %s', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]);
    END IF;
    INSERT INTO changes (kind, id) VALUES ('', '');
    PERFORM pg_notify('tenure_changes', '');
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER api_tokens_truncated BEFORE TRUNCATE ON api_tokens EXECUTE FUNCTION tenure_truncate('kind = ''root''');
CREATE TRIGGER users_truncated BEFORE TRUNCATE ON users EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER sessions_truncated BEFORE TRUNCATE ON sessions EXECUTE FUNCTION tenure_truncate();
CREATE TRIGGER memberships_truncated BEFORE TRUNCATE ON memberships EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER groups_truncated BEFORE TRUNCATE ON groups EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER group_members_truncated BEFORE TRUNCATE ON group_members EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER service_accounts_truncated BEFORE TRUNCATE ON service_accounts EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER provider_credentials_truncated BEFORE TRUNCATE ON provider_credentials EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER workspaces_truncated BEFORE TRUNCATE ON workspaces EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER workspace_groups_truncated BEFORE TRUNCATE ON workspace_groups EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER tenants_truncated BEFORE TRUNCATE ON tenants EXECUTE FUNCTION tenure_truncate();
CREATE TRIGGER scim_connectors_truncated BEFORE TRUNCATE ON scim_connectors EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER scim_connector_tokens_truncated BEFORE TRUNCATE ON scim_connector_tokens EXECUTE FUNCTION tenure_truncate();
CREATE TRIGGER policies_truncated BEFORE TRUNCATE ON policies EXECUTE FUNCTION tenure_truncate();

-- past_holdings: whatever takes the row away, SQL typed by hand included.
-- +goose StatementBegin
CREATE FUNCTION tenure_remember(tenant text, who text, what text, object text, through text, called text, workspace text,
    as_role text, since timestamptz) RETURNS void LANGUAGE sql AS $$
    INSERT INTO past_holdings (tenant_id, user_id, kind, object_id, via, name, workspace_id, role, created_at, ended_at)
        VALUES (tenant, who, what, object, through, COALESCE(called, ''), workspace, as_role, since, now())
        ON CONFLICT (user_id, kind, object_id, via) DO UPDATE SET name = excluded.name, role = excluded.role,
            created_at = excluded.created_at, ended_at = excluded.ended_at;
$$;
-- +goose StatementEnd

-- Who is given a token or a session must not lose, at the same moment, what it rests
-- on: their row, their account, the workspace and the role in it are written, with
-- what they have, in a column that nobody watches. Whoever takes one of them away
-- writes it too: of two who do so at once one waits, and then finds the credential or,
-- at a level of isolation that sees one state only, begins anew. A lock would not do:
-- whoever waits for a lock goes on with the state that they have seen before.
-- +goose StatementBegin
CREATE FUNCTION tenure_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.user_id <> '' THEN
        UPDATE users SET last_seen_at = last_seen_at WHERE id = NEW.user_id;
    END IF;
    IF TG_TABLE_NAME = 'sessions' THEN
        IF NEW.token_id <> '' THEN
            UPDATE api_tokens SET last_used_at = last_used_at WHERE id = NEW.token_id;
        END IF;
        IF NEW.connection_id <> '' THEN
            UPDATE oidc_connections SET created_by = created_by WHERE id = NEW.connection_id;
            UPDATE oidc_subjects SET created_at = created_at WHERE user_id = NEW.user_id;
        END IF;
        RETURN NULL;
    END IF;
    IF NEW.service_account_id <> '' THEN
        UPDATE service_accounts SET updated_at = updated_at WHERE id = NEW.service_account_id;
    END IF;
    IF NEW.workspace_id <> '' THEN
        UPDATE workspaces SET description = description WHERE id = NEW.workspace_id;
        IF NEW.user_id <> '' THEN
            UPDATE memberships SET created_at = created_at WHERE workspace_id = NEW.workspace_id AND user_id = NEW.user_id;
            UPDATE workspace_groups g SET created_at = g.created_at FROM group_members m
                WHERE g.workspace_id = NEW.workspace_id AND m.group_id = g.group_id AND m.user_id = NEW.user_id;
            UPDATE group_members m SET added_at = m.added_at FROM workspace_groups g
                WHERE g.workspace_id = NEW.workspace_id AND m.group_id = g.group_id AND m.user_id = NEW.user_id;
        END IF;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

-- What is put into a workspace holds it, and an account its owner.
-- +goose StatementBegin
CREATE FUNCTION tenure_hold_place() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE workspaces SET description = description WHERE id = NEW.workspace_id;
    IF TG_TABLE_NAME = 'service_accounts' THEN
        UPDATE users SET last_seen_at = last_seen_at WHERE id = NEW.owner_user_id;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER provider_credentials_held AFTER INSERT ON provider_credentials FOR EACH ROW EXECUTE FUNCTION tenure_hold_place();
CREATE TRIGGER service_accounts_held AFTER INSERT OR UPDATE OF owner_user_id ON service_accounts FOR EACH ROW EXECUTE FUNCTION tenure_hold_place();
CREATE TRIGGER api_tokens_held AFTER INSERT ON api_tokens FOR EACH ROW EXECUTE FUNCTION tenure_hold();
CREATE TRIGGER sessions_held AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION tenure_hold();

-- What a person loses with their access, they lose for good: reactivation
-- revives nothing, whichever way the person was deactivated. The service accounts
-- that they answered for are left to be adopted, or end at once where the tenant
-- says so.
-- +goose StatementBegin
CREATE FUNCTION tenure_end_person(who text, why text) RETURNS void LANGUAGE sql AS $$
    UPDATE api_tokens SET revoked_at = now(), revoked_by = 'database', revoked_reason = why
        WHERE user_id = who AND revoked_at IS NULL;
    UPDATE sessions SET ended_at = now(), ended_by = 'database', ended_reason = why
        WHERE user_id = who AND ended_at IS NULL;
    UPDATE service_accounts SET orphaned_at = now()
        WHERE owner_user_id = who AND orphaned_at IS NULL AND active = TRUE;
    UPDATE service_accounts a SET active = FALSE, ended_at = now(), ended_by = 'policy', ended_reason = 'its owner left'
        WHERE owner_user_id = who AND active = TRUE
          AND EXISTS (SELECT 1 FROM policies p WHERE p.tenant_id = a.tenant_id AND p.key = 'orphan_grace' AND p.value = '0');
$$;
-- +goose StatementEnd

-- Whoever is deleted is in no group.
-- +goose StatementBegin
CREATE FUNCTION tenure_leave_groups(who text) RETURNS void LANGUAGE sql AS $$
    UPDATE groups SET version = version + 1, updated_at = now()
        WHERE id IN (SELECT group_id FROM group_members WHERE user_id = who);
    DELETE FROM group_members WHERE user_id = who;
    DELETE FROM user_emails WHERE user_id = who;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION tenure_user_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM tenure_end_person(OLD.id, 'user deleted');
        DELETE FROM memberships WHERE user_id = OLD.id;
        PERFORM tenure_leave_groups(OLD.id);
        RETURN NULL;
    END IF;
    PERFORM tenure_end_person(NEW.id, 'user deactivated');
    IF TG_OP = 'UPDATE' AND NEW.deleted_at IS NOT NULL THEN
        PERFORM tenure_leave_groups(NEW.id);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER users_end_on_insert AFTER INSERT ON users
    FOR EACH ROW WHEN (NOT NEW.active OR NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION tenure_user_end();
CREATE TRIGGER users_end_on_update AFTER UPDATE OF active, deleted_at ON users
    FOR EACH ROW WHEN (NOT NEW.active OR NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION tenure_user_end();
CREATE TRIGGER users_end_on_delete AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_user_end();

-- +goose StatementBegin
CREATE FUNCTION tenure_user_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM tenure_end_person(OLD.id, 'user replaced');
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER users_moved AFTER UPDATE OF id, tenant_id ON users
    FOR EACH ROW WHEN (NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_user_moved();

-- What a browser may do does not grow, or shrink, behind an old cookie: whoever has
-- a new role signs in anew. Also when the role was typed by hand.
-- +goose StatementBegin
CREATE FUNCTION tenure_user_role() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE sessions SET ended_at = now(), ended_by = 'database', ended_reason = 'role changed'
        WHERE user_id = NEW.id AND ended_at IS NULL;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER users_role_ends_sessions AFTER UPDATE OF role ON users
    FOR EACH ROW WHEN (NEW.role <> OLD.role) EXECUTE FUNCTION tenure_user_role();

-- When somebody was deactivated, also by hand.
-- +goose StatementBegin
CREATE FUNCTION tenure_user_dated() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.active AND NOT OLD.active THEN
        NEW.deactivated_at := NULL;
    END IF;
    IF NEW.deactivated_at IS NULL AND (NOT NEW.active OR NEW.deleted_at IS NOT NULL) THEN
        NEW.deactivated_at := now();
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER users_dated BEFORE UPDATE OF active, deleted_at ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_user_dated();

-- Names that are typed by hand are found as those that the product writes.
-- +goose StatementBegin
CREATE FUNCTION tenure_user_folded() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.display_name_fold = '' THEN
            NEW.display_name_fold := lower(NEW.display_name);
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.user_name_fold = OLD.user_name_fold AND lower(NEW.user_name) <> lower(OLD.user_name) THEN
        NEW.user_name_fold := lower(NEW.user_name);
    END IF;
    IF NEW.display_name_fold = OLD.display_name_fold AND lower(NEW.display_name) <> lower(OLD.display_name) THEN
        NEW.display_name_fold := lower(NEW.display_name);
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER users_folded BEFORE INSERT OR UPDATE OF user_name, display_name ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_user_folded();

-- A session that the root token opened ends with it.
-- +goose StatementBegin
CREATE FUNCTION tenure_root_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE sessions SET ended_at = now(), ended_by = 'database', ended_reason = TG_ARGV[0]
        WHERE token_id = OLD.id AND ended_at IS NULL;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER root_sessions_end AFTER UPDATE OF revoked_at ON api_tokens
    FOR EACH ROW WHEN (NEW.kind = 'root' AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION tenure_root_end('root token revoked');
CREATE TRIGGER root_sessions_end_on_delete AFTER DELETE ON api_tokens
    FOR EACH ROW WHEN (OLD.kind = 'root') EXECUTE FUNCTION tenure_root_end('root token deleted');

-- Who loses the last role in a workspace loses the tokens there, for good.
-- +goose StatementBegin
CREATE FUNCTION tenure_membership_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- Of two who take somebody's last two roles, the second finds that it is the last.
    UPDATE users SET last_seen_at = last_seen_at WHERE id = OLD.user_id;
    UPDATE api_tokens SET revoked_at = now(), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE user_id = OLD.user_id AND workspace_id = OLD.workspace_id AND revoked_at IS NULL
          AND NOT EXISTS (SELECT 1 FROM workspace_roles r WHERE r.workspace_id = OLD.workspace_id AND r.user_id = OLD.user_id);
    IF TG_OP = 'DELETE' THEN
        PERFORM tenure_remember(OLD.tenant_id, OLD.user_id, 'membership', OLD.workspace_id, '',
            (SELECT name FROM workspaces WHERE id = OLD.workspace_id), OLD.workspace_id, OLD.role, OLD.created_at);
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER memberships_end_on_delete AFTER DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION tenure_membership_end();
CREATE TRIGGER memberships_end_on_update AFTER UPDATE OF workspace_id, user_id ON memberships
    FOR EACH ROW EXECUTE FUNCTION tenure_membership_end();

-- +goose StatementBegin
CREATE FUNCTION tenure_group_member_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE users SET last_seen_at = last_seen_at
        WHERE id = OLD.user_id AND EXISTS (SELECT 1 FROM workspace_groups WHERE group_id = OLD.group_id);
    UPDATE api_tokens t SET revoked_at = now(), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE t.user_id = OLD.user_id AND t.revoked_at IS NULL
          AND t.workspace_id IN (SELECT workspace_id FROM workspace_groups WHERE group_id = OLD.group_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_roles r WHERE r.workspace_id = t.workspace_id AND r.user_id = OLD.user_id);
    IF TG_OP = 'DELETE' THEN
        PERFORM tenure_remember(g.tenant_id, OLD.user_id, 'group', g.id, '', g.display_name, '', '', OLD.added_at)
            FROM groups g WHERE g.id = OLD.group_id;
        PERFORM tenure_remember(m.tenant_id, OLD.user_id, 'membership', m.workspace_id, g.display_name, w.name, m.workspace_id,
                m.role, OLD.added_at)
            FROM workspace_groups m JOIN groups g ON g.id = m.group_id LEFT JOIN workspaces w ON w.id = m.workspace_id
            WHERE m.group_id = OLD.group_id;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER group_members_end_on_delete AFTER DELETE ON group_members
    FOR EACH ROW EXECUTE FUNCTION tenure_group_member_end();
CREATE TRIGGER group_members_end_on_update AFTER UPDATE OF group_id, user_id ON group_members
    FOR EACH ROW EXECUTE FUNCTION tenure_group_member_end();

-- +goose StatementBegin
CREATE FUNCTION tenure_workspace_group_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE users SET last_seen_at = last_seen_at
        WHERE id IN (SELECT user_id FROM group_members WHERE group_id = OLD.group_id ORDER BY user_id);
    UPDATE api_tokens t SET revoked_at = now(), revoked_by = 'database', revoked_reason = 'membership removed'
        WHERE t.workspace_id = OLD.workspace_id AND t.revoked_at IS NULL
          AND t.user_id IN (SELECT user_id FROM group_members WHERE group_id = OLD.group_id)
          AND NOT EXISTS (SELECT 1 FROM workspace_roles r WHERE r.workspace_id = OLD.workspace_id AND r.user_id = t.user_id);
    IF TG_OP = 'DELETE' THEN
        PERFORM tenure_remember(OLD.tenant_id, p.user_id, 'membership', OLD.workspace_id, g.display_name, w.name,
                OLD.workspace_id, OLD.role, p.added_at)
            FROM group_members p JOIN groups g ON g.id = p.group_id LEFT JOIN workspaces w ON w.id = OLD.workspace_id
            WHERE p.group_id = OLD.group_id;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER workspace_groups_end_on_delete AFTER DELETE ON workspace_groups
    FOR EACH ROW EXECUTE FUNCTION tenure_workspace_group_end();
CREATE TRIGGER workspace_groups_end_on_update AFTER UPDATE OF workspace_id, group_id ON workspace_groups
    FOR EACH ROW EXECUTE FUNCTION tenure_workspace_group_end();

-- A group that is gone has no members and means nothing. What it gave is remembered
-- here: the rows that tell its name are gone when theirs go.
-- +goose StatementBegin
CREATE FUNCTION tenure_group_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM tenure_remember(OLD.tenant_id, p.user_id, 'group', OLD.id, '', OLD.display_name, '', '', p.added_at)
        FROM group_members p WHERE p.group_id = OLD.id;
    PERFORM tenure_remember(m.tenant_id, p.user_id, 'membership', m.workspace_id, OLD.display_name, w.name, m.workspace_id,
            m.role, p.added_at)
        FROM workspace_groups m JOIN group_members p ON p.group_id = m.group_id LEFT JOIN workspaces w ON w.id = m.workspace_id
        WHERE m.group_id = OLD.id;
    DELETE FROM workspace_groups WHERE group_id = OLD.id;
    DELETE FROM group_members WHERE group_id = OLD.id;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER groups_end_on_delete AFTER DELETE ON groups
    FOR EACH ROW EXECUTE FUNCTION tenure_group_end();

-- Nor does one mean anything that gets another id or tenant.
-- +goose StatementBegin
CREATE FUNCTION tenure_group_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM workspace_groups WHERE group_id = OLD.id;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER groups_moved AFTER UPDATE OF id, tenant_id ON groups
    FOR EACH ROW WHEN (NEW.id <> OLD.id OR NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_group_moved();

-- A workspace that ends ends what is in it.
-- +goose StatementBegin
CREATE FUNCTION tenure_workspace_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    which text := OLD.id;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        which := NEW.id;
    END IF;
    UPDATE api_tokens SET revoked_at = now(), revoked_by = 'database', revoked_reason = 'workspace deleted'
        WHERE workspace_id = which AND revoked_at IS NULL;
    UPDATE service_accounts SET active = FALSE WHERE workspace_id = which AND active = TRUE;
    DELETE FROM memberships WHERE workspace_id = which;
    DELETE FROM workspace_groups WHERE workspace_id = which;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER workspaces_end_on_update AFTER UPDATE OF deleted_at ON workspaces
    FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION tenure_workspace_end();
CREATE TRIGGER workspaces_end_on_delete AFTER DELETE ON workspaces
    FOR EACH ROW EXECUTE FUNCTION tenure_workspace_end();

-- A service account ends once, and for good: its tokens with it. Its name is free
-- again.
-- +goose StatementBegin
CREATE FUNCTION tenure_account_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.active OR NEW.ended_at IS NULL THEN
        NEW.active := FALSE;
        NEW.ended_at := COALESCE(NEW.ended_at, now());
        NEW.ended_by := COALESCE(NEW.ended_by, 'database');
        NEW.ended_reason := COALESCE(NEW.ended_reason, 'ended');
    END IF;
    IF right(NEW.name, length(' ended ' || NEW.id)) <> ' ended ' || NEW.id THEN
        NEW.name := NEW.name || ' ended ' || NEW.id;
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER service_accounts_ended BEFORE UPDATE OF active, ended_at ON service_accounts
    FOR EACH ROW WHEN (NOT NEW.active OR NEW.ended_at IS NOT NULL) EXECUTE FUNCTION tenure_account_ended();

-- +goose StatementBegin
CREATE FUNCTION tenure_account_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE api_tokens SET revoked_at = now(), revoked_by = 'database', revoked_reason = 'service account ended'
            WHERE service_account_id = NEW.id AND revoked_at IS NULL;
        RETURN NULL;
    END IF;
    UPDATE api_tokens SET revoked_at = now(), revoked_by = 'database', revoked_reason = 'service account deleted'
        WHERE service_account_id = OLD.id AND revoked_at IS NULL;
    PERFORM tenure_remember(OLD.tenant_id, OLD.owner_user_id, 'service_account', OLD.id, '', OLD.name, OLD.workspace_id, '',
        OLD.created_at);
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER service_accounts_end_on_update AFTER UPDATE OF active, ended_at ON service_accounts
    FOR EACH ROW WHEN (NOT NEW.active OR NEW.ended_at IS NOT NULL) EXECUTE FUNCTION tenure_account_end();
CREATE TRIGGER service_accounts_end_on_delete AFTER DELETE ON service_accounts
    FOR EACH ROW EXECUTE FUNCTION tenure_account_end();

-- Whoever takes a service account over adopts it.
-- +goose StatementBegin
CREATE FUNCTION tenure_account_adopted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.orphaned_at := NULL;
    PERFORM tenure_remember(OLD.tenant_id, OLD.owner_user_id, 'service_account', OLD.id, '', OLD.name, OLD.workspace_id, '',
        OLD.created_at);
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER service_accounts_adopted BEFORE UPDATE OF owner_user_id ON service_accounts
    FOR EACH ROW WHEN (NEW.owner_user_id <> OLD.owner_user_id) EXECUTE FUNCTION tenure_account_adopted();

-- +goose StatementBegin
CREATE FUNCTION tenure_provider_remembered() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM tenure_remember(OLD.tenant_id, OLD.created_by_user, 'provider', OLD.id, '', OLD.name, OLD.workspace_id, '',
        OLD.created_at);
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER provider_credentials_remembered AFTER DELETE ON provider_credentials
    FOR EACH ROW WHEN (OLD.created_by_user <> '') EXECUTE FUNCTION tenure_provider_remembered();

-- A connector's tokens end with it.
-- +goose StatementBegin
CREATE FUNCTION tenure_connector_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    which text := OLD.id;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        which := NEW.id;
    END IF;
    UPDATE api_tokens SET revoked_at = now(), revoked_by = 'database', revoked_reason = 'connector deleted'
        WHERE revoked_at IS NULL AND id IN (SELECT token_id FROM scim_connector_tokens WHERE connector_id = which);
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER scim_connectors_end AFTER UPDATE OF deleted_at ON scim_connectors
    FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION tenure_connector_end();
CREATE TRIGGER scim_connectors_end_on_delete AFTER DELETE ON scim_connectors
    FOR EACH ROW EXECUTE FUNCTION tenure_connector_end();

-- Rows that belong to a tenant through another row carry its tenant, so that they
-- are seen by whoever may see that one. Arguments: the other table, and the column
-- that leads to it; then, if there is one, the id of what the settings carry, which
-- has no row, and its tenant. '' is nobody's.
-- +goose StatementBegin
CREATE FUNCTION tenure_tenant_of() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    tenant text;
BEGIN
    EXECUTE format('SELECT tenant_id FROM %I.%I WHERE id = $1', TG_TABLE_SCHEMA, TG_ARGV[0])
        INTO tenant USING to_jsonb(NEW) ->> TG_ARGV[1];
    NEW.tenant_id := COALESCE(tenant, CASE WHEN to_jsonb(NEW) ->> TG_ARGV[1] = TG_ARGV[2] THEN TG_ARGV[3] END, '');
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER user_emails_tenant BEFORE INSERT OR UPDATE OF user_id, tenant_id ON user_emails
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of('users', 'user_id');
CREATE TRIGGER group_members_tenant BEFORE INSERT OR UPDATE OF group_id, tenant_id ON group_members
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of('groups', 'group_id');
CREATE TRIGGER scim_connector_tokens_tenant BEFORE INSERT OR UPDATE OF connector_id, tenant_id ON scim_connector_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of('scim_connectors', 'connector_id');
CREATE TRIGGER scim_connector_figures_tenant BEFORE INSERT OR UPDATE OF connector_id, tenant_id ON scim_connector_figures
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of('scim_connectors', 'connector_id', 'builtin', 'default');
CREATE TRIGGER scim_connector_counts_tenant BEFORE INSERT OR UPDATE OF connector_id, tenant_id ON scim_connector_counts
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of('scim_connectors', 'connector_id', 'builtin', 'default');
CREATE TRIGGER oidc_domains_tenant BEFORE INSERT OR UPDATE OF connection_id, tenant_id ON oidc_domains
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of('oidc_connections', 'connection_id');

-- They follow it to another tenant.
-- +goose StatementBegin
CREATE FUNCTION tenure_tenant_follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    EXECUTE format('UPDATE %I.%I SET tenant_id = $1 WHERE %I = $2', TG_TABLE_SCHEMA, TG_ARGV[0], TG_ARGV[1])
        USING NEW.tenant_id, NEW.id;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

CREATE TRIGGER users_take_emails AFTER UPDATE OF tenant_id ON users
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_tenant_follow('user_emails', 'user_id');
CREATE TRIGGER groups_take_members AFTER UPDATE OF tenant_id ON groups
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_tenant_follow('group_members', 'group_id');
CREATE TRIGGER scim_connectors_take_tokens AFTER UPDATE OF tenant_id ON scim_connectors
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_tenant_follow('scim_connector_tokens', 'connector_id');
CREATE TRIGGER scim_connectors_take_figures AFTER UPDATE OF tenant_id ON scim_connectors
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_tenant_follow('scim_connector_figures', 'connector_id');
CREATE TRIGGER scim_connectors_take_counts AFTER UPDATE OF tenant_id ON scim_connectors
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_tenant_follow('scim_connector_counts', 'connector_id');
CREATE TRIGGER oidc_connections_take_domains AFTER UPDATE OF tenant_id ON oidc_connections
    FOR EACH ROW WHEN (NEW.tenant_id <> OLD.tenant_id) EXECUTE FUNCTION tenure_tenant_follow('oidc_domains', 'connection_id');

-- Row-level security stands behind the conditions that every query has. Whoever
-- does not own the tables sees the rows of the tenant that the transaction names in
-- the setting tenure.tenant: none without it, all with '*'. A setting that was made
-- for one transaction is '' after it, which is no tenant.
-- +goose StatementBegin
DO $$
DECLARE
    sees CONSTANT text := '%I = NULLIF(current_setting(''tenure.tenant'', true), '''') OR current_setting(''tenure.tenant'', true) = ''*''';
    t record;
    fits text;
BEGIN
    FOR t IN SELECT c.relname, CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END AS col
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT a.attisdropped
          AND a.attname = CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END
    LOOP
        fits := format(sees, t.col);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t.relname);
        EXECUTE format('CREATE POLICY tenant ON %I USING (%s) WITH CHECK (%s)', t.relname, fits, fits);
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- The feed is read and trimmed by whoever serves, and written by the triggers alone.
ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY read ON changes FOR SELECT USING (TRUE);
CREATE POLICY trim ON changes FOR DELETE USING (TRUE);

-- Which migrations were made is for their maker to say.
ALTER TABLE IF EXISTS goose_db_version ENABLE ROW LEVEL SECURITY;
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regclass('goose_db_version') IS NOT NULL THEN
        CREATE POLICY read ON goose_db_version FOR SELECT USING (TRUE);
    END IF;
END;
$$;
-- +goose StatementEnd

-- Whoever could hang these functions on a table of their own could end anything.
-- tenure_analyze takes the statistics of tables that have changed by more than what
-- they had when it was done last. A new installation is filled within minutes, and
-- until the first statistics every index looks alike to the planner. Whoever serves
-- may call it, every few seconds; it does nothing where nothing has changed.
-- +goose StatementBegin
CREATE FUNCTION tenure_analyze() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    t regclass;
BEGIN
    IF NOT pg_try_advisory_xact_lock(x'74656e616e61'::bigint) THEN
        RETURN; -- another replica is at it
    END IF;
    FOR t IN SELECT s.relid FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
        WHERE c.relnamespace = current_schema()::regnamespace AND s.n_mod_since_analyze > greatest(500, c.reltuples) LOOP
        EXECUTE format('ANALYZE %s', t);
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'tenure\_%' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END;
$$;
-- +goose StatementEnd

GRANT EXECUTE ON FUNCTION tenure_analyze() TO PUBLIC; -- whoever may use the schema

-- +goose Down
-- There is no way down: there is nothing below this.
