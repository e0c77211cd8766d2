-- +goose Up
-- Checkpoints of the audit log's tree as it was before it was begun anew.
CREATE TABLE audit_checkpoints_before (
    epoch TEXT NOT NULL, -- in which they were made; '': the first
    size  INTEGER NOT NULL, -- leaves
    at    TEXT NOT NULL,
    note  TEXT NOT NULL, -- signed
    PRIMARY KEY (epoch, size)
) STRICT;

-- +goose Down
DROP TABLE audit_checkpoints_before;
