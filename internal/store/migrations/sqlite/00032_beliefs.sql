-- +goose Up
-- What a person stated or decided, kept for them alone. Each has a key of their own, under
-- which it is sealed: without the key, nothing opens.
CREATE TABLE belief_keys (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    sealed     BLOB NOT NULL,
    data_key   BLOB NOT NULL,
    kek        TEXT NOT NULL DEFAULT '',
    form       INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX belief_keys_by_user ON belief_keys (user_id);

CREATE TABLE beliefs (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    workspace_id  TEXT NOT NULL, -- of the token that it came by
    scope         TEXT NOT NULL, -- user:universal, domain:NAME or project:NAME
    type          TEXT NOT NULL CHECK (type IN ('preference', 'decision', 'entity', 'relation', 'open_question')),
    status        TEXT NOT NULL CHECK (status IN ('active', 'inferred', 'exploratory', 'superseded')),
    name_hash     TEXT NOT NULL, -- HMAC of workspace, scope, type and folded name, under the person's key
    confidence    REAL NOT NULL,
    sealed        BLOB NOT NULL, -- name, aliases, content, why, excerpt
    sealed_by     TEXT NOT NULL, -- id of the key
    line          TEXT NOT NULL, -- the first of those that took each other's place
    supersedes    TEXT NOT NULL DEFAULT '',
    superseded_by TEXT NOT NULL DEFAULT '',
    contradicts   TEXT NOT NULL DEFAULT '',
    request       TEXT NOT NULL DEFAULT '', -- X-Request-Id that it came of
    token_id      TEXT NOT NULL DEFAULT '',
    model         TEXT NOT NULL DEFAULT '',
    version       INTEGER NOT NULL DEFAULT 1,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
) STRICT;
CREATE INDEX beliefs_by_user ON beliefs (tenant_id, user_id, id);
CREATE INDEX beliefs_by_name ON beliefs (tenant_id, user_id, name_hash, id);
CREATE INDEX beliefs_by_line ON beliefs (tenant_id, user_id, line, id);
CREATE INDEX beliefs_by_workspace ON beliefs (workspace_id);

-- Turns out of which beliefs are to be drawn. What was said is deleted with the work.
CREATE TABLE belief_jobs (
    id            TEXT PRIMARY KEY, -- X-Request-Id of the turn
    tenant_id     TEXT NOT NULL,
    user_id       TEXT NOT NULL,
    workspace_id  TEXT NOT NULL,
    token_id      TEXT NOT NULL,
    scope         TEXT NOT NULL,
    state         TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'finished', 'failed')),
    sealed        BLOB NOT NULL, -- what was said; empty once it is over
    sealed_by     TEXT NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    next_try_at   TEXT,
    holder        TEXT NOT NULL DEFAULT '',
    lease_ends_at TEXT,
    found         INTEGER NOT NULL DEFAULT 0,
    error         TEXT NOT NULL DEFAULT '', -- code of why it failed last
    created_at    TEXT NOT NULL,
    ended_at      TEXT
) STRICT;
CREATE INDEX belief_jobs_waiting ON belief_jobs (id) WHERE state IN ('waiting', 'running');
CREATE INDEX belief_jobs_by_user ON belief_jobs (user_id);
CREATE INDEX belief_jobs_ended ON belief_jobs (ended_at) WHERE ended_at IS NOT NULL;

