-- +goose Up
-- A row points at nothing of another tenant: row-level security lets a tenant write rows
-- of its own, and says nothing of what they name. There are no foreign keys, so that a
-- DELETE typed by hand works in any shell: what is not there may be named. Whoever acts
-- for the whole installation, or types SQL as a role that nothing binds, is not held to
-- it: what they move ends as any row that is moved.

-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- +goose StatementBegin
CREATE FUNCTION tenure_within_api_tokens() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM service_accounts WHERE id = NEW.service_account_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of api_tokens names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_api_tokens() FROM PUBLIC;
CREATE TRIGGER api_tokens_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, user_id, service_account_id ON api_tokens
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_api_tokens();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_memberships() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of memberships names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_memberships() FROM PUBLIC;
CREATE TRIGGER memberships_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, user_id ON memberships
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_memberships();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_workspace_groups() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM groups WHERE id = NEW.group_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of workspace_groups names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_workspace_groups() FROM PUBLIC;
CREATE TRIGGER workspace_groups_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, group_id ON workspace_groups
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_workspace_groups();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_group_members() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of group_members names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_group_members() FROM PUBLIC;
CREATE TRIGGER group_members_within BEFORE INSERT OR UPDATE OF tenant_id, user_id ON group_members
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_group_members();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_service_accounts() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM users WHERE id = NEW.owner_user_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of service_accounts names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_service_accounts() FROM PUBLIC;
CREATE TRIGGER service_accounts_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, owner_user_id ON service_accounts
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_service_accounts();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_sessions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.token_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of sessions names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_sessions() FROM PUBLIC;
CREATE TRIGGER sessions_within BEFORE INSERT OR UPDATE OF tenant_id, user_id, token_id ON sessions
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_sessions();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_token_requests() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM service_accounts WHERE id = NEW.service_account_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of token_requests names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_token_requests() FROM PUBLIC;
CREATE TRIGGER token_requests_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, service_account_id ON token_requests
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_token_requests();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_provider_credentials() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of provider_credentials names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_provider_credentials() FROM PUBLIC;
CREATE TRIGGER provider_credentials_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id ON provider_credentials
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_provider_credentials();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_oidc_subjects() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of oidc_subjects names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_oidc_subjects() FROM PUBLIC;
CREATE TRIGGER oidc_subjects_within BEFORE INSERT OR UPDATE OF tenant_id, user_id ON oidc_subjects
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_oidc_subjects();

-- +goose StatementBegin
CREATE FUNCTION tenure_within_scim_connector_tokens() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM api_tokens WHERE id = NEW.token_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of scim_connector_tokens names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_scim_connector_tokens() FROM PUBLIC;
CREATE TRIGGER scim_connector_tokens_within BEFORE INSERT OR UPDATE OF tenant_id, token_id ON scim_connector_tokens
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_scim_connector_tokens();

-- +goose Down
-- There is no way down, as in 00010.
