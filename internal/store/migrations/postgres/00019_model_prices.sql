-- +goose Up
-- What the tokens of models cost, in millionths of the installation's currency for a
-- million tokens, from a day on. Tenant '': of every tenant that has no own that fits.
CREATE TABLE model_prices (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    pattern     text COLLATE "C" NOT NULL, -- of the models, as gpt-4o* or anthropic/*
    from_day    bigint NOT NULL, -- since 1970, UTC
    input       bigint NOT NULL,
    cache_read  bigint NOT NULL,
    cache_write bigint NOT NULL,
    output      bigint NOT NULL,
    created_by  text COLLATE "C" NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX model_prices_by_pattern ON model_prices (tenant_id, pattern, from_day);

-- What it cost by the prices that were in force when it was written, and how many of
-- the requests had none. What was written before there were prices has none.
ALTER TABLE model_usage ADD COLUMN spend bigint NOT NULL DEFAULT 0; -- millionths
ALTER TABLE model_usage ADD COLUMN unpriced bigint NOT NULL DEFAULT 0; -- of the requests
UPDATE model_usage SET unpriced = requests;

ALTER TABLE model_prices ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON model_prices
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

CREATE TRIGGER model_prices_inserted AFTER INSERT ON model_prices
    FOR EACH ROW EXECUTE FUNCTION tenure_change('price', 'tenant_id');
CREATE TRIGGER model_prices_updated AFTER UPDATE ON model_prices
    FOR EACH ROW EXECUTE FUNCTION tenure_change('price', 'tenant_id');
CREATE TRIGGER model_prices_deleted AFTER DELETE ON model_prices
    FOR EACH ROW EXECUTE FUNCTION tenure_change('price', 'tenant_id');
CREATE TRIGGER model_prices_truncated BEFORE TRUNCATE ON model_prices EXECUTE FUNCTION tenure_truncate();

-- +goose Down
ALTER TABLE model_usage DROP COLUMN unpriced;
ALTER TABLE model_usage DROP COLUMN spend;
DROP TABLE model_prices;
