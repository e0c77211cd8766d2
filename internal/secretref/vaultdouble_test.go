package secretref

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A vaultDouble answers as Vault's documentation says that KV version 2, the token
// methods, Kubernetes and AppRole do, and notes whatever Vault would not understand.
type vaultDouble struct {
	*httptest.Server
	mu        sync.Mutex
	now       time.Time
	sealed    bool
	namespace string
	cut       bool          // connections, in the middle of the answer
	slow      chan struct{} // answers wait for it; nil: they do not
	ttl       time.Duration // of tokens that are made
	maxRenew  int           // renewals that a token gets
	made      int           // tokens
	secrets   map[string][]version
	tokens    map[string]*vaultToken
	calls     map[string]int // by method and path
	faults    []string
}

type version struct {
	data      map[string]any
	deletion  string
	destroyed bool
}

type vaultToken struct {
	ends    time.Time // zero: never
	renewed int
	reads   string // what it may read begins so
}

const rootOfVault = "hvs.root-of-the-double"

func newVaultDouble(t *testing.T) *vaultDouble {
	t.Helper()
	d := &vaultDouble{
		now: time.Now(), ttl: time.Hour, maxRenew: 2, secrets: map[string][]version{}, calls: map[string]int{},
		tokens: map[string]*vaultToken{rootOfVault: {}},
	}
	d.Server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(func() {
		d.CloseClientConnections()
		d.Close()
		for _, f := range d.faults {
			t.Error("the double was asked wrongly: " + f)
		}
	})
	return d
}

func (d *vaultDouble) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// set changes the double.
func (d *vaultDouble) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// count tells how often something was asked.
func (d *vaultDouble) count(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[what]
}

func (d *vaultDouble) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.calls[r.Method+" "+r.URL.Path]++
	slow := d.slow
	d.mu.Unlock()
	if slow != nil {
		select {
		case <-slow:
		case <-r.Context().Done():
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"data":{"data":{"api_key":"sk-`))
		panic(http.ErrAbortHandler)
	}
	if r.Header.Get("X-Vault-Request") != "true" {
		d.fault("%s %s without X-Vault-Request", r.Method, r.URL)
	}
	if d.sealed {
		reply(w, http.StatusServiceUnavailable, map[string]any{"errors": []string{"Vault is sealed"}})
		return
	}
	if r.Header.Get("X-Vault-Namespace") != d.namespace {
		deny(w)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok || strings.Contains(path, "//") {
		d.fault("%s", r.URL)
	}
	if method, ok := strings.CutSuffix(path, "/login"); ok {
		d.login(w, r, method)
		return
	}
	name := r.Header.Get("X-Vault-Token")
	token := d.tokens[name]
	if token == nil || !token.ends.IsZero() && !d.now.Before(token.ends) {
		deny(w)
		return
	}
	switch path {
	case "auth/token/lookup-self":
		ttl := int64(0)
		if !token.ends.IsZero() {
			ttl = int64(token.ends.Sub(d.now).Seconds())
		}
		reply(w, http.StatusOK, map[string]any{"data": map[string]any{"id": name, "ttl": ttl, "renewable": !token.ends.IsZero()}})
	case "auth/token/renew-self":
		if r.Method != http.MethodPost && r.Method != http.MethodPut {
			d.fault("%s of renew-self", r.Method)
		}
		if token.renewed++; token.renewed > d.maxRenew {
			deny(w)
			return
		}
		token.ends = d.now.Add(d.ttl)
		d.grant(w, name, token)
	default:
		d.kv(w, r, path, token)
	}
}

func (d *vaultDouble) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func deny(w http.ResponseWriter) {
	reply(w, http.StatusForbidden, map[string]any{"errors": []string{"permission denied"}})
}

func (d *vaultDouble) login(w http.ResponseWriter, r *http.Request, method string) {
	var body map[string]string
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&body) != nil || r.Header.Get("X-Vault-Token") != "" {
		d.fault("a login by %s with a token or without a body", r.Method)
	}
	want := map[string]map[string]string{
		"auth/kubernetes": {"role": "tenure", "jwt": "service-account-token"},
		"auth/approle":    {"role_id": "role-of-tenure", "secret_id": "secret-of-tenure"},
	}[method]
	if len(body) != len(want) || want == nil {
		d.fault("login at %s with %d fields", method, len(body))
	}
	for k, v := range want {
		if body[k] != v {
			reply(w, http.StatusBadRequest, map[string]any{"errors": []string{"invalid role or secret ID"}})
			return
		}
	}
	d.made++
	name := "hvs.made-" + strconv.Itoa(d.made)
	d.tokens[name] = &vaultToken{ends: d.now.Add(d.ttl), reads: "secret/data/tenure/"}
	d.grant(w, name, d.tokens[name])
}

func (d *vaultDouble) grant(w http.ResponseWriter, name string, t *vaultToken) {
	reply(w, http.StatusOK, map[string]any{"auth": map[string]any{
		"client_token": name, "lease_duration": int64(t.ends.Sub(d.now).Seconds()), "renewable": true, "policies": []string{"default", "tenure"},
	}})
}

// kv is a mount of KV version 2 at "secret".
func (d *vaultDouble) kv(w http.ResponseWriter, r *http.Request, path string, token *vaultToken) {
	if !strings.HasPrefix(path, token.reads) {
		deny(w)
		return
	}
	name, ok := strings.CutPrefix(path, "secret/data/")
	if !ok || name == "" {
		reply(w, http.StatusNotFound, map[string]any{"errors": []string{}})
		return
	}
	switch r.Method {
	case http.MethodGet:
		d.readVersion(w, r, name)
	case http.MethodPost:
		var body struct {
			Data map[string]any `json:"data"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		d.secrets[name] = append(d.secrets[name], version{data: body.Data})
		reply(w, http.StatusOK, map[string]any{"data": map[string]any{"version": len(d.secrets[name])}})
	case http.MethodDelete:
		all := d.secrets[name]
		all[len(all)-1].deletion = d.now.UTC().Format(time.RFC3339Nano)
		w.WriteHeader(http.StatusNoContent)
	default:
		d.fault("%s %s", r.Method, path)
	}
}

func (d *vaultDouble) readVersion(w http.ResponseWriter, r *http.Request, name string) {
	for k := range r.URL.Query() {
		if k != "version" {
			d.fault("?%s", r.URL.RawQuery)
		}
	}
	all := d.secrets[name]
	n := len(all)
	if text := r.URL.Query().Get("version"); text != "" && text != "0" {
		n, _ = strconv.Atoi(text)
	}
	if n < 1 || n > len(all) {
		reply(w, http.StatusNotFound, map[string]any{"errors": []string{}})
		return
	}
	v := all[n-1]
	status, data := http.StatusOK, any(v.data)
	if end, err := time.Parse(time.RFC3339Nano, v.deletion); v.destroyed || err == nil && !d.now.Before(end) {
		status, data = http.StatusNotFound, nil
	}
	reply(w, status, map[string]any{
		"request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": false,
		"data": map[string]any{"data": data, "metadata": map[string]any{
			"created_time": "2026-01-01T00:00:00Z", "custom_metadata": nil, "deletion_time": v.deletion, "destroyed": v.destroyed, "version": n,
		}},
	})
}
