package scim

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/web"
)

// base is the public URL that tests answer with.
const base = "https://tenure.example.com"

// stand is a service provider on a database of its own.
type stand struct {
	t       *testing.T
	db      *store.DB
	live    *live.Live
	scim    *SCIM
	router  *web.Router
	dropped int
}

func newStand(t *testing.T) *stand {
	t.Helper()
	db, err := store.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "tenure.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.DiscardHandler)
	l := &live.Live{
		Check: func(tenure.Principal, tenure.Action) error { return nil },
		DB:    db, Log: log,
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Forget:  func(store.Change) {},
		Options: live.Options{Now: time.Now, MaxStaleness: time.Minute, StreamStaleness: time.Minute},
	}
	reg := prometheus.NewRegistry()
	l.Metrics = live.NewMetrics(reg, l)
	s := &stand{t: t, db: db, live: l}
	s.scim = &SCIM{
		Directory: &directory.Directory{DB: db, Live: l, Uses: &store.LastUse{DB: db}},
		Base:      func(*http.Request) string { return base + "/" },
		Dropped:   func(n int) { s.dropped += n },
	}
	s.router = &web.Router{
		Authenticate: authenticate,
		Check:        func(_ context.Context, p tenure.Principal, a tenure.Action) error { return access.Check(p, a) },
		Known:        access.Known,
		Address:      func(*http.Request) string { return "192.0.2.1" },
		Observe:      func(*http.Request, *web.Event) {},
		Log:          web.NewLogWriter(io.Discard), Metrics: web.NewMetrics(reg), Now: time.Now,
	}
	if err := s.router.Mount(s.scim.Routes()); err != nil {
		t.Fatal(err)
	}
	return s
}

// authenticate knows a connector, a personal token, and nobody.
func authenticate(r *http.Request, _ tenure.Action) (tenure.Principal, error) {
	standing := tenure.Standing{Tenant: tenure.DefaultTenant, TenantActive: true, Name: "test"}
	switch r.Header.Get("Authorization") {
	case "Bearer connector":
		standing.Kind = tenure.ConnectorToken
	case "Bearer personal":
		standing.Kind, standing.User, standing.UserActive = tenure.PAT, "u-1", true
		standing.Workspace, standing.WorkspaceRole, standing.Scopes = tenure.DefaultWorkspace, tenure.Member, tenure.DataPlane
	case "":
		return tenure.Principal{}, tenure.ErrNoCredential
	default:
		return tenure.Principal{}, tenure.ErrInvalidToken
	}
	return standing.Admit(time.Now(), 0)
}

// answer is what was answered, with its body read as JSON.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// do sends a request with the connector's credential, and checks what holds for
// every answer. target is below /scim/v2.
func (s *stand) do(method, target, body string, headers ...string) answer {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, prefix+target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer connector")
	if body != "" {
		r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.router.ServeHTTP(w, r)
	res := w.Result()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(text)}
	if a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		if a.text != "" {
			s.t.Errorf("%s %s: an empty answer with a body: %s", method, target, a.text)
		}
		return a
	}
	if got := a.header.Get("Content-Type"); got != contentType {
		s.t.Errorf("%s %s: Content-Type %q", method, target, got)
	}
	if err := json.Unmarshal(text, &a.body); err != nil {
		s.t.Fatalf("%s %s: %d %s: %v", method, target, a.status, text, err)
	}
	s.checkValues(method+" "+target, a.body)
	if a.status >= 400 {
		s.checkError(method+" "+target, a)
	}
	return a
}

// checkValues finds what must never be answered: null, empty, or secret.
func (s *stand) checkValues(where string, v any) {
	s.t.Helper()
	switch v := v.(type) {
	case nil:
		s.t.Errorf("%s: null", where)
	case map[string]any:
		for key, v := range v {
			if list, ok := v.([]any); ok && key == "Resources" && len(list) == 0 {
				continue
			}
			if isEmpty(v) {
				s.t.Errorf("%s: %s is empty", where, key)
			}
			if strings.EqualFold(key, "password") {
				s.t.Errorf("%s: a password", where)
			}
			s.checkValues(where+" "+key, v)
		}
	case []any:
		for _, v := range v {
			s.checkValues(where, v)
		}
	}
}

// checkError holds errors to RFC 7644 §3.12.
func (s *stand) checkError(where string, a answer) {
	s.t.Helper()
	status, _ := a.body["status"].(string)
	detail, _ := a.body["detail"].(string)
	schemas, _ := a.body["schemas"].([]any)
	if status != strconv.Itoa(a.status) || detail == "" || len(schemas) != 1 || schemas[0] != errorURN {
		s.t.Errorf("%s: %s", where, a.text)
	}
}

// wants checks the status and, of an error, the scimType.
func (a answer) wants(t *testing.T, status int, scimType string) answer {
	t.Helper()
	got, _ := a.body["scimType"].(string)
	if a.status != status || got != scimType {
		t.Errorf("%d %s, want %d %q", a.status, a.text, status, scimType)
	}
	return a
}

// at finds a value by keys and indices: "emails", 0, "value".
func (a answer) at(keys ...any) any {
	var v any = a.body
	for _, key := range keys {
		switch key := key.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			list, _ := v.([]any)
			if key >= len(list) {
				return nil
			}
			v = list[key]
		}
	}
	return v
}

func (a answer) id() string {
	id, _ := a.body["id"].(string)
	return id
}

// create makes a person and gives the id.
func (s *stand) create(body string) string {
	s.t.Helper()
	a := s.do("POST", "/Users", body).wants(s.t, http.StatusCreated, "")
	if a.id() == "" {
		s.t.Fatal("no id")
	}
	return a.id()
}

// user reads a person from the store.
func (s *stand) user(id string) tenure.User {
	s.t.Helper()
	u, err := s.db.User(s.t.Context(), tenure.DefaultTenant, tenure.UserID(id))
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// mint gives a person a token, and a stream that is open under it.
func (s *stand) mint(user string) (tenure.Digest, context.Context) {
	s.t.Helper()
	secret := tenure.NewToken(tenure.KindPAT)
	d := tenure.DigestOf(secret.Reveal())
	err := s.db.Tx(s.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertToken(ctx, tenure.Token{
			ID: tenure.TokenID(tenure.NewID(tx.Now())), Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace,
			User: tenure.UserID(user), Name: "laptop", Kind: tenure.KindPAT, Prefix: "tpat_xxxx", Scopes: tenure.DataPlane,
			CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(time.Hour),
		}, d)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	standing, err := s.db.TokenStanding(s.t.Context(), d)
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := standing.Admit(time.Now(), s.live.Generation())
	if err != nil {
		s.t.Fatalf("a fresh token: %v", err)
	}
	ctx, flight, err := s.live.Enter(s.t.Context(), p, "chat", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.live.Leave(flight) })
	return d, ctx
}

// admitted reports whether a token is still good for anything.
func (s *stand) admitted(d tenure.Digest) bool {
	s.t.Helper()
	standing, err := s.db.TokenStanding(s.t.Context(), d)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = standing.Admit(time.Now(), 0)
	return err == nil
}
