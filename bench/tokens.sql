-- Fills a migrated, empty PostgreSQL database with people and live tokens, without triggers:
--   psql -X -v people=100000 -v tokens=1000000 -f bench/tokens.sql "$TENURE_OPERATOR_URL"
\set ON_ERROR_STOP on
SET synchronous_commit = off;
SET session_replication_role = replica;
INSERT INTO users (id, tenant_id, user_name, user_name_fold, display_name, display_name_fold, external_id, source, created_at, updated_at)
SELECT 'u' || lpad(i::text, 7, '0'), 'default', 'user' || lpad(i::text, 7, '0') || '@example.com', 'user' || lpad(i::text, 7, '0') || '@example.com', 'User ' || i, 'user ' || i, 'ext' || i, 'scim', now(), now() FROM generate_series(1, :people) i;
INSERT INTO memberships (tenant_id, workspace_id, user_id, created_at) SELECT 'default', 'default', 'u' || lpad(i::text, 7, '0'), now() FROM generate_series(1, :people) i;
INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, name, kind, token_hash, token_prefix, scopes, created_at, expires_at, last_used_at)
SELECT 't' || lpad(i::text, 8, '0'), 'default', 'default', 'u' || lpad((1 + i % :people)::text, 7, '0'), 'bench', 'pat', encode(sha256(('bench' || i)::bytea), 'hex'), 'tpat_abcd', 'chat models',
    now() - (i % 400) * interval '1 day', now() + (1 + i % 365) * interval '1 day', CASE WHEN i % 3 = 0 THEN now() - (i % 90) * interval '1 day' END
FROM generate_series(1, :tokens) i;
SET session_replication_role = origin;
ANALYZE;
