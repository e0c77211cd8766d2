-- +goose Up
-- Sessions end when a role in the tenant changes.

-- What a browser may do does not grow, or shrink, behind an old cookie: whoever has
-- a new role signs in anew. Also when the role was typed by hand.
-- +goose StatementBegin
CREATE TRIGGER users_role_ends_sessions AFTER UPDATE OF role ON users WHEN NEW.role <> OLD.role
BEGIN
    UPDATE sessions SET ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), ended_by = 'database', ended_reason = 'role changed'
        WHERE user_id = NEW.id AND ended_at IS NULL;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER users_role_ends_sessions;
