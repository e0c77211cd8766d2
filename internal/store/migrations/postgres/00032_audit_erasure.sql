-- +goose Up
-- Who serves may not change events. What may be about a person is erased from one through
-- this view, with the owner's rights, and only where an event of the same tenant tells of
-- it; of the last 90 days only by who may act as the owner.
CREATE VIEW audit_erasing (id, told_by, erased) WITH (security_invoker = true) AS SELECT id, id, erased FROM audit_events WHERE FALSE;

-- As in 00010: the function finds this schema's tables and nobody else's. And a day has 24
-- hours: of 90 that are counted by a calendar, who sets the session's time zone makes 76.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
-- +goose StatementBegin
CREATE FUNCTION tenure_audit_erasing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    teller audit_events;
    event  audit_events;
BEGIN
    SELECT * INTO teller FROM audit_events WHERE id = NEW.told_by AND action = 'audit.erased';
    SELECT * INTO event FROM audit_events WHERE id = NEW.id AND tenant_id = teller.tenant_id FOR UPDATE;
    IF event.id IS NULL OR event.action IN ('audit.erased', 'audit.events_removed', 'audit.hold_placed', 'audit.hold_released', 'audit.began_anew', 'audit.history_replaced', 'audit.fault_found', 'audit_key.made', 'audit_key.rotated', 'backup.restored')
        OR (NEW.id = ANY (string_to_array(teller.detail::jsonb ->> 'events', ' '))) IS NOT TRUE OR octet_length(NEW.erased) IS DISTINCT FROM 32 THEN
        RAISE EXCEPTION 'no event tells that % is erased', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF event.erased IS NOT NULL THEN
        RAISE EXCEPTION '% is erased already', NEW.id USING ERRCODE = 'serialization_failure';
    END IF;
    IF event.at > now() - interval '2160 hours' AND NOT pg_has_role(session_user, current_user, 'MEMBER') THEN
        RAISE EXCEPTION '% is younger than 90 days', NEW.id USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE audit_events SET actor_id = '', actor = '', object_id = '', object = '', reason = '', address = '', detail = '{}', salt = NULL, erased = NEW.erased
        WHERE seq = event.seq;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_audit_erasing() FROM PUBLIC;
CREATE TRIGGER audit_erasing_insert INSTEAD OF INSERT ON audit_erasing FOR EACH ROW EXECUTE FUNCTION tenure_audit_erasing();

-- +goose Down
DROP VIEW audit_erasing;
DROP FUNCTION tenure_audit_erasing();
