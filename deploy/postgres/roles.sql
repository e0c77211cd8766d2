-- Who may do what in Tenure's database: two roles, so that the server which answers
-- requests can neither change the schema nor step around row-level security.
--
--   tenure_owner  owns the schema and all that is in it; it migrates, and nothing else
--   tenure_app    reads and writes rows, of one tenant at a time; it serves
--
-- Run it with psql as a superuser, or as the owner of the database who may make
-- roles, before the first migration. It may run again at any time: it brings all to
-- the same state.
--
--   export TENURE_OWNER_PASSWORD=… TENURE_APP_PASSWORD=…
--   psql -X -f roles.sql postgres://postgres@db.example.com/tenure
--
-- Variables of psql, set with -v or taken from the environment:
--   owner_password, app_password   of the roles; without one the password stays as it
--                                  is (a certificate or Kerberos needs none). The
--                                  server's log has them if it logs DDL.
--   schema                         where the tables are; public unless it is set. The
--                                  schema is Tenure's alone.
--
-- Then migrate as tenure_owner and serve as tenure_app.
\set ON_ERROR_STOP on
\set QUIET on

\if :{?schema}
\else
    \set schema public
\endif
\if :{?owner_password}
\else
    \getenv owner_password TENURE_OWNER_PASSWORD
\endif
\if :{?app_password}
\else
    \getenv app_password TENURE_APP_PASSWORD
\endif

BEGIN;

SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['tenure_owner', 'tenure_app']) AS name
    WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name) \gexec

-- Superuser, replication and BYPASSRLS a role has only if somebody gave them: to
-- take them away needs a superuser, to leave them away nobody.
SELECT format('ALTER ROLE %I NOSUPERUSER NOREPLICATION NOBYPASSRLS', rolname) FROM pg_roles
    WHERE rolname IN ('tenure_owner', 'tenure_app') AND (rolsuper OR rolreplication OR rolbypassrls) \gexec
ALTER ROLE tenure_owner LOGIN NOCREATEDB NOCREATEROLE;
ALTER ROLE tenure_app LOGIN NOCREATEDB NOCREATEROLE;
\if :{?owner_password}
    ALTER ROLE tenure_owner PASSWORD :'owner_password';
\endif
\if :{?app_password}
    ALTER ROLE tenure_app PASSWORD :'app_password';
\endif

-- The app is a member of no other role.
SELECT format('REVOKE %I FROM tenure_app', r.rolname) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid
    WHERE m.member = 'tenure_app'::regrole \gexec

-- Whoever runs this without being a superuser must be able to act as the owner.
SELECT format('GRANT tenure_owner TO %I', rolname) FROM pg_roles
    WHERE rolname = current_user AND rolname <> 'tenure_owner' AND NOT rolsuper \gexec

-- The database: to connect is all that anybody may. Temporary tables are for nobody.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC, tenure_app;
GRANT CONNECT ON DATABASE :"DBNAME" TO tenure_owner, tenure_app;

-- The schema: made if it is not there, and the owner's.
SELECT format('CREATE SCHEMA %I', :'schema') WHERE NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = :'schema') \gexec
ALTER SCHEMA :"schema" OWNER TO tenure_owner;
REVOKE ALL ON SCHEMA :"schema" FROM PUBLIC, tenure_app;
GRANT USAGE ON SCHEMA :"schema" TO tenure_app;
ALTER ROLE tenure_owner IN DATABASE :"DBNAME" SET search_path = :"schema";
ALTER ROLE tenure_app IN DATABASE :"DBNAME" SET search_path = :"schema";

-- What somebody else has migrated there before becomes the owner's, too. Indexes,
-- identities and triggers go with their tables.
SELECT format('ALTER %s %s OWNER TO tenure_owner', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, oid::regclass)
    FROM pg_class WHERE relnamespace = :'schema'::regnamespace AND relkind IN ('r', 'v') AND relowner <> 'tenure_owner'::regrole \gexec
SELECT format('ALTER FUNCTION %s OWNER TO tenure_owner', oid::regprocedure)
    FROM pg_proc WHERE pronamespace = :'schema'::regnamespace AND proname LIKE 'tenure\_%' AND proowner <> 'tenure_owner'::regrole \gexec

-- Rows, of tables that are there and of those that later migrations make: read and
-- written, never truncated, and no triggers or foreign keys on them. Row-level
-- security says which rows. The feed is written by its triggers alone, and the list
-- of migrations by their owner: there the app has no policy to write.
REVOKE ALL ON ALL TABLES IN SCHEMA :"schema" FROM PUBLIC, tenure_app;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA :"schema" FROM PUBLIC, tenure_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO tenure_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA :"schema" TO tenure_app;
-- The audit log is added to: who serves changes and removes nothing of it.
SELECT format('REVOKE UPDATE, DELETE ON %s FROM tenure_app', oid::regclass) FROM pg_class
    WHERE relnamespace = :'schema'::regnamespace AND relname IN ('audit_events', 'audit_leaves', 'audit_subtrees', 'audit_checkpoints') \gexec
SELECT format('REVOKE DELETE ON %s FROM tenure_app', oid::regclass) FROM pg_class
    WHERE relnamespace = :'schema'::regnamespace AND relname IN ('audit_keys', 'audit_holds') \gexec
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %s FROM tenure_app', oid::regclass) FROM pg_class
    WHERE relnamespace = :'schema'::regnamespace AND relname IN ('audit_checkpoints_before', 'audit_hold_locks') \gexec
ALTER DEFAULT PRIVILEGES FOR ROLE tenure_owner IN SCHEMA :"schema" REVOKE ALL ON TABLES FROM tenure_app;
ALTER DEFAULT PRIVILEGES FOR ROLE tenure_owner IN SCHEMA :"schema" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tenure_app;
ALTER DEFAULT PRIVILEGES FOR ROLE tenure_owner IN SCHEMA :"schema" GRANT USAGE, SELECT ON SEQUENCES TO tenure_app;

-- Functions are for triggers, which run with the owner's rights: nobody calls them.
ALTER DEFAULT PRIVILEGES FOR ROLE tenure_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

COMMIT;
