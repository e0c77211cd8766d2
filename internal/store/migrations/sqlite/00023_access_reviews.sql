-- +goose Up
-- Access reviews: everything that gives access, as it was at one instant, and what was
-- decided about it.
CREATE TABLE access_reviews (
    id          TEXT PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    title       TEXT NOT NULL,
    kinds       TEXT NOT NULL DEFAULT '', -- of items, with spaces between; '': all
    workspaces  TEXT NOT NULL DEFAULT '', -- likewise
    since_at    TEXT NOT NULL, -- the beginning of the period
    opened_at   TEXT NOT NULL,
    opened_by   TEXT NOT NULL,
    automatic   INTEGER NOT NULL DEFAULT 0 CHECK (automatic IN (0, 1)),
    due_at      TEXT NOT NULL,
    second_due_at TEXT NOT NULL,
    unanswered  TEXT NOT NULL CHECK (unanswered IN ('escalate', 'revoke')),
    items       INTEGER NOT NULL DEFAULT 0,
    snapshot    TEXT NOT NULL DEFAULT '', -- SHA-256 over the items as they were taken
    overdue_at  TEXT, -- when what was unanswered was taken up
    closed_at   TEXT,
    closed_by   TEXT NOT NULL DEFAULT '',
    close_why   TEXT NOT NULL DEFAULT '',
    report      TEXT NOT NULL DEFAULT '' -- signed
) STRICT;
CREATE INDEX access_reviews_by_tenant ON access_reviews (tenant_id, id);

-- What an item names may be gone: it tells of what was.
CREATE TABLE access_review_items (
    review         TEXT NOT NULL,
    tenant_id      TEXT NOT NULL,
    n              INTEGER NOT NULL, -- from 1
    kind           TEXT NOT NULL,
    subject        TEXT NOT NULL, -- id
    name           TEXT NOT NULL DEFAULT '',
    person         TEXT NOT NULL DEFAULT '', -- id: whose access it is; '': no person's
    workspace      TEXT NOT NULL DEFAULT '', -- id
    workspace_name TEXT NOT NULL DEFAULT '',
    granted        TEXT NOT NULL DEFAULT '',
    source         TEXT NOT NULL DEFAULT '',
    granted_at     TEXT,
    granted_by     TEXT NOT NULL DEFAULT '',
    last_used_at   TEXT,
    expires_at     TEXT,
    flags          TEXT NOT NULL DEFAULT '', -- with spaces between
    reviewer       TEXT NOT NULL DEFAULT '', -- id: who is to decide; '': any administrator
    decision       TEXT NOT NULL DEFAULT '' CHECK (decision IN ('', 'keep', 'revoke', 'change', 'abstain')),
    reason         TEXT NOT NULL DEFAULT '',
    changing       TEXT NOT NULL DEFAULT '',
    change_owner   TEXT NOT NULL DEFAULT '',
    change_due_at  TEXT,
    decided_at     TEXT,
    decided_by     TEXT NOT NULL DEFAULT '',
    decider        TEXT NOT NULL DEFAULT '', -- id
    together       INTEGER NOT NULL DEFAULT 0, -- how many were decided by the same act
    version        INTEGER NOT NULL DEFAULT 0, -- how often it was decided
    ended_at       TEXT, -- what was revoked was tried, and is dead
    took_us        INTEGER NOT NULL DEFAULT 0, -- from the decision until then
    failure        TEXT NOT NULL DEFAULT '',
    attempts       INTEGER NOT NULL DEFAULT 0,
    next_try_at    TEXT,
    gone_at        TEXT, -- it was found to be gone, or changed, before anybody decided
    gone_why       TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (review, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX access_review_items_revoking ON access_review_items (next_try_at) WHERE decision = 'revoke' AND ended_at IS NULL AND gone_at IS NULL;
CREATE INDEX access_review_items_by_reviewer ON access_review_items (tenant_id, reviewer, review) WHERE reviewer <> '';

-- +goose Down
DROP TABLE access_review_items;
DROP TABLE access_reviews;
