-- +goose Up
-- A provider has one key or several, each in versions: what provider_credentials had of
-- the one key is a row here. A version is bound to its id and number when it is sealed;
-- those that were sealed before have their provider's id, which they are bound to.
CREATE TABLE provider_keys (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    workspace_id    TEXT NOT NULL,
    provider_id     TEXT NOT NULL,
    name            TEXT NOT NULL, -- of the key: its versions have the same
    version         INTEGER NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('staged', 'active', 'overlap', 'retired')),
    position        INTEGER NOT NULL DEFAULT 1, -- lower ones are used first
    weight          INTEGER NOT NULL DEFAULT 1, -- among those of the same position
    reference       TEXT NOT NULL DEFAULT '', -- where it is kept; '': sealed here
    key_sealed      BLOB NOT NULL, -- AES-256-GCM under the data key
    data_key        BLOB NOT NULL, -- the data key, wrapped by the key-encryption key
    kek             TEXT NOT NULL DEFAULT '', -- what wrapped it; '': the file, before there were others
    form            INTEGER NOT NULL DEFAULT 0, -- what the sealed text is bound to
    key_last4       TEXT NOT NULL DEFAULT '',
    fingerprint     TEXT NOT NULL DEFAULT '',
    created_by_user TEXT NOT NULL DEFAULT '',
    created_by      TEXT NOT NULL DEFAULT '',
    created_at      TEXT NOT NULL,
    activated_at    TEXT,
    checked_at      TEXT,
    check_outcome   TEXT NOT NULL DEFAULT '',
    check_error     TEXT NOT NULL DEFAULT '',
    retire_at       TEXT, -- of a version in overlap
    retired_at      TEXT,
    rotate_every    INTEGER NOT NULL DEFAULT 0, -- days; 0: nobody is reminded
    UNIQUE (provider_id, name, version)
) STRICT;
CREATE UNIQUE INDEX provider_keys_active ON provider_keys (provider_id, name) WHERE state = 'active';
CREATE INDEX provider_keys_overlap ON provider_keys (retire_at) WHERE state = 'overlap';

INSERT INTO provider_keys (id, tenant_id, workspace_id, provider_id, name, version, state, key_sealed, data_key, kek, form, key_last4,
        created_by_user, created_by, created_at, activated_at)
    SELECT id, tenant_id, workspace_id, id, 'default', key_version, 'active', key_sealed, data_key, kek, form, key_last4,
        created_by_user, created_by, created_at, created_at FROM provider_credentials;

DROP TRIGGER provider_credentials_updated;
ALTER TABLE provider_credentials DROP COLUMN key_sealed;
ALTER TABLE provider_credentials DROP COLUMN data_key;
ALTER TABLE provider_credentials DROP COLUMN key_last4;
ALTER TABLE provider_credentials DROP COLUMN key_version;
ALTER TABLE provider_credentials DROP COLUMN kek;
ALTER TABLE provider_credentials DROP COLUMN form;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd

-- A key goes with its provider.
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_end AFTER DELETE ON provider_credentials
BEGIN
    DELETE FROM provider_keys WHERE provider_id = OLD.id;
END;
-- +goose StatementEnd

DROP TRIGGER provider_credentials_displaced;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_displaced BEFORE INSERT ON provider_credentials
BEGIN
    DELETE FROM provider_keys WHERE provider_id IN
        (SELECT id FROM provider_credentials WHERE workspace_id = NEW.workspace_id AND name = NEW.name AND id <> NEW.id);
    INSERT INTO changes (kind, id) SELECT 'provider', id FROM provider_credentials WHERE workspace_id = NEW.workspace_id AND name = NEW.name AND id <> NEW.id;
END;
-- +goose StatementEnd

-- A data key that is wrapped anew opens the same key: nobody need forget it.
-- +goose StatementBegin
CREATE TRIGGER provider_keys_inserted AFTER INSERT ON provider_keys
BEGIN
    INSERT INTO changes (kind, id) VALUES ('provider', NEW.provider_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER provider_keys_updated AFTER UPDATE OF id, tenant_id, workspace_id, provider_id, version, state, position, weight, reference, key_sealed, retire_at ON provider_keys
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.provider_id UNION SELECT 'provider', NEW.provider_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER provider_keys_deleted AFTER DELETE ON provider_keys
BEGIN
    INSERT INTO changes (kind, id) VALUES ('provider', OLD.provider_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER provider_keys_displaced BEFORE INSERT ON provider_keys
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', provider_id FROM provider_keys WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- What was sealed is destroyed, whoever retires it.
-- +goose StatementBegin
CREATE TRIGGER provider_keys_retired AFTER UPDATE OF state ON provider_keys WHEN NEW.state = 'retired'
BEGIN
    UPDATE provider_keys SET key_sealed = X'', data_key = X'', kek = '', form = 0, retire_at = NULL,
        retired_at = COALESCE(NEW.retired_at, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')) WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER provider_credentials_displaced;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_displaced BEFORE INSERT ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', id FROM provider_credentials WHERE workspace_id = NEW.workspace_id AND name = NEW.name AND id <> NEW.id;
END;
-- +goose StatementEnd
DROP TRIGGER provider_credentials_end;
DROP TRIGGER provider_credentials_updated;
ALTER TABLE provider_credentials ADD COLUMN key_sealed BLOB NOT NULL DEFAULT X'';
ALTER TABLE provider_credentials ADD COLUMN data_key BLOB NOT NULL DEFAULT X'';
ALTER TABLE provider_credentials ADD COLUMN key_last4 TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_credentials ADD COLUMN key_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE provider_credentials ADD COLUMN kek TEXT NOT NULL DEFAULT '';
ALTER TABLE provider_credentials ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
-- Of keys that were added since, the version before knows nothing: they are lost.
UPDATE provider_credentials SET key_sealed = k.key_sealed, data_key = k.data_key, key_last4 = k.key_last4, key_version = k.version, kek = k.kek, form = k.form
    FROM provider_keys k WHERE k.id = provider_credentials.id;
-- +goose StatementBegin
CREATE TRIGGER provider_credentials_updated AFTER UPDATE OF id, tenant_id, workspace_id, name, kind, base_url, key_sealed, key_version ON provider_credentials
BEGIN
    INSERT INTO changes (kind, id) SELECT 'provider', OLD.id UNION SELECT 'provider', NEW.id;
END;
-- +goose StatementEnd
DROP TABLE provider_keys;
