-- +goose Up
CREATE TABLE groups (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL,
    display_name      TEXT NOT NULL,
    display_name_fold TEXT NOT NULL,
    external_id       TEXT NOT NULL DEFAULT '',
    profile           TEXT NOT NULL DEFAULT '{}',
    version           INTEGER NOT NULL DEFAULT 1,
    created_at        TEXT NOT NULL,
    updated_at        TEXT NOT NULL,
    UNIQUE (tenant_id, display_name_fold)
) STRICT;
CREATE INDEX groups_by_tenant ON groups (tenant_id, id);
CREATE INDEX groups_by_external_id ON groups (tenant_id, external_id, id) WHERE external_id <> '';

-- One row a member: changes that run at once lose nobody.
CREATE TABLE group_members (
    group_id TEXT NOT NULL,
    user_id  TEXT NOT NULL,
    added_at TEXT NOT NULL,
    PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_user ON group_members (user_id, group_id);

-- The e-mail addresses of users.profile, to be searched; kept by the store in
-- the transaction that writes the profile.
CREATE TABLE user_emails (
    user_id    TEXT NOT NULL,
    n          INTEGER NOT NULL,
    type_fold  TEXT NOT NULL,
    value_fold TEXT NOT NULL,
    PRIMARY KEY (user_id, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_emails_by_value ON user_emails (value_fold, user_id);
INSERT INTO user_emails (user_id, n, type_fold, value_fold)
    SELECT u.id, e.key, lower(COALESCE(e.value ->> 'type', '')), lower(COALESCE(e.value ->> 'value', ''))
    FROM users u, json_each(CASE WHEN json_valid(u.profile) AND json_type(u.profile, '$.emails') = 'array' THEN u.profile ELSE '{}' END, '$.emails') e
    WHERE u.deleted_at IS NULL AND e.type = 'object';

ALTER TABLE users ADD COLUMN display_name_fold TEXT NOT NULL DEFAULT '';
UPDATE users SET display_name_fold = lower(display_name);
CREATE INDEX users_by_tenant ON users (tenant_id, id) WHERE deleted_at IS NULL; -- lists come in this order
CREATE INDEX users_by_display_name ON users (tenant_id, display_name_fold, id) WHERE deleted_at IS NULL;
DROP INDEX users_by_external_id; -- with the id it gives the order too, and is chosen for it
CREATE INDEX users_by_external_id ON users (tenant_id, external_id, id) WHERE external_id <> '';

-- A name that a hand has written is found too.
-- +goose StatementBegin
CREATE TRIGGER users_shown_on_insert AFTER INSERT ON users WHEN NEW.display_name <> '' AND NEW.display_name_fold = ''
BEGIN
    UPDATE users SET display_name_fold = lower(NEW.display_name) WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_shown_on_update AFTER UPDATE OF display_name ON users
    WHEN NEW.display_name <> OLD.display_name AND NEW.display_name_fold = OLD.display_name_fold AND lower(NEW.display_name) <> lower(OLD.display_name)
BEGIN
    UPDATE users SET display_name_fold = lower(NEW.display_name) WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- Whoever is deleted is in no group, whichever way it was done.
-- +goose StatementBegin
CREATE TRIGGER users_leave_on_tombstone AFTER UPDATE OF deleted_at ON users WHEN NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE groups SET version = version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
        WHERE id IN (SELECT group_id FROM group_members WHERE user_id = NEW.id);
    DELETE FROM group_members WHERE user_id = NEW.id;
    DELETE FROM user_emails WHERE user_id = NEW.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_leave_on_delete AFTER DELETE ON users
BEGIN
    UPDATE groups SET version = version + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
        WHERE id IN (SELECT group_id FROM group_members WHERE user_id = OLD.id);
    DELETE FROM group_members WHERE user_id = OLD.id;
    DELETE FROM user_emails WHERE user_id = OLD.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER groups_end_on_delete AFTER DELETE ON groups
BEGIN
    DELETE FROM group_members WHERE group_id = OLD.id;
END;
-- +goose StatementEnd

-- +goose Down
-- There is no way down: memberships would be lost.
