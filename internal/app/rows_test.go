package app

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A hand writes rows past the product, as an operator would: so a test has
// whatever it needs, in every state, whichever acts there are.
type hand struct {
	t      testing.TB
	db     *sql.DB
	tables string // asks for the names of the tables that know tenants
	n      atomic.Int64
}

func (in *installation) hand() *hand {
	in.t.Helper()
	driver, source := "sqlite", "file:"+in.Config.Database+"?_pragma=busy_timeout(20000)&_pragma=synchronous(0)&_txlock=immediate"
	tables := "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c ON c.name = 'tenant_id' WHERE m.type = 'table' ORDER BY 1"
	if in.super != "" {
		driver, source = "pgx", in.super
		tables = "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant_id' ORDER BY 1"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		in.t.Fatal(err)
	}
	db.SetMaxOpenConns(2)
	in.t.Cleanup(func() { _ = db.Close() })
	return &hand{t: in.t, db: db, tables: tables}
}

// A row is one row to be written.
type row struct {
	table  string
	values map[string]any
}

// write writes rows in one transaction.
func (h *hand) write(rows ...row) {
	tx, err := h.db.Begin()
	if err != nil {
		h.t.Error(err)
		return
	}
	for _, r := range rows {
		columns := slices.Sorted(maps.Keys(r.values))
		var args []any
		var places []string
		for i, c := range columns {
			args = append(args, r.values[c])
			places = append(places, fmt.Sprintf("$%d", i+1))
		}
		query := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", r.table, strings.Join(columns, ", "), strings.Join(places, ", "))
		if _, err := tx.Exec(query, args...); err != nil {
			_ = tx.Rollback()
			h.t.Errorf("%s: %v", query, err)
			return
		}
	}
	if err := tx.Commit(); err != nil {
		h.t.Error(err)
	}
}

// change runs one statement.
func (h *hand) change(statement string, args ...any) {
	if _, err := h.db.Exec(statement, args...); err != nil {
		h.t.Errorf("%s: %v", statement, err)
	}
}

