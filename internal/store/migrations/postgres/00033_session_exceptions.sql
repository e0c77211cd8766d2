-- +goose Up
-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- A sign-in without a second factor carries the id of the exception that lets it, and its
-- session ends with that.
ALTER TABLE sessions ADD COLUMN exception_id text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX sessions_by_exception ON sessions (exception_id) WHERE exception_id <> '';
-- An identity that is asserted without a session asks with each request for its person's.
CREATE INDEX exceptions_by_subject ON exceptions (tenant_id, subject_id) WHERE decision = 'approved';

DROP TRIGGER sessions_updated ON sessions;
CREATE TRIGGER sessions_updated AFTER UPDATE OF id, tenant_id, user_id, token_id, session_hash, expires_at, ended_at, acr, amr, exception_id ON sessions
    FOR EACH ROW EXECUTE FUNCTION tenure_change('session', 'id');
CREATE TRIGGER sessions_within_exception BEFORE INSERT OR UPDATE OF tenant_id, exception_id ON sessions
    FOR EACH ROW WHEN (NEW.exception_id <> '' AND current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_its_exception();

-- As in 00029, and for sessions.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION tenure_exception_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    how text := 'deleted';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        how := CASE WHEN NEW.revoked_at IS NOT NULL THEN 'revoked' WHEN NEW.remediated_at IS NOT NULL THEN 'remediated' ELSE NEW.decision END;
    END IF;
    UPDATE api_tokens SET revoked_at = now(), revoked_by = 'exception', revoked_reason = 'its exception was ' || how
        WHERE exception_id = OLD.id AND tenant_id = OLD.tenant_id AND revoked_at IS NULL;
    UPDATE sessions SET ended_at = now(), ended_by = 'exception', ended_reason = 'its exception was ' || how
        WHERE exception_id = OLD.id AND tenant_id = OLD.tenant_id AND ended_at IS NULL;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

-- +goose Down
-- There is no way down, as in 00010.
