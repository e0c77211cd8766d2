-- +goose Up
-- What is inserted by the hundred thousand, people, their addresses, memberships and
-- members of groups, has triggers of its own: they read the columns that they need,
-- where the ones for all tables turn each row into JSON and plan a query for it.

-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- +goose StatementBegin
CREATE FUNCTION tenure_user_inserted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO changes (kind, id, ended) VALUES ('user', NEW.id, NOT NEW.active OR NEW.deleted_at IS NOT NULL);
    IF NOT NEW.active OR NEW.deleted_at IS NOT NULL THEN
        PERFORM pg_notify('tenure_changes', '');
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

DROP TRIGGER users_inserted ON users;
CREATE TRIGGER users_inserted AFTER INSERT ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_user_inserted();

-- +goose StatementBegin
CREATE FUNCTION tenure_membership_inserted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO changes (kind, id) VALUES ('membership', NEW.user_id);
    RETURN NULL;
END;
$$;
-- +goose StatementEnd

DROP TRIGGER memberships_inserted ON memberships;
CREATE TRIGGER memberships_inserted AFTER INSERT ON memberships
    FOR EACH ROW EXECUTE FUNCTION tenure_membership_inserted();

-- Names that are folded already are left alone.
DROP TRIGGER users_folded ON users;
CREATE TRIGGER users_folded BEFORE UPDATE OF user_name, display_name ON users
    FOR EACH ROW EXECUTE FUNCTION tenure_user_folded();
CREATE TRIGGER users_folded_on_insert BEFORE INSERT ON users
    FOR EACH ROW WHEN (NEW.display_name_fold = '' AND NEW.display_name <> '') EXECUTE FUNCTION tenure_user_folded();

-- +goose StatementBegin
CREATE FUNCTION tenure_tenant_of_user() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.tenant_id := COALESCE((SELECT tenant_id FROM users WHERE id = NEW.user_id), '');
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

DROP TRIGGER user_emails_tenant ON user_emails;
CREATE TRIGGER user_emails_tenant BEFORE INSERT OR UPDATE OF user_id, tenant_id ON user_emails
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of_user();

-- +goose StatementBegin
CREATE FUNCTION tenure_tenant_of_group() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.tenant_id := COALESCE((SELECT tenant_id FROM groups WHERE id = NEW.group_id), '');
    RETURN NEW;
END;
$$;
-- +goose StatementEnd

DROP TRIGGER group_members_tenant ON group_members;
CREATE TRIGGER group_members_tenant BEFORE INSERT OR UPDATE OF group_id, tenant_id ON group_members
    FOR EACH ROW EXECUTE FUNCTION tenure_tenant_of_group();

REVOKE ALL ON FUNCTION tenure_user_inserted(), tenure_membership_inserted(), tenure_tenant_of_user(), tenure_tenant_of_group() FROM PUBLIC;

-- +goose Down
-- There is no way down, as in 00010.
