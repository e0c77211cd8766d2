-- +goose Up
-- Queries say TRUE, as PostgreSQL reads it: an index serves those that say the same.
DROP INDEX users_super;
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = TRUE AND deleted_at IS NULL;

-- A backup has it too, another installation has not.
INSERT INTO meta (key, value) VALUES ('install.id', lower(hex(randomblob(16))));

-- +goose Down
DELETE FROM meta WHERE key = 'install.id';
DROP INDEX users_super;
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = 1 AND deleted_at IS NULL;
