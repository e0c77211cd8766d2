-- +goose Up
-- An event that retention removed leaves its leaf, which names the event that tells of it.
ALTER TABLE audit_leaves ADD COLUMN told_by text COLLATE "C"; -- NULL: the event is there
CREATE INDEX audit_leaves_told_by ON audit_leaves (told_by) WHERE told_by IS NOT NULL;

-- While a legal hold of a tenant is in force, nothing of its log is removed or erased.
CREATE TABLE audit_holds (
    id             text COLLATE "C" PRIMARY KEY,
    tenant_id      text COLLATE "C" NOT NULL,
    matter         text COLLATE "C" NOT NULL,
    placed_at      timestamptz NOT NULL,
    placed_by      text COLLATE "C" NOT NULL DEFAULT '',
    released_at    timestamptz, -- NULL: it is in force
    released_by    text COLLATE "C" NOT NULL DEFAULT '',
    release_reason text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX audit_holds_by_tenant ON audit_holds (tenant_id, placed_at);
ALTER TABLE audit_holds ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_holds
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

-- A row for each tenant of which a hold was placed, or something was removed or erased, to
-- wait at for each other. Only the functions below write it: if the serving role could
-- delete a row, nobody would wait there any more.
CREATE TABLE audit_hold_locks (tenant_id text COLLATE "C" PRIMARY KEY);

-- Events are removed through this view, those of the given numbers (a JSON array).
CREATE VIEW audit_removing (told_by, seqs) WITH (security_invoker = true) AS SELECT told_by, '' COLLATE "C" FROM audit_leaves WHERE FALSE;

-- As in 00010: the functions find this schema's tables and nobody else's; as in 00032, a day
-- has 24 hours.
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- A hold and what it forbids write the row of the tenant. So one waits for the other,
-- and a transaction that began before a hold was placed, and does not see it, fails.
-- +goose StatementBegin
CREATE FUNCTION tenure_audit_holding() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit_hold_locks VALUES (NEW.tenant_id) ON CONFLICT (tenant_id) DO UPDATE SET tenant_id = excluded.tenant_id;
        RETURN NEW;
    END IF;
    -- It is released, once, and an event of the same transaction tells of it; one of before
    -- may tell of a hold that a restore put in force again. Nothing else of it changes.
    IF OLD.released_at IS NOT NULL OR NEW.released_at IS NULL
        OR (NEW.id, NEW.tenant_id, NEW.matter, NEW.placed_at, NEW.placed_by) IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.matter, OLD.placed_at, OLD.placed_by)
        OR NOT EXISTS (SELECT 1 FROM audit_events WHERE tenant_id = OLD.tenant_id AND object_id = OLD.id AND action = 'audit.hold_released'
            AND xmin = pg_current_xact_id()::xid) THEN
        RAISE EXCEPTION 'a legal hold is released, and an event tells of it; nothing else of it changes' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_audit_holding() FROM PUBLIC;
CREATE TRIGGER audit_holds_change BEFORE INSERT OR UPDATE ON audit_holds FOR EACH ROW EXECUTE FUNCTION tenure_audit_holding();

-- Whoever may act as the owner restores, and erases again what was erased before a hold.
-- +goose StatementBegin
CREATE FUNCTION tenure_audit_held() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    of_tenant text := (SELECT tenant_id FROM audit_events WHERE id = NEW.told_by);
BEGIN
    IF of_tenant IS NULL THEN
        RAISE EXCEPTION 'no event tells of it' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit_hold_locks VALUES (of_tenant) ON CONFLICT (tenant_id) DO UPDATE SET tenant_id = excluded.tenant_id;
    IF EXISTS (SELECT 1 FROM audit_holds WHERE tenant_id = of_tenant AND released_at IS NULL)
        AND (TG_TABLE_NAME = 'audit_removing' OR NOT pg_has_role(session_user, current_user, 'MEMBER')) THEN
        RAISE EXCEPTION 'a legal hold is in force' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_audit_held() FROM PUBLIC;
