-- +goose Up
-- A provider has one key or several, each in versions: what provider_credentials had of
-- the one key is a row here. A version is bound to its id and number when it is sealed;
-- those that were sealed before have their provider's id, which they are bound to.

-- As in 00010: the functions find this schema's tables and nobody else's.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE provider_keys (
    id              text COLLATE "C" PRIMARY KEY,
    tenant_id       text COLLATE "C" NOT NULL,
    workspace_id    text COLLATE "C" NOT NULL,
    provider_id     text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL, -- of the key: its versions have the same
    version         bigint           NOT NULL,
    state           text COLLATE "C" NOT NULL CHECK (state IN ('staged', 'active', 'overlap', 'retired')),
    position        bigint           NOT NULL DEFAULT 1, -- lower ones are used first
    weight          bigint           NOT NULL DEFAULT 1, -- among those of the same position
    reference       text COLLATE "C" NOT NULL DEFAULT '', -- where it is kept; '': sealed here
    key_sealed      bytea            NOT NULL, -- AES-256-GCM under the data key
    data_key        bytea            NOT NULL, -- the data key, wrapped by the key-encryption key
    kek             text COLLATE "C" NOT NULL DEFAULT '', -- what wrapped it; '': the file, before there were others
    form            bigint           NOT NULL DEFAULT 0, -- what the sealed text is bound to
    key_last4       text COLLATE "C" NOT NULL DEFAULT '',
    fingerprint     text COLLATE "C" NOT NULL DEFAULT '',
    created_by_user text COLLATE "C" NOT NULL DEFAULT '',
    created_by      text COLLATE "C" NOT NULL DEFAULT '',
    created_at      timestamptz      NOT NULL,
    activated_at    timestamptz,
    checked_at      timestamptz,
    check_outcome   text COLLATE "C" NOT NULL DEFAULT '',
    check_error     text COLLATE "C" NOT NULL DEFAULT '',
    retire_at       timestamptz, -- of a version in overlap
    retired_at      timestamptz,
    rotate_every    bigint           NOT NULL DEFAULT 0, -- days; 0: nobody is reminded
    UNIQUE (provider_id, name, version)
);
CREATE UNIQUE INDEX provider_keys_active ON provider_keys (provider_id, name) WHERE state = 'active';
CREATE INDEX provider_keys_overlap ON provider_keys (retire_at) WHERE state = 'overlap';

INSERT INTO provider_keys (id, tenant_id, workspace_id, provider_id, name, version, state, key_sealed, data_key, kek, form, key_last4,
        created_by_user, created_by, created_at, activated_at)
    SELECT id, tenant_id, workspace_id, id, 'default', key_version, 'active', key_sealed, data_key, kek, form, key_last4,
        created_by_user, created_by, created_at, created_at FROM provider_credentials;

DROP TRIGGER provider_credentials_updated ON provider_credentials;
ALTER TABLE provider_credentials DROP COLUMN key_sealed, DROP COLUMN data_key, DROP COLUMN key_last4, DROP COLUMN key_version,
    DROP COLUMN kek, DROP COLUMN form;
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');

-- A key goes with its provider.
-- +goose StatementBegin
CREATE FUNCTION tenure_provider_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM provider_keys WHERE provider_id = OLD.id;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_provider_end() FROM PUBLIC;
CREATE TRIGGER provider_credentials_end AFTER DELETE ON provider_credentials FOR EACH ROW EXECUTE FUNCTION tenure_provider_end();

-- A data key that is wrapped anew opens the same key: nobody need forget it.
CREATE TRIGGER provider_keys_inserted AFTER INSERT ON provider_keys
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'provider_id');
CREATE TRIGGER provider_keys_updated AFTER UPDATE OF id, tenant_id, workspace_id, provider_id, version, state, position, weight, reference,
        key_sealed, retire_at ON provider_keys
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'provider_id');
CREATE TRIGGER provider_keys_deleted AFTER DELETE ON provider_keys
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'provider_id');
CREATE TRIGGER provider_keys_truncated BEFORE TRUNCATE ON provider_keys EXECUTE FUNCTION tenure_truncate();

-- What was sealed is destroyed, whoever retires it.
-- +goose StatementBegin
CREATE FUNCTION tenure_key_retired() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    NEW.key_sealed := ''::bytea;
    NEW.data_key := ''::bytea;
    NEW.kek := '';
    NEW.form := 0;
    NEW.retire_at := NULL;
    NEW.retired_at := COALESCE(NEW.retired_at, now());
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_key_retired() FROM PUBLIC;
CREATE TRIGGER provider_keys_retired BEFORE UPDATE OF state ON provider_keys
    FOR EACH ROW WHEN (NEW.state = 'retired') EXECUTE FUNCTION tenure_key_retired();

-- As in 00014: a row names nothing that is another tenant's.
-- +goose StatementBegin
CREATE FUNCTION tenure_within_provider_keys() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM workspaces WHERE id = NEW.workspace_id AND tenant_id <> NEW.tenant_id)
        OR EXISTS (SELECT 1 FROM provider_credentials WHERE id = NEW.provider_id AND tenant_id <> NEW.tenant_id) THEN
        RAISE EXCEPTION 'a row of provider_keys names what is another tenant''s' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_within_provider_keys() FROM PUBLIC;
CREATE TRIGGER provider_keys_within BEFORE INSERT OR UPDATE OF tenant_id, workspace_id, provider_id ON provider_keys
    FOR EACH ROW WHEN (current_setting('tenure.tenant', true) NOT IN ('', '*')) EXECUTE FUNCTION tenure_within_provider_keys();

ALTER TABLE provider_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON provider_keys
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

-- +goose Down
DROP TRIGGER provider_credentials_end ON provider_credentials;
DROP FUNCTION tenure_provider_end();
DROP TRIGGER provider_credentials_updated ON provider_credentials;
ALTER TABLE provider_credentials ADD COLUMN key_sealed bytea NOT NULL DEFAULT '', ADD COLUMN data_key bytea NOT NULL DEFAULT '',
    ADD COLUMN key_last4 text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN key_version bigint NOT NULL DEFAULT 1,
    ADD COLUMN kek text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN form bigint NOT NULL DEFAULT 0;
-- Of keys that were added since, the version before knows nothing: they are lost.
UPDATE provider_credentials p SET key_sealed = k.key_sealed, data_key = k.data_key, key_last4 = k.key_last4, key_version = k.version, kek = k.kek, form = k.form
    FROM provider_keys k WHERE k.id = p.id;
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, key_sealed,
        key_version ON provider_credentials
    FOR EACH ROW EXECUTE FUNCTION tenure_change('provider', 'id');
DROP TABLE provider_keys;
DROP FUNCTION tenure_key_retired();
DROP FUNCTION tenure_within_provider_keys();
