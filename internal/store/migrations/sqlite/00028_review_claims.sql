-- +goose Up
-- An item knows the group by which somebody is something in a workspace by its id: names
-- change. It knows whether somebody has given it to its reviewer, and until when
-- somebody is at it.
ALTER TABLE access_review_items ADD COLUMN via TEXT NOT NULL DEFAULT ''; -- id of the group; '': none, or an item of before
ALTER TABLE access_review_items ADD COLUMN given INTEGER NOT NULL DEFAULT 0 CHECK (given IN (0, 1));
ALTER TABLE access_review_items ADD COLUMN claimed_until TEXT;
CREATE INDEX access_review_items_undecided ON access_review_items (review, kind, n) WHERE gone_at IS NULL AND decision IN ('', 'abstain');
CREATE INDEX access_reviews_open ON access_reviews (id) WHERE closed_at IS NULL;

-- +goose Down
DROP INDEX access_reviews_open;
DROP INDEX access_review_items_undecided;
ALTER TABLE access_review_items DROP COLUMN claimed_until;
ALTER TABLE access_review_items DROP COLUMN given;
ALTER TABLE access_review_items DROP COLUMN via;
