-- +goose Up
-- What may be about a person is erased from an event through this view, and only where
-- an event tells of it.
CREATE VIEW audit_erasing (id, told_by, erased) AS SELECT id, id, erased FROM audit_events WHERE 0;

-- +goose StatementBegin
CREATE TRIGGER audit_erasing_insert INSTEAD OF INSERT ON audit_erasing BEGIN
    UPDATE audit_events SET actor_id = '', actor = '', object_id = '', object = '', reason = '', address = '', detail = '{}', salt = NULL, erased = NEW.erased
        WHERE id = NEW.id AND erased IS NULL AND action NOT IN ('audit.erased', 'audit.events_removed', 'audit.hold_placed', 'audit.hold_released', 'audit.began_anew', 'audit.history_replaced', 'audit.fault_found', 'audit_key.made', 'audit_key.rotated', 'backup.restored')
        AND EXISTS (SELECT 1 FROM audit_events t WHERE t.id = NEW.told_by AND t.action = 'audit.erased' AND t.tenant_id = audit_events.tenant_id
            AND instr(json_extract(t.detail, '$.events'), NEW.id) > 0);
    SELECT RAISE(ABORT, 'the event is erased already, or no event tells that it is') WHERE changes() <> 1;
END;
-- +goose StatementEnd

-- +goose Down
DROP VIEW audit_erasing;
