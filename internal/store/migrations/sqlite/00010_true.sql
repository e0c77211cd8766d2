-- +goose Up
-- Queries say TRUE, as PostgreSQL reads it: an index serves those that say the same.
DROP INDEX users_super;
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = TRUE AND deleted_at IS NULL;

-- +goose Down
DROP INDEX users_super;
CREATE INDEX users_super ON users (tenant_id) WHERE role = 'super_admin' AND active = 1 AND deleted_at IS NULL;
