-- +goose Up
-- What the tokens of models cost, in millionths of the installation's currency for a
-- million tokens, from a day on. Tenant '': of every tenant that has no own that fits.
CREATE TABLE model_prices (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    pattern     TEXT NOT NULL, -- of the models, as gpt-4o* or anthropic/*
    from_day    INTEGER NOT NULL, -- since 1970, UTC
    input       INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    output      INTEGER NOT NULL,
    created_by  TEXT NOT NULL DEFAULT '',
    created_at  TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX model_prices_by_pattern ON model_prices (tenant_id, pattern, from_day);

-- What it cost by the prices that were in force when it was written, and how many of
-- the requests had none. What was written before there were prices has none.
ALTER TABLE model_usage ADD COLUMN spend INTEGER NOT NULL DEFAULT 0; -- millionths
ALTER TABLE model_usage ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0; -- of the requests
UPDATE model_usage SET unpriced = requests;

-- +goose StatementBegin
CREATE TRIGGER model_prices_inserted AFTER INSERT ON model_prices
BEGIN
    INSERT INTO changes (kind, id) VALUES ('price', NEW.tenant_id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER model_prices_updated AFTER UPDATE ON model_prices
BEGIN
    INSERT INTO changes (kind, id) SELECT 'price', OLD.tenant_id UNION SELECT 'price', NEW.tenant_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER model_prices_deleted AFTER DELETE ON model_prices
BEGIN
    INSERT INTO changes (kind, id) VALUES ('price', OLD.tenant_id);
END;
-- +goose StatementEnd

-- +goose Down
ALTER TABLE model_usage DROP COLUMN unpriced;
ALTER TABLE model_usage DROP COLUMN spend;
DROP TABLE model_prices;
