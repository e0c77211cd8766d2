-- +goose Up
-- As in 00014: a request for evidence names nobody of another tenant.
-- As in 00010: the function finds this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- +goose StatementBegin
CREATE FUNCTION tenure_within_trust_requests() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of trust_requests names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_trust_requests() FROM PUBLIC;
CREATE TRIGGER trust_requests_within BEFORE INSERT OR UPDATE OF tenant_id, user_id ON trust_requests
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_trust_requests();

-- +goose Down
DROP TRIGGER trust_requests_within ON trust_requests;
DROP FUNCTION tenure_within_trust_requests();
