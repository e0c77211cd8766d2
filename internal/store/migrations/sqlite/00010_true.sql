-- +goose Up
-- Queries say TRUE, as PostgreSQL reads it: an index serves those that say the same.
DROP INDEX users_super;
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = TRUE AND deleted_at IS NULL;

-- What a mapping means is authority; who made it, and when, is not.
DROP TRIGGER workspace_groups_updated;
-- +goose StatementBegin
CREATE TRIGGER workspace_groups_updated AFTER UPDATE OF tenant_id, workspace_id, group_id, role ON workspace_groups
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.workspace_id UNION SELECT 'workspace', NEW.workspace_id;
END;
-- +goose StatementEnd

-- A backup has it too, another installation has not.
INSERT INTO meta (key, value) VALUES ('install.id', lower(hex(randomblob(16))));

-- +goose Down
DELETE FROM meta WHERE key = 'install.id';
DROP INDEX users_super;
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = 1 AND deleted_at IS NULL;
