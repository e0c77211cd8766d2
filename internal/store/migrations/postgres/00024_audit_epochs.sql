-- +goose Up
-- Checkpoints of the audit log's tree as it was before it was begun anew.
CREATE TABLE audit_checkpoints_before (
    epoch text COLLATE "C" NOT NULL, -- in which they were made; '': the first
    size  bigint NOT NULL, -- leaves
    at    timestamptz NOT NULL,
    note  text COLLATE "C" NOT NULL, -- signed
    PRIMARY KEY (epoch, size)
);

-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_app') THEN
        REVOKE INSERT, UPDATE, DELETE ON audit_checkpoints_before FROM tenure_app;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE audit_checkpoints_before;
