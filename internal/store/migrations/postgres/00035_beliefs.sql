-- +goose Up
-- What a person stated or decided, kept for them alone. Each has a key of their own, under
-- which it is sealed: without the key, nothing opens.
CREATE TABLE belief_keys (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    sealed     bytea NOT NULL,
    data_key   bytea NOT NULL,
    kek        text COLLATE "C" NOT NULL DEFAULT '',
    form       bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX belief_keys_by_user ON belief_keys (user_id);

CREATE TABLE beliefs (
    id            text COLLATE "C" PRIMARY KEY,
    tenant_id     text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    workspace_id  text COLLATE "C" NOT NULL, -- of the token that it came by
    scope         text COLLATE "C" NOT NULL, -- user:universal, domain:NAME or project:NAME
    type          text COLLATE "C" NOT NULL CHECK (type IN ('preference', 'decision', 'entity', 'relation', 'open_question')),
    status        text COLLATE "C" NOT NULL CHECK (status IN ('active', 'inferred', 'exploratory', 'superseded')),
    name_hash     text COLLATE "C" NOT NULL, -- HMAC of workspace, scope, type and folded name, under the person's key
    confidence    double precision NOT NULL,
    sealed        bytea NOT NULL, -- name, aliases, content, why, excerpt
    sealed_by     text COLLATE "C" NOT NULL, -- id of the key
    line          text COLLATE "C" NOT NULL, -- the first of those that took each other's place
    supersedes    text COLLATE "C" NOT NULL DEFAULT '',
    superseded_by text COLLATE "C" NOT NULL DEFAULT '',
    contradicts   text COLLATE "C" NOT NULL DEFAULT '',
    request       text COLLATE "C" NOT NULL DEFAULT '', -- X-Request-Id that it came of
    token_id      text COLLATE "C" NOT NULL DEFAULT '',
    model         text COLLATE "C" NOT NULL DEFAULT '',
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX beliefs_by_user ON beliefs (tenant_id, user_id, id);
CREATE INDEX beliefs_by_name ON beliefs (tenant_id, user_id, name_hash, id);
CREATE INDEX beliefs_by_line ON beliefs (tenant_id, user_id, line, id);
CREATE INDEX beliefs_by_workspace ON beliefs (workspace_id);

-- Turns out of which beliefs are to be drawn. What was said is deleted with the work.
CREATE TABLE belief_jobs (
    id            text COLLATE "C" PRIMARY KEY, -- X-Request-Id of the turn
    tenant_id     text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    workspace_id  text COLLATE "C" NOT NULL,
    token_id      text COLLATE "C" NOT NULL,
    scope         text COLLATE "C" NOT NULL,
    state         text COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'finished', 'failed')),
    sealed        bytea NOT NULL, -- what was said; empty once it is over
    sealed_by     text COLLATE "C" NOT NULL,
    attempts      bigint NOT NULL DEFAULT 0,
    next_try_at   timestamptz,
    holder        text COLLATE "C" NOT NULL DEFAULT '',
    lease_ends_at timestamptz,
    found         bigint NOT NULL DEFAULT 0,
    error         text COLLATE "C" NOT NULL DEFAULT '', -- code of why it failed last
    created_at    timestamptz NOT NULL,
    ended_at      timestamptz
);
CREATE INDEX belief_jobs_waiting ON belief_jobs (id) WHERE state IN ('waiting', 'running');
CREATE INDEX belief_jobs_by_user ON belief_jobs (user_id);
CREATE INDEX belief_jobs_ended ON belief_jobs (ended_at) WHERE ended_at IS NOT NULL;

-- When beliefs are drawn out of turns, as a workspace, a person or a token says.
CREATE TABLE extraction_settings (
    subject_kind text COLLATE "C" NOT NULL CHECK (subject_kind IN ('workspace', 'user', 'token')),
    subject_id   text COLLATE "C" NOT NULL,
    tenant_id    text COLLATE "C" NOT NULL,
    extraction   text COLLATE "C" NOT NULL,
    model        text COLLATE "C" NOT NULL DEFAULT '', -- of a workspace: which is asked
    updated_at   timestamptz NOT NULL,
    updated_by   text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (subject_kind, subject_id)
);

ALTER TABLE belief_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON belief_keys
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');
ALTER TABLE beliefs ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON beliefs
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');
ALTER TABLE belief_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON belief_jobs
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');
ALTER TABLE extraction_settings ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON extraction_settings
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Rows of these tables are told of with the person whose they are.
-- +goose StatementBegin
CREATE FUNCTION tenure_belief_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO changes (kind, id) VALUES (TG_ARGV[0], NEW.user_id || '/' || NEW.id);
    END IF;
    IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND (OLD.user_id, OLD.id) IS DISTINCT FROM (NEW.user_id, NEW.id) THEN
        INSERT INTO changes (kind, id) VALUES (TG_ARGV[0], OLD.user_id || '/' || OLD.id);
    END IF;
    PERFORM pg_notify('tenure_changes', '');
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
-- Of all that go with their key, its own trigger tells.
-- +goose StatementBegin
CREATE FUNCTION tenure_belief_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM belief_keys WHERE id = OLD.sealed_by) THEN
        INSERT INTO changes (kind, id) VALUES ('belief', OLD.user_id || '/' || OLD.id);
        PERFORM pg_notify('tenure_changes', '');
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION tenure_belief_key_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM beliefs WHERE user_id = OLD.user_id;
    DELETE FROM belief_jobs WHERE user_id = OLD.user_id;
    INSERT INTO changes (kind, id) VALUES ('belief', OLD.user_id || '/');
    PERFORM pg_notify('tenure_changes', '');
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION tenure_extraction_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO changes (kind, id) VALUES (NEW.subject_kind, NEW.subject_id);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO changes (kind, id) VALUES (OLD.subject_kind, OLD.subject_id);
    END IF;
    PERFORM pg_notify('tenure_changes', '');
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
-- Whoever is deactivated has nothing drawn out any more; of whoever is deleted nothing stays.
-- +goose StatementBegin
CREATE FUNCTION tenure_user_beliefs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- Whoever stores a turn or a belief at this moment writes this row too: one waits for the
    -- other, and sees what it did.
    UPDATE belief_keys SET created_at = created_at WHERE user_id = OLD.id;
    DELETE FROM belief_jobs WHERE user_id = OLD.id;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.deleted_at IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;
    DELETE FROM belief_keys WHERE user_id = OLD.id;
    DELETE FROM extraction_settings WHERE subject_kind = 'user' AND subject_id = OLD.id;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION tenure_workspace_beliefs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM belief_jobs WHERE workspace_id = NEW.id;
    DELETE FROM beliefs WHERE workspace_id = NEW.id;
    DELETE FROM extraction_settings WHERE subject_kind = 'workspace' AND subject_id = NEW.id;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_belief_change(), tenure_belief_deleted(), tenure_belief_key_deleted(), tenure_extraction_change(), tenure_user_beliefs(), tenure_workspace_beliefs() FROM PUBLIC;

