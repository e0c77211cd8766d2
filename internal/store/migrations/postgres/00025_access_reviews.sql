-- +goose Up
-- Access reviews: everything that gives access, as it was at one instant, and what was
-- decided about it.
CREATE TABLE access_reviews (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    title       text COLLATE "C" NOT NULL,
    kinds       text COLLATE "C" NOT NULL DEFAULT '', -- of items, with spaces between; '': all
    workspaces  text COLLATE "C" NOT NULL DEFAULT '', -- likewise
    since_at    timestamptz NOT NULL, -- the beginning of the period
    opened_at   timestamptz NOT NULL,
    opened_by   text COLLATE "C" NOT NULL,
    automatic   boolean NOT NULL DEFAULT FALSE,
    due_at      timestamptz NOT NULL,
    second_due_at timestamptz NOT NULL,
    unanswered  text COLLATE "C" NOT NULL CHECK (unanswered IN ('escalate', 'revoke')),
    items       bigint NOT NULL DEFAULT 0,
    snapshot    text COLLATE "C" NOT NULL DEFAULT '', -- SHA-256 over the items as they were taken
    overdue_at  timestamptz, -- when what was unanswered was taken up
    closed_at   timestamptz,
    closed_by   text COLLATE "C" NOT NULL DEFAULT '',
    close_why   text COLLATE "C" NOT NULL DEFAULT '',
    report      text COLLATE "C" NOT NULL DEFAULT '' -- signed
);
CREATE INDEX access_reviews_by_tenant ON access_reviews (tenant_id, id);

-- What an item names may be gone: it tells of what was.
CREATE TABLE access_review_items (
    review         text COLLATE "C" NOT NULL,
    tenant_id      text COLLATE "C" NOT NULL,
    n              bigint NOT NULL, -- from 1
    kind           text COLLATE "C" NOT NULL,
    subject        text COLLATE "C" NOT NULL, -- id
    name           text COLLATE "C" NOT NULL DEFAULT '',
    person         text COLLATE "C" NOT NULL DEFAULT '', -- id: whose access it is; '': no person's
    workspace      text COLLATE "C" NOT NULL DEFAULT '', -- id
    workspace_name text COLLATE "C" NOT NULL DEFAULT '',
    granted        text COLLATE "C" NOT NULL DEFAULT '',
    source         text COLLATE "C" NOT NULL DEFAULT '',
    granted_at     timestamptz,
    granted_by     text COLLATE "C" NOT NULL DEFAULT '',
    last_used_at   timestamptz,
    expires_at     timestamptz,
    flags          text COLLATE "C" NOT NULL DEFAULT '', -- with spaces between
    reviewer       text COLLATE "C" NOT NULL DEFAULT '', -- id: who is to decide; '': any administrator
    decision       text COLLATE "C" NOT NULL DEFAULT '' CHECK (decision IN ('', 'keep', 'revoke', 'change', 'abstain')),
    reason         text COLLATE "C" NOT NULL DEFAULT '',
    changing       text COLLATE "C" NOT NULL DEFAULT '',
    change_owner   text COLLATE "C" NOT NULL DEFAULT '',
    change_due_at  timestamptz,
    decided_at     timestamptz,
    decided_by     text COLLATE "C" NOT NULL DEFAULT '',
    decider        text COLLATE "C" NOT NULL DEFAULT '', -- id
    together       bigint NOT NULL DEFAULT 0, -- how many were decided by the same act
    version        bigint NOT NULL DEFAULT 0, -- how often it was decided
    ended_at       timestamptz, -- what was revoked was tried, and is dead
    took_us        bigint NOT NULL DEFAULT 0, -- from the decision until then
    failure        text COLLATE "C" NOT NULL DEFAULT '',
    attempts       bigint NOT NULL DEFAULT 0,
    next_try_at    timestamptz,
    gone_at        timestamptz, -- it was found to be gone, or changed, before anybody decided
    gone_why       text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (review, n)
);
CREATE INDEX access_review_items_revoking ON access_review_items (next_try_at) WHERE decision = 'revoke' AND ended_at IS NULL AND gone_at IS NULL;
CREATE INDEX access_review_items_by_reviewer ON access_review_items (tenant_id, reviewer, review) WHERE reviewer <> '';

ALTER TABLE access_reviews ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON access_reviews
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

ALTER TABLE access_review_items ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON access_review_items
    USING (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*')
    WITH CHECK (tenant_id = NULLIF(current_setting('tenure.tenant', true), '') OR current_setting('tenure.tenant', true) = '*');

-- +goose Down
DROP TABLE access_review_items;
DROP TABLE access_reviews;