// count gives the number that a query asks for.
func (h *hand) count(query string, args ...any) int {
	h.t.Helper()
	n := 0
	if err := h.db.QueryRow(query, args...).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func at(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func id() string { return tenure.NewID(time.Now()) }

// name gives a name that nobody has, with the marker in it.
func (h *hand) name(marker, what string) string {
	return fmt.Sprintf("%s-%s-%d", marker, what, h.n.Add(1))
}

// tenant writes a tenant with its default workspace.
func (h *hand) tenant(id, marker string) {
	now := at(time.Now())
	h.write(row{"tenants", map[string]any{"id": id, "name": h.name(marker, "tenant"), "created_at": now}},
		row{"workspaces", map[string]any{"id": id + "-default", "tenant_id": id, "name": "default", "created_at": now}})
}

// person writes a person of a role in the tenant.
func (h *hand) person(tenant, userName string, role tenure.Role) string {
	user, r := personRow(tenant, userName, role)
	h.write(r)
	return user
}

func personRow(tenant, userName string, role tenure.Role) (string, row) {
	user, now := id(), at(time.Now())
	return user, row{"users", map[string]any{
		"id": user, "tenant_id": tenant, "user_name": userName, "user_name_fold": strings.ToLower(userName), "display_name": userName,
		"role": string(role), "source": "scim", "created_at": now, "updated_at": now,
	}}
}

// session writes a session, and gives its cookie.
func (h *hand) session(tenant, user string, signedIn, seen time.Time) (string, credential) {
	session, c, r := sessionRow(tenant, user, signedIn, seen)
	h.write(r)
	return session, c
}

func sessionRow(tenant, user string, signedIn, seen time.Time) (string, credential, row) {
	secret, session := tenure.NewSessionSecret().Reveal(), id()
	return session, credential{"Cookie", "tenure=" + secret}, row{"sessions", map[string]any{
		"id": session, "tenant_id": tenant, "user_id": user, "session_hash": tenure.DigestOf(secret).String(), "via": "proxy",
		"created_at": at(signedIn), "last_seen_at": at(seen), "expires_at": at(time.Now().Add(time.Hour)),
	}}
}

// token writes a token, and gives its secret.
func (h *hand) token(kind tenure.TokenKind, tenant, workspace, user, account, name, scopes string) (string, credential) {
	token, c, r := tokenRow(kind, tenant, workspace, user, account, name, scopes)
	h.write(r)
	return token, c
}

func tokenRow(kind tenure.TokenKind, tenant, workspace, user, account, name, scopes string) (string, credential, row) {
	secret, token := tenure.NewToken(kind).Reveal(), id()
	return token, credential{"Authorization", "Bearer " + secret}, row{"api_tokens", map[string]any{
		"id": token, "tenant_id": tenant, "workspace_id": workspace, "user_id": user, "service_account_id": account, "name": name,
		"kind": string(kind), "token_hash": tenure.DigestOf(secret).String(), "token_prefix": secret[:tenure.TokenPrefixLength],
		"scopes": scopes, "created_at": at(time.Now()), "expires_at": at(time.Now().Add(time.Hour)),
	}}
}

// A place is a workspace with one of everything in it: their ids by the part of a
// path that comes before such an id.
type place map[string]string

// place writes one, with a person who owns what is in it.
func (h *hand) place(tenant, marker string) place {
	now := at(time.Now())
	p := place{}
	for _, part := range []string{"workspaces", "groups", "service-accounts", "providers", "token-requests", "notices", "limits", "prices", "exceptions", "trust-requests", "reviews"} {
		p[part] = id()
	}
	owner, person := personRow(tenant, h.name(marker, "person")+"@example.com", tenure.Member)
	p["users"], p["members"], p["Users"], p["Groups"] = owner, owner, owner, p["groups"]
	in := func(more map[string]any) map[string]any {
		all := map[string]any{"tenant_id": tenant, "created_at": now}
		maps.Copy(all, more)
		return all
	}
	group := h.name(marker, "group")
	var token, service, session row
	var connector []row
	p["tokens"], _, token = tokenRow(tenure.KindPAT, tenant, p["workspaces"], owner, "", h.name(marker, "token"), "chat models")
	p["service-tokens"], _, service = tokenRow(tenure.KindService, tenant, p["workspaces"], "", p["service-accounts"], h.name(marker, "token"), "chat")
	p["sessions"], _, session = sessionRow(tenant, owner, time.Now(), time.Now())
	p["scim-connectors"], _, connector = connectorRows(tenant, h.name(marker, "connector"))
	h.write(append(
		connector, person, token, service, session,
		row{"workspaces", in(map[string]any{"id": p["workspaces"], "name": h.name(marker, "workspace"), "description": marker})},
		row{"memberships", in(map[string]any{"workspace_id": p["workspaces"], "user_id": owner, "role": "member"})},
		row{"groups", in(map[string]any{"id": p["groups"], "display_name": group, "display_name_fold": strings.ToLower(group), "updated_at": now})},
		row{"group_members", map[string]any{"group_id": p["groups"], "user_id": owner, "added_at": now}},
		row{"workspace_groups", in(map[string]any{"workspace_id": p["workspaces"], "group_id": p["groups"], "role": "viewer", "created_by": marker})},
		row{"service_accounts", in(map[string]any{
			"id": p["service-accounts"], "workspace_id": p["workspaces"], "name": h.name(marker, "account"), "description": marker, "owner_user_id": owner, "created_by": marker,
		})},
		row{"provider_credentials", in(map[string]any{
			"id": p["providers"], "workspace_id": p["workspaces"], "name": h.name(marker, "provider"), "kind": "openai", "base_url": "https://" + strings.ToLower(marker) + ".example.com/v1",
			"updated_at": now, "created_by": marker,
		})},
		row{"provider_keys", in(map[string]any{
			"id": p["providers"], "workspace_id": p["workspaces"], "provider_id": p["providers"], "name": h.name(marker, "key"), "fingerprint": "0123456789abcdef", "version": 1, "state": "active",
			"key_sealed": []byte("sealed"), "data_key": []byte("wrapped"), "key_last4": "last", "created_by": marker,
		})},
		row{"token_requests", map[string]any{
			"id": p["token-requests"], "tenant_id": tenant, "workspace_id": p["workspaces"], "service_account_id": p["service-accounts"], "name": h.name(marker, "request"),
			"scopes": "users.read", "models": "*", "cidrs": "", "life_seconds": 3600, "reason": marker, "requested_by_user": owner, "requested_by": marker, "requested_at": now, "state": "pending",
		}},
		row{"exceptions", map[string]any{
			"id": p["exceptions"], "tenant_id": tenant, "title": h.name(marker, "exception"), "rule": "token_lifetime", "subject_kind": "service_account", "subject_id": p["service-accounts"],
			"workspace_id": p["workspaces"], "for_user": owner, "reason": marker, "likelihood_before": "low", "impact_before": "low", "likelihood_after": "low", "impact_after": "low",
			"controls": marker, "requested_by": marker, "requested_at": now, "begins_at": now, "expires_at": at(time.Now().Add(time.Hour)), "owner_user_id": owner, "plan": marker,
			"remedy_at": at(time.Now().Add(time.Hour)),
		}},
		row{"model_prices", map[string]any{
			"id": p["prices"], "tenant_id": tenant, "pattern": h.name(marker, "model"), "from_day": 1, "input": 1, "cache_read": 1, "cache_write": 1, "output": 1, "created_by": marker, "created_at": now,
		}},
		row{"trust_requests", map[string]any{
			"id": p["trust-requests"], "tenant_id": tenant, "at": now, "user_id": owner, "name": marker, "email": "a@example.com", "organisation": marker,
			"wants": "leavers", "message": marker, "address": "192.0.2.1", "state": "open",
		}},
		row{"usage_limits", map[string]any{
			"id": p["limits"], "tenant_id": tenant, "workspace_id": p["workspaces"], "subject_kind": "service_account", "subject_id": p["service-accounts"],
			"requests_per_minute": 1000, "created_by": marker, "created_at": now, "updated_at": now,
		}},
		row{"access_reviews", map[string]any{
			"id": p["reviews"], "tenant_id": tenant, "title": h.name(marker, "review"), "since_at": now, "opened_at": now, "opened_by": marker, "due_at": at(time.Now().AddDate(0, 1, 0)),
			"second_due_at": at(time.Now().AddDate(0, 2, 0)), "unanswered": "escalate", "items": 1,
			"closed_at": now, "closed_by": marker, "report": marker, // so that nobody is reminded of it
		}},
		row{"access_review_items", map[string]any{"review": p["reviews"], "tenant_id": tenant, "n": 1, "kind": "person", "subject": owner, "name": h.name(marker, "item"), "person": owner}},
		row{"notices", map[string]any{
			"id": p["notices"], "tenant_id": tenant, "at": now, "sent_at": now, "kind": "token_expiring", "severity": "info", "user_id": owner, "object_kind": "token", "object_id": "x",
			"object": marker, "message": marker + " expires", "dedupe": h.name(marker, "notice"),
		}},
	)...)
	return p
}

// connector writes a SCIM connector with a token.
func (h *hand) connector(tenant, name string) (string, credential) {
	connector, c, rows := connectorRows(tenant, name)
	h.write(rows...)
	return connector, c
}

func connectorRows(tenant, name string) (string, credential, []row) {
	connector, now := id(), at(time.Now())
	token, c, r := tokenRow(tenure.KindSCIM, tenant, "", "", "", name, "")
	return connector, c, []row{
		{"scim_connectors", map[string]any{"id": connector, "tenant_id": tenant, "name": name, "created_at": now, "created_by": name}},
		r,
		{"scim_connector_tokens", map[string]any{"token_id": token, "connector_id": connector, "created_at": now}},
	}
}

// member makes a person one of a workspace.
func (h *hand) member(tenant, workspace, user string, role tenure.Role) {
	h.write(row{"memberships", map[string]any{"tenant_id": tenant, "workspace_id": workspace, "user_id": user, "role": string(role), "created_at": at(time.Now())}})
}