CREATE TRIGGER beliefs_inserted AFTER INSERT ON beliefs FOR EACH ROW EXECUTE FUNCTION tenure_belief_change('belief');
CREATE TRIGGER beliefs_updated AFTER UPDATE ON beliefs FOR EACH ROW EXECUTE FUNCTION tenure_belief_change('belief');
CREATE TRIGGER beliefs_deleted AFTER DELETE ON beliefs FOR EACH ROW EXECUTE FUNCTION tenure_belief_deleted();
CREATE TRIGGER belief_keys_deleted AFTER DELETE ON belief_keys FOR EACH ROW EXECUTE FUNCTION tenure_belief_key_deleted();
CREATE TRIGGER belief_keys_truncated BEFORE TRUNCATE ON belief_keys EXECUTE FUNCTION tenure_truncate('TRUE');
CREATE TRIGGER beliefs_truncated BEFORE TRUNCATE ON beliefs EXECUTE FUNCTION tenure_truncate();
CREATE TRIGGER belief_jobs_inserted AFTER INSERT ON belief_jobs FOR EACH ROW EXECUTE FUNCTION tenure_belief_change('extraction');
CREATE TRIGGER belief_jobs_updated AFTER UPDATE OF state ON belief_jobs FOR EACH ROW EXECUTE FUNCTION tenure_belief_change('extraction');
CREATE TRIGGER extraction_settings_inserted AFTER INSERT ON extraction_settings FOR EACH ROW EXECUTE FUNCTION tenure_extraction_change();
CREATE TRIGGER extraction_settings_updated AFTER UPDATE ON extraction_settings FOR EACH ROW EXECUTE FUNCTION tenure_extraction_change();
CREATE TRIGGER extraction_settings_deleted AFTER DELETE ON extraction_settings FOR EACH ROW EXECUTE FUNCTION tenure_extraction_change();
CREATE TRIGGER extraction_settings_truncated BEFORE TRUNCATE ON extraction_settings EXECUTE FUNCTION tenure_truncate();
CREATE TRIGGER users_end_extraction AFTER UPDATE OF active, deleted_at ON users FOR EACH ROW WHEN (NOT NEW.active OR NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION tenure_user_beliefs();
CREATE TRIGGER users_delete_beliefs AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION tenure_user_beliefs();
CREATE TRIGGER workspaces_delete_beliefs AFTER UPDATE OF deleted_at ON workspaces FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION tenure_workspace_beliefs();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_belief_keys() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of belief_keys names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_belief_keys() FROM PUBLIC;
CREATE TRIGGER belief_keys_within BEFORE INSERT OR UPDATE OF tenant_id, user_id ON belief_keys
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_belief_keys();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_beliefs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.token_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of beliefs names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_beliefs() FROM PUBLIC;
CREATE TRIGGER beliefs_within BEFORE INSERT OR UPDATE OF tenant_id, user_id, workspace_id, token_id ON beliefs
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_beliefs();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_belief_jobs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.token_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of belief_jobs names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_belief_jobs() FROM PUBLIC;
CREATE TRIGGER belief_jobs_within BEFORE INSERT OR UPDATE OF tenant_id, user_id, workspace_id, token_id ON belief_jobs
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_belief_jobs();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_extraction_settings() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.subject_kind = 'workspace' AND EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'user' AND EXISTS (SELECT 1 FROM users WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'token' AND EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of extraction_settings names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_extraction_settings() FROM PUBLIC;
CREATE TRIGGER extraction_settings_within BEFORE INSERT OR UPDATE OF tenant_id, subject_kind, subject_id ON extraction_settings
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_extraction_settings();

-- +goose Down
DROP TRIGGER workspaces_delete_beliefs ON workspaces;
DROP TRIGGER users_delete_beliefs ON users;
DROP TRIGGER users_end_extraction ON users;
DROP TABLE extraction_settings;
DROP TABLE belief_jobs;
DROP TABLE belief_keys;
DROP TABLE beliefs;
DROP FUNCTION tenure_belief_change(), tenure_belief_deleted(), tenure_belief_key_deleted(), tenure_extraction_change(), tenure_user_beliefs(), tenure_workspace_beliefs(),
    tenure_within_belief_keys(), tenure_within_beliefs(), tenure_within_belief_jobs(), tenure_within_extraction_settings();
