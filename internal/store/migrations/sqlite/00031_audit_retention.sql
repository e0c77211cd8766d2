-- +goose Up
-- An event that retention removed leaves its leaf, which names the event that tells of it.
ALTER TABLE audit_leaves ADD COLUMN told_by TEXT; -- NULL: the event is there
CREATE INDEX audit_leaves_told_by ON audit_leaves (told_by) WHERE told_by IS NOT NULL;

-- While a legal hold of a tenant is in force, nothing of its log is removed or erased.
CREATE TABLE audit_holds (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    matter         TEXT NOT NULL,
    placed_at      TEXT NOT NULL,
    placed_by      TEXT NOT NULL DEFAULT '',
    released_at    TEXT, -- NULL: it is in force
    released_by    TEXT NOT NULL DEFAULT '',
    release_reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX audit_holds_by_tenant ON audit_holds (tenant_id, placed_at);

-- Events are removed through this view, those of the given numbers (a JSON array) and only
-- where an event tells of as many of the same tenant.
CREATE VIEW audit_removing (told_by, seqs) AS SELECT told_by, '' FROM audit_leaves WHERE 0;

-- +goose StatementBegin
CREATE TRIGGER audit_removing_insert INSTEAD OF INSERT ON audit_removing BEGIN
    SELECT RAISE(ABORT, 'a legal hold is in force') WHERE EXISTS (SELECT 1 FROM audit_holds h JOIN audit_events t ON t.tenant_id = h.tenant_id
        WHERE t.id = NEW.told_by AND h.released_at IS NULL);
    SELECT RAISE(ABORT, 'an event tells of that already') WHERE EXISTS (SELECT 1 FROM audit_leaves WHERE told_by = NEW.told_by);
    UPDATE audit_leaves SET told_by = NEW.told_by WHERE told_by IS NULL AND seq IN (SELECT value FROM json_each(NEW.seqs))
        AND EXISTS (SELECT 1 FROM audit_events e JOIN audit_events t ON t.tenant_id = e.tenant_id WHERE e.seq = audit_leaves.seq
            AND e.action NOT IN ('audit.erased', 'audit.events_removed', 'audit.hold_placed', 'audit.hold_released', 'audit.began_anew', 'audit.history_replaced', 'audit.fault_found', 'audit_key.made', 'audit_key.rotated', 'backup.restored')
            AND t.id = NEW.told_by AND t.action = 'audit.events_removed' AND CAST(json_extract(t.detail, '$.count') AS INTEGER) = json_array_length(NEW.seqs));
    SELECT RAISE(ABORT, 'no event tells that they are removed') WHERE changes() = 0 OR changes() <> json_array_length(NEW.seqs);
    DELETE FROM audit_events WHERE seq IN (SELECT seq FROM audit_leaves WHERE told_by = NEW.told_by);
END;
-- +goose StatementEnd

-- +goose Down
DROP VIEW audit_removing;
DROP TABLE audit_holds;
DROP INDEX audit_leaves_told_by;
ALTER TABLE audit_leaves DROP COLUMN told_by;
