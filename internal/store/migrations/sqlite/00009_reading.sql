-- +goose Up
-- One request is followed through the audit log.
CREATE INDEX audit_events_by_request ON audit_events (tenant_id, request_id) WHERE request_id <> '';

-- +goose Down
DROP INDEX audit_events_by_request;