CREATE TRIGGER audit_erasing_held INSTEAD OF INSERT ON audit_erasing FOR EACH ROW EXECUTE FUNCTION tenure_audit_held();
CREATE TRIGGER audit_removing_held INSTEAD OF INSERT ON audit_removing FOR EACH ROW EXECUTE FUNCTION tenure_audit_held();

-- Who serves may not remove events. They go through the view, with the owner's rights, and
-- only where an event of the same tenant tells of exactly those: by how many they are, by the
-- digest of their leaves, and by their first and last ids and times, as audit.EventsRemoved
-- writes them.
-- +goose StatementBegin
CREATE FUNCTION tenure_audit_removing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET timezone = 'UTC' SET search_path FROM CURRENT AS $$
DECLARE
    teller audit_events;
    chosen bigint[] := ARRAY(SELECT value::bigint FROM json_array_elements_text(NEW.seqs::json) LIMIT 1000);
    gone   jsonb;
    young  boolean;
BEGIN
    SELECT * INTO teller FROM audit_events WHERE id = NEW.told_by AND action = 'audit.events_removed';
    SELECT jsonb_build_object('count', count(*)::text, 'digest', encode(sha256(string_agg(l.hash, ''::bytea ORDER BY l.place)), 'hex'),
            'first', min(e.id), 'last', max(e.id),
            'oldest', replace(to_jsonb(min(e.at)) #>> '{}', '+00:00', 'Z'), 'newest', replace(to_jsonb(max(e.at)) #>> '{}', '+00:00', 'Z')),
            bool_or(e.at > now() - interval '2160 hours')
        INTO gone, young FROM audit_events e JOIN audit_leaves l ON l.seq = e.seq
        WHERE e.seq = ANY (chosen) AND e.tenant_id = teller.tenant_id AND l.told_by IS NULL AND l.place < (SELECT max(size) FROM audit_checkpoints)
        AND e.action NOT IN ('audit.erased', 'audit.events_removed', 'audit.hold_placed', 'audit.hold_released', 'audit.began_anew', 'audit.history_replaced', 'audit.fault_found', 'audit_key.made', 'audit_key.rotated', 'backup.restored');
    IF teller.id IS NULL OR cardinality(chosen) = 0 OR gone ->> 'count' <> cardinality(chosen)::text OR (teller.detail::jsonb @> gone) IS NOT TRUE THEN
        RAISE EXCEPTION 'no event tells that they are removed' USING ERRCODE = 'check_violation';
    END IF;
    IF young THEN
        RAISE EXCEPTION 'some are younger than 90 days, by the clock of the database' USING ERRCODE = 'check_violation';
    END IF;
    UPDATE audit_leaves SET told_by = teller.id WHERE seq = ANY (chosen);
    DELETE FROM audit_events WHERE seq = ANY (chosen);
    RETURN NEW;
END
$$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION tenure_audit_removing() FROM PUBLIC;
CREATE TRIGGER audit_removing_insert INSTEAD OF INSERT ON audit_removing FOR EACH ROW EXECUTE FUNCTION tenure_audit_removing();

-- Who serves places and releases holds, and removes none (deploy/postgres/roles.sql).
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_app') THEN
        REVOKE DELETE ON audit_holds FROM tenure_app;
        REVOKE INSERT, UPDATE, DELETE ON audit_hold_locks FROM tenure_app;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP VIEW audit_removing;
DROP TRIGGER audit_erasing_held ON audit_erasing;
DROP TABLE audit_holds;
DROP TABLE audit_hold_locks;
DROP FUNCTION tenure_audit_removing();
DROP FUNCTION tenure_audit_held();
DROP FUNCTION tenure_audit_holding();
DROP INDEX audit_leaves_told_by;
ALTER TABLE audit_leaves DROP COLUMN told_by;
