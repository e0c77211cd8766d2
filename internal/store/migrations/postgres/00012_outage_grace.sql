-- +goose Up
-- How long the tokens of a workspace go on while the database is away, in seconds;
-- 0: no longer than everybody. The policy best_effort_max bounds it.
ALTER TABLE workspaces ADD COLUMN outage_grace_seconds bigint NOT NULL DEFAULT 0;

DROP TRIGGER workspaces_updated ON workspaces;
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at, outage_grace_seconds ON workspaces
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'id');

-- +goose Down
DROP TRIGGER workspaces_updated ON workspaces;
CREATE TRIGGER workspaces_updated AFTER UPDATE OF id, tenant_id, name, models, deleted_at ON workspaces
    FOR EACH ROW EXECUTE FUNCTION tenure_change('workspace', 'id');
ALTER TABLE workspaces DROP COLUMN outage_grace_seconds;
