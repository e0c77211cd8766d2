-- +goose Up
-- A service account whose owner is gone is an orphan until somebody else owns it.
ALTER TABLE service_accounts ADD COLUMN orphaned_at TEXT;
CREATE INDEX service_accounts_by_owner ON service_accounts (owner_user_id);

-- +goose StatementBegin
CREATE TRIGGER users_orphan_on_update AFTER UPDATE OF active, deleted_at ON users WHEN NEW.active = 0 OR NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE service_accounts SET orphaned_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE owner_user_id = NEW.id AND orphaned_at IS NULL;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER users_orphan_on_delete AFTER DELETE ON users
BEGIN
    UPDATE service_accounts SET orphaned_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
        WHERE owner_user_id = OLD.id AND orphaned_at IS NULL;
END;
-- +goose StatementEnd

-- A new owner ends it; the old one's return does not.
-- +goose StatementBegin
CREATE TRIGGER service_accounts_adopted AFTER UPDATE OF owner_user_id ON service_accounts WHEN NEW.owner_user_id <> OLD.owner_user_id
BEGIN
    UPDATE service_accounts SET orphaned_at = NULL WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER service_accounts_adopted;
DROP TRIGGER users_orphan_on_delete;
DROP TRIGGER users_orphan_on_update;
DROP INDEX service_accounts_by_owner;
ALTER TABLE service_accounts DROP COLUMN orphaned_at;
