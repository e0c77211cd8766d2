-- +goose Up
-- How long the tokens of a workspace go on while the database is away, in seconds;
-- 0: no longer than everybody. The policy best_effort_max bounds it.
ALTER TABLE workspaces ADD COLUMN outage_grace_seconds INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER workspaces_updated;
-- +goose StatementBegin
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at, outage_grace_seconds ON workspaces
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.id UNION SELECT 'workspace', NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER workspaces_updated;
-- +goose StatementBegin
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at ON workspaces
BEGIN
    INSERT INTO changes (kind, id) SELECT 'workspace', OLD.id UNION SELECT 'workspace', NEW.id;
END;
-- +goose StatementEnd
ALTER TABLE workspaces DROP COLUMN outage_grace_seconds;
