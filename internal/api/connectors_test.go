package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/connector"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A house is the API over a real database; each request's X-Role says who asks.
type house struct {
	*API
	t      *testing.T
	router *web.Router
	now    time.Time
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	clock := func() time.Time { h.now = h.now.Add(time.Millisecond); return h.now }
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, role := range tenure.TenantRoles {
			u := tenure.User{ID: tenure.UserID(role), Tenant: tenure.DefaultTenant, UserName: string(role), Active: true, Role: role, Source: tenure.SourceSCIM, CreatedAt: tx.Now(), UpdatedAt: tx.Now()}
			if err := tx.InsertUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: clock, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(reg, l)
	h.API = &API{
		Directory: &directory.Directory{DB: db, Live: l, Uses: &store.LastUse{DB: db}},
		Feeds:     Feeds{Connectors: &connector.Connectors{DB: db, Live: l, Use: &store.ConnectorUse{DB: db}, Builtin: true}}, Live: l,
		Answers: Answers{Find: db.Answered, Keep: db.KeepAnswer},
	}
	h.router = &web.Router{
		Known: access.Known, Now: clock, Address: func(*http.Request) string { return "192.0.2.7" }, Observe: func(*http.Request, *web.Event) {},
		Check: func(_ context.Context, p tenure.Principal, a tenure.Action) error { return access.Admits(p, a) },
		Authenticate: func(r *http.Request, _ tenure.Action) (tenure.Principal, error) {
			return h.as(tenure.Role(r.Header.Get("X-Role")))
		},
		Log: web.NewLogWriter(io.Discard), Metrics: web.NewMetrics(reg),
	}
	if err := h.router.Mount(h.Routes()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) as(role tenure.Role) (tenure.Principal, error) {
	s := tenure.Standing{
		Kind: tenure.AssertedIdentity, Tenant: tenure.DefaultTenant, TenantActive: true, User: tenure.UserID(role), UserName: string(role), UserActive: true, Role: role,
	}
	return s.Admit(h.now, 0)
}

// ask sends a request, checks the status and gives the answer's JSON.
func (h *house) ask(role tenure.Role, status int, method, path, body string) map[string]any {
	h.t.Helper()
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("X-Role", string(role))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.router.ServeHTTP(w, r)
	var out map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != status {
		h.t.Fatalf("%s %s: %d, want %d\n%s", method, path, w.Code, status, w.Body)
	}
	return out
}

const connectorsPath = "/api/v1/admin/scim-connectors"

func TestConnectorFigures(t *testing.T) {
	h := open(t)
	made := h.ask(tenure.SuperAdmin, http.StatusCreated, http.MethodPost, connectorsPath, `{"name":"Okta","cidrs":["203.0.113.7/24"]}`)
	secret, _ := made["token"].(string)
	if kind, ok := tenure.ParseToken(secret); !ok || kind != tenure.KindSCIM {
		t.Fatalf("created with %q", secret)
	}
	shown, _ := made["connector"].(map[string]any)
	id, _ := shown["id"].(string)
	if shown["silent_for"] != nil || shown["last_seen_at"] != nil || shown["last_error"] != nil || shown["warning"] != nil {
		t.Errorf("new: %v", shown)
	}
	s := tenure.Standing{Kind: tenure.ConnectorToken, Tenant: tenure.DefaultTenant, TenantActive: true, Connector: tenure.ConnectorID(id)}
	p, err := s.Admit(h.now, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 10 * time.Minute} {
		h.now = h.now.Add(after)
		h.Connectors.Note(p, tenure.ConnectorRequest{Operation: "users.list", At: h.now})
		if err := h.Connectors.Use.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	h.now = h.now.Add(3 * time.Hour)
	got := h.ask(tenure.Auditor, http.StatusOK, http.MethodGet, connectorsPath+"/"+id, "")
	warning, _ := got["warning"].(string)
	if got["silent_for"] != 10800.0 || got["usual_interval"] != 600.0 || !strings.HasPrefix(warning, "Silent for 3 h (usually every 10 min)") {
		t.Errorf("silent: %v", got)
	}
	list := h.ask(tenure.Admin, http.StatusOK, http.MethodGet, connectorsPath, "")
	items, _ := list["items"].([]any)
	if len(items) != 2 {
		t.Fatalf("%v", list)
	}
	first, _ := items[0].(map[string]any)
	if first["id"] != "builtin" || first["builtin"] != true {
		t.Errorf("%v", first)
	}
	text, _ := json.Marshal(list)
	if strings.Contains(string(text), secret) || strings.Contains(string(text), tenure.DigestOf(secret).String()) {
		t.Error("the token is in the list")
	}
}

func TestConnectorRefusals(t *testing.T) {
	h := open(t)
	id, _ := h.ask(tenure.SuperAdmin, 201, http.MethodPost, connectorsPath, `{"name":"Okta"}`)["connector"].(map[string]any)["id"].(string)
	for _, c := range []struct {
		role         tenure.Role
		status       int
		method, path string
		body         string
	}{
		{tenure.Admin, 403, http.MethodPost, "", `{"name":"x"}`},
		{tenure.Auditor, 403, http.MethodPost, "/" + id + "/rotate", `{}`},
		{tenure.Admin, 403, http.MethodDelete, "/" + id, ""},
		{tenure.Member, 403, http.MethodGet, "", ""},
		{tenure.Member, 403, http.MethodGet, "/" + id, ""},
		{tenure.SuperAdmin, 409, http.MethodPost, "", `{"name":"Okta"}`},
		{tenure.SuperAdmin, 422, http.MethodPost, "", `{}`},
		{tenure.SuperAdmin, 422, http.MethodPost, "/" + id + "/rotate", `{"overlap":"169h"}`},
		{tenure.SuperAdmin, 409, http.MethodPost, "/builtin/rotate", ``},
		{tenure.SuperAdmin, 409, http.MethodDelete, "/builtin", ""},
		{tenure.SuperAdmin, 404, http.MethodDelete, "/nothing", ""},
		{tenure.SuperAdmin, 200, http.MethodPost, "/" + id + "/rotate", ``},
		{tenure.SuperAdmin, 200, http.MethodDelete, "/" + id, ""},
		{tenure.SuperAdmin, 404, http.MethodGet, "/" + id, ""},
	} {
		h.ask(c.role, c.status, c.method, connectorsPath+c.path, c.body)
	}
}
