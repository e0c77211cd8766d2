-- +goose Up
-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- What ends an exception for good ends the tokens that hang on it for good, too: then all
-- that remembers the ends of tokens (the feed, a restore) remembers it. The clock and a
-- control that fails end nothing here: standing is judged by them.
-- +goose StatementBegin
CREATE FUNCTION tenure_exception_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    how text := 'deleted';
BEGIN
    IF TG_OP = 'UPDATE' THEN
        how := CASE WHEN NEW.revoked_at IS NOT NULL THEN 'revoked' WHEN NEW.remediated_at IS NOT NULL THEN 'remediated' ELSE NEW.decision END;
    END IF;
    UPDATE api_tokens SET revoked_at = now(), revoked_by = 'exception', revoked_reason = 'its exception was ' || how
        WHERE exception_id = OLD.id AND tenant_id = OLD.tenant_id AND revoked_at IS NULL;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_exception_end() FROM PUBLIC;
CREATE TRIGGER exceptions_ended AFTER UPDATE OF decision, revoked_at, remediated_at ON exceptions
    FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL OR NEW.remediated_at IS NOT NULL OR NEW.decision IN ('rejected', 'withdrawn'))
    EXECUTE FUNCTION tenure_exception_end();
CREATE TRIGGER exceptions_ended_on_delete AFTER DELETE ON exceptions FOR EACH ROW EXECUTE FUNCTION tenure_exception_end();

-- The feed tells the end of one that was approved by its own id, too: on providers and
-- workspaces no token hangs that would tell it.
-- +goose StatementBegin
CREATE FUNCTION tenure_exception_ended() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO changes (kind, id, ended) VALUES ('exception', OLD.id,
        TG_OP = 'DELETE' OR NEW.revoked_at IS NOT NULL OR NEW.remediated_at IS NOT NULL OR NEW.decision <> 'approved');
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_exception_ended() FROM PUBLIC;
CREATE TRIGGER exceptions_told AFTER DELETE OR UPDATE OF decision, revoked_at, remediated_at ON exceptions
    FOR EACH ROW WHEN (OLD.decision = 'approved') EXECUTE FUNCTION tenure_exception_ended();

-- Of one that nobody has approved nothing hangs, before and after: who asks and withdraws
-- makes no replica read anything anew.
DROP TRIGGER exceptions_updated ON exceptions;
CREATE TRIGGER exceptions_updated AFTER UPDATE OF id, tenant_id, rule, subject_kind, subject_id, begins_at, expires_at, decision,
        revoked_at, failed_at, remediated_at, successor ON exceptions
    FOR EACH ROW WHEN (OLD.decision = 'approved' OR NEW.decision = 'approved') EXECUTE FUNCTION tenure_change('exception', 'tenant_id');

-- +goose Down
-- There is no way down, as in 00010.