-- When beliefs are drawn out of turns, as a workspace, a person or a token says.
CREATE TABLE extraction_settings (
    subject_kind TEXT NOT NULL CHECK (subject_kind IN ('workspace', 'user', 'token')),
    subject_id   TEXT NOT NULL,
    tenant_id    TEXT NOT NULL,
    extraction   TEXT NOT NULL,
    model        TEXT NOT NULL DEFAULT '', -- of a workspace: which is asked
    updated_at   TEXT NOT NULL,
    updated_by   TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (subject_kind, subject_id)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER beliefs_inserted AFTER INSERT ON beliefs
BEGIN
    INSERT INTO changes (kind, id) VALUES ('belief', NEW.user_id || '/' || NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER beliefs_updated AFTER UPDATE ON beliefs
BEGIN
    INSERT INTO changes (kind, id) SELECT 'belief', OLD.user_id || '/' || OLD.id UNION SELECT 'belief', NEW.user_id || '/' || NEW.id;
END;
-- +goose StatementEnd
-- Of all that go with their key, its own trigger tells.
-- +goose StatementBegin
CREATE TRIGGER beliefs_deleted AFTER DELETE ON beliefs WHEN EXISTS (SELECT 1 FROM belief_keys WHERE id = OLD.sealed_by)
BEGIN
    INSERT INTO changes (kind, id) VALUES ('belief', OLD.user_id || '/' || OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER belief_keys_deleted AFTER DELETE ON belief_keys
BEGIN
    DELETE FROM beliefs WHERE user_id = OLD.user_id;
    DELETE FROM belief_jobs WHERE user_id = OLD.user_id;
    INSERT INTO changes (kind, id) VALUES ('belief', OLD.user_id || '/');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER belief_jobs_inserted AFTER INSERT ON belief_jobs
BEGIN
    INSERT INTO changes (kind, id) VALUES ('extraction', NEW.user_id || '/' || NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER belief_jobs_updated AFTER UPDATE OF state ON belief_jobs
BEGIN
    INSERT INTO changes (kind, id) VALUES ('extraction', NEW.user_id || '/' || NEW.id);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER extraction_settings_inserted AFTER INSERT ON extraction_settings
BEGIN
    INSERT INTO changes (kind, id) VALUES (NEW.subject_kind, NEW.subject_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER extraction_settings_updated AFTER UPDATE ON extraction_settings
BEGIN
    INSERT INTO changes (kind, id) SELECT OLD.subject_kind, OLD.subject_id UNION SELECT NEW.subject_kind, NEW.subject_id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER extraction_settings_deleted AFTER DELETE ON extraction_settings
BEGIN
    INSERT INTO changes (kind, id) VALUES (OLD.subject_kind, OLD.subject_id);
END;
-- +goose StatementEnd

-- Whoever is deactivated has nothing drawn out any more; of whoever is deleted nothing stays.
-- +goose StatementBegin
CREATE TRIGGER users_end_extraction AFTER UPDATE OF active, deleted_at ON users WHEN NEW.active = 0 OR NEW.deleted_at IS NOT NULL
BEGIN
    DELETE FROM belief_jobs WHERE user_id = NEW.id;
    DELETE FROM belief_keys WHERE user_id = NEW.id AND NEW.deleted_at IS NOT NULL;
    DELETE FROM extraction_settings WHERE subject_kind = 'user' AND subject_id = NEW.id AND NEW.deleted_at IS NOT NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_delete_beliefs AFTER DELETE ON users
BEGIN
    DELETE FROM belief_jobs WHERE user_id = OLD.id;
    DELETE FROM belief_keys WHERE user_id = OLD.id;
    DELETE FROM extraction_settings WHERE subject_kind = 'user' AND subject_id = OLD.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER workspaces_delete_beliefs AFTER UPDATE OF deleted_at ON workspaces WHEN NEW.deleted_at IS NOT NULL
BEGIN
    DELETE FROM belief_jobs WHERE workspace_id = NEW.id;
    DELETE FROM beliefs WHERE workspace_id = NEW.id;
    DELETE FROM extraction_settings WHERE subject_kind = 'workspace' AND subject_id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER workspaces_delete_beliefs;
DROP TRIGGER users_delete_beliefs;
DROP TRIGGER users_end_extraction;
DROP TABLE extraction_settings;
DROP TABLE belief_jobs;
DROP TABLE belief_keys;
DROP TABLE beliefs;
