package keystest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// KVToken is a token that a KV accepts, and that may read everything.
const KVToken = "hvs.root-of-the-double"

// A KV answers as Vault's documentation says that KV version 2, mounted at "secret", the
// token methods, Kubernetes and AppRole do, and notes whatever Vault would not
// understand. Its fields are changed by Set alone. Calls counts by method and path.
type KV struct {
	server
	Time      time.Time // by its clock
	Sealed    bool
	Namespace string        // the one that must be named; "": none
	Cut       bool          // connections, in the middle of the answer
	Slow      chan struct{} // answers wait for it; nil: they do not
	TTL       time.Duration // of tokens that are made
	MaxRenew  int           // renewals that a token gets
	Secrets   map[string][]KVVersion
	Tokens    map[string]*KVGrant

	made int // tokens
}

// KVVersion is a version of a secret.
type KVVersion struct {
	Data      map[string]any
	Deletion  string // RFC 3339; "": none
	Destroyed bool
}

// KVGrant is a token, and what it may do.
type KVGrant struct {
	ends    time.Time // zero: never
	renewed int
	reads   string // what it may read begins so
}

// NewKV starts one, without secrets. What Vault would not have understood fails the
// test at its end.
func NewKV(t testing.TB) *KV {
	t.Helper()
	d := &KV{
		Time: time.Now(), TTL: time.Hour, MaxRenew: 2, Secrets: map[string][]KVVersion{},
		Tokens: map[string]*KVGrant{KVToken: {}},
	}
	d.start(t, d.serve)
	return d
}

// Now is the time by its clock.
func (d *KV) Now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.Time
}

// Set changes the double.
func (d *KV) Set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// Put stores a version of a secret with one field.
func (d *KV) Put(path, field, value string) {
	d.Set(func() { d.Secrets[path] = append(d.Secrets[path], KVVersion{Data: map[string]any{field: value}}) })
}

func (d *KV) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.calls[r.Method+" "+r.URL.Path]++
	slow := d.Slow
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
	if d.Cut {
		cut(w, `{"data":{"data":{"api_key":"sk-`)
		return
	}
	path := d.path(r)
	if d.Sealed {
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
		return
	}
	if r.Header.Get("X-Vault-Namespace") != d.Namespace {
		deny(w)
		return
	}
	if method, ok := strings.CutSuffix(path, "/login"); ok {
		d.login(w, r, method)
		return
	}
	name := r.Header.Get("X-Vault-Token")
	token := d.Tokens[name]
	if token == nil || !token.ends.IsZero() && !d.Time.Before(token.ends) {
		deny(w)
		return
	}
	switch path {
	case "auth/token/lookup-self":
		ttl := int64(0)
		if !token.ends.IsZero() {
			ttl = int64(token.ends.Sub(d.Time).Seconds())
		}
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"id": name, "ttl": ttl, "renewable": !token.ends.IsZero()}})
	case "auth/token/renew-self":
		if r.Method != http.MethodPost && r.Method != http.MethodPut {
			d.fault("%s of renew-self", r.Method)
		}
		if token.renewed++; token.renewed > d.MaxRenew {
			deny(w)
			return
		}
		token.ends = d.Time.Add(d.TTL)
		d.grant(w, name, token)
	default:
		d.kv(w, r, path, token)
	}
}

func deny(w http.ResponseWriter) { refuse(w, http.StatusForbidden, "permission denied") }

func (d *KV) login(w http.ResponseWriter, r *http.Request, method string) {
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
			refuse(w, http.StatusBadRequest, "invalid role or secret ID")
			return
		}
	}
	d.made++
	name := "hvs.made-" + strconv.Itoa(d.made)
	d.Tokens[name] = &KVGrant{ends: d.Time.Add(d.TTL), reads: "secret/data/tenure/"}
	d.grant(w, name, d.Tokens[name])
}

func (d *KV) grant(w http.ResponseWriter, name string, t *KVGrant) {
	answer(w, http.StatusOK, map[string]any{"auth": map[string]any{
		"client_token": name, "lease_duration": int64(t.ends.Sub(d.Time).Seconds()), "renewable": true, "policies": []string{"default", "tenure"},
	}})
}

// kv is a mount of KV version 2 at "secret".
func (d *KV) kv(w http.ResponseWriter, r *http.Request, path string, token *KVGrant) {
	if !strings.HasPrefix(path, token.reads) {
		deny(w)
		return
	}
	name, ok := strings.CutPrefix(path, "secret/data/")
	if !ok || name == "" {
		refuse(w, http.StatusNotFound)
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
		d.Secrets[name] = append(d.Secrets[name], KVVersion{Data: body.Data})
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"version": len(d.Secrets[name])}})
	case http.MethodDelete:
		all := d.Secrets[name]
		all[len(all)-1].Deletion = d.Time.UTC().Format(time.RFC3339Nano)
		w.WriteHeader(http.StatusNoContent)
	default:
		d.fault("%s %s", r.Method, path)
	}
}

func (d *KV) readVersion(w http.ResponseWriter, r *http.Request, name string) {
	for k := range r.URL.Query() {
		if k != "version" {
			d.fault("?%s", r.URL.RawQuery)
		}
	}
	all := d.Secrets[name]
	n := len(all)
	if text := r.URL.Query().Get("version"); text != "" && text != "0" {
		n, _ = strconv.Atoi(text)
	}
	if n < 1 || n > len(all) {
		refuse(w, http.StatusNotFound)
		return
	}
	v := all[n-1]
	status, data := http.StatusOK, any(v.Data)
	if end, err := time.Parse(time.RFC3339Nano, v.Deletion); v.Destroyed || err == nil && !d.Time.Before(end) {
		status, data = http.StatusNotFound, nil
	}
	answer(w, status, map[string]any{
		"request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": false,
		"data": map[string]any{"data": data, "metadata": map[string]any{
			"created_time": "2026-01-01T00:00:00Z", "custom_metadata": nil, "deletion_time": v.Deletion, "destroyed": v.Destroyed, "version": n,
		}},
	})
}
