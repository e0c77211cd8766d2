-- +goose Up
-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- Exceptions: one rule does not hold for one thing, from one instant to another. What
-- state one is in is not stored: it follows from the row and the clock.
CREATE TABLE exceptions (
    id                text COLLATE "C" PRIMARY KEY,
    tenant_id         text COLLATE "C" NOT NULL,
    title             text COLLATE "C" NOT NULL,
    rule              text COLLATE "C" NOT NULL, -- one that is not known opens nothing
    subject_kind      text COLLATE "C" NOT NULL CHECK (subject_kind IN ('tenant', 'workspace', 'user', 'service_account', 'provider')),
    subject_id        text COLLATE "C" NOT NULL,
    workspace_id      text COLLATE "C" NOT NULL DEFAULT '', -- in which the subject lies; '': in none
    for_user          text COLLATE "C" NOT NULL DEFAULT '', -- the person whom it is for
    reason            text COLLATE "C" NOT NULL,
    likelihood_before text COLLATE "C" NOT NULL CHECK (likelihood_before IN ('low', 'medium', 'high')),
    impact_before     text COLLATE "C" NOT NULL CHECK (impact_before IN ('low', 'medium', 'high')),
    likelihood_after  text COLLATE "C" NOT NULL CHECK (likelihood_after IN ('low', 'medium', 'high')),
    impact_after      text COLLATE "C" NOT NULL CHECK (impact_after IN ('low', 'medium', 'high')),
    controls          text COLLATE "C" NOT NULL DEFAULT '', -- what compensates
    live_check        text COLLATE "C" NOT NULL DEFAULT '', -- that is run; one that fails ends it
    requested_by_user text COLLATE "C" NOT NULL DEFAULT '',
    requested_by      text COLLATE "C" NOT NULL DEFAULT '',
    requested_at      timestamptz NOT NULL,
    begins_at         timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    owner_user_id     text COLLATE "C" NOT NULL, -- of the remedy
    plan              text COLLATE "C" NOT NULL,
    remedy_at         timestamptz NOT NULL,
    decision          text COLLATE "C" NOT NULL DEFAULT '' CHECK (decision IN ('', 'approved', 'rejected', 'withdrawn')),
    decided_by_user   text COLLATE "C" NOT NULL DEFAULT '',
    decided_by        text COLLATE "C" NOT NULL DEFAULT '',
    decided_at        timestamptz,
    decided_why       text COLLATE "C" NOT NULL DEFAULT '',
    revoked_at        timestamptz,
    revoked_by        text COLLATE "C" NOT NULL DEFAULT '',
    revoked_why       text COLLATE "C" NOT NULL DEFAULT '',
    failed_at         timestamptz, -- what compensates was found failing
    failed_why        text COLLATE "C" NOT NULL DEFAULT '',
    remediated_at     timestamptz,
    remediated_by     text COLLATE "C" NOT NULL DEFAULT '',
    checked_at        timestamptz, -- the live check was run last
    renews            text COLLATE "C" NOT NULL DEFAULT '', -- id of the one before
    successor         text COLLATE "C" NOT NULL DEFAULT ''  -- id of the one that took its place, with what hung on it
);
CREATE INDEX exceptions_by_tenant ON exceptions (tenant_id, id);
CREATE INDEX exceptions_in_force ON exceptions (expires_at) WHERE decision = 'approved';

-- What deviates carries the id of the exception that lets it.
ALTER TABLE api_tokens ADD COLUMN exception_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE workspaces ADD COLUMN exception_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE provider_credentials ADD COLUMN exception_id text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX api_tokens_by_exception ON api_tokens (exception_id) WHERE exception_id <> '';

ALTER TABLE exceptions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON exceptions
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

-- One that nobody has decided on opens nothing.
CREATE TRIGGER exceptions_inserted AFTER INSERT ON exceptions
    FOR EACH ROW WHEN (NEW.decision <> '') EXECUTE FUNCTION tenure_change('exception', 'tenant_id');
CREATE TRIGGER exceptions_updated AFTER UPDATE OF id, tenant_id, rule, subject_kind, subject_id, begins_at, expires_at, decision,
        revoked_at, failed_at, remediated_at, successor ON exceptions
    FOR EACH ROW EXECUTE FUNCTION tenure_change('exception', 'tenant_id');
CREATE TRIGGER exceptions_deleted AFTER DELETE ON exceptions
    FOR EACH ROW EXECUTE FUNCTION tenure_change('exception', 'tenant_id');
CREATE TRIGGER exceptions_truncated BEFORE TRUNCATE ON exceptions EXECUTE FUNCTION tenure_truncate();

DROP TRIGGER api_tokens_updated ON api_tokens;
CREATE TRIGGER api_tokens_updated AFTER UPDATE OF id, tenant_id, workspace_id, user_id, service_account_id, name, kind,
        token_hash, scopes, expires_at, revoked_at, models, cidrs, rotated_at, exception_id ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION tenure_change('token', 'id');
DROP TRIGGER workspaces_updated ON workspaces;
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at, outage_grace_seconds, exception_id ON workspaces
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'id');
DROP TRIGGER provider_credentials_updated ON provider_credentials;
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, headers, exception_id ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');

-- As in 00014: a row names nothing that is another tenant's.
-- +goose StatementBegin
CREATE FUNCTION tenure_within_exceptions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM users WHERE id IN (NEW.owner_user_id, NEW.for_user) AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM exceptions WHERE id IN (NEW.renews, NEW.successor) AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'tenant' AND NEW.subject_id <> NEW.tenant_id
        OR NEW.subject_kind = 'workspace' AND EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'user' AND EXISTS (SELECT 1 FROM users WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'service_account' AND EXISTS (SELECT 1 FROM service_accounts WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id)
        OR NEW.subject_kind = 'provider' AND EXISTS (SELECT 1 FROM provider_credentials WHERE id = NEW.subject_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of exceptions names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_exceptions() FROM PUBLIC;
CREATE TRIGGER exceptions_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, owner_user_id, for_user, renews, successor, subject_kind, subject_id ON exceptions
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_exceptions();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_its_exception() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM exceptions WHERE id = NEW.exception_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of % names what is another tenant''s', TG_TABLE_NAME USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_its_exception() FROM PUBLIC;
CREATE TRIGGER api_tokens_within_exception BEFORE INSERT OR UPDATE OF tenant_id, exception_id ON api_tokens
    FOR EACH ROW WHEN (NEW.exception_id <> '' AND current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_its_exception();
CREATE TRIGGER workspaces_within_exception BEFORE INSERT OR UPDATE OF tenant_id, exception_id ON workspaces
    FOR EACH ROW WHEN (NEW.exception_id <> '' AND current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_its_exception();
CREATE TRIGGER provider_credentials_within_exception BEFORE INSERT OR UPDATE OF tenant_id, exception_id ON provider_credentials
    FOR EACH ROW WHEN (NEW.exception_id <> '' AND current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_its_exception();

-- +goose Down
-- There is no way down, as in 00010.
