package keystest

import (
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TransitToken is the token that a Transit accepts.
const TransitToken = "hvs.root-of-the-double"

// Transit answers as the documentation of Vault says that the transit engine does, and
// notes whatever Vault would not understand. Its fields are changed by Set alone. Calls
// counts by operation ("encrypt", "decrypt", …).
type Transit struct {
	server
	Sealed bool
	Token  string // the one that is good
	Cut    bool   // connections, in the middle of the answer
	Odd    string // answered instead, with 200
	Slow   bool   // answers wait until the caller goes
	Busy   int    // so many answers are 429
	Moved  string // where every request is redirected to
	Denies string // an operation that the token's policy does not allow

	keys map[string]*transitKey
}

// A transitKey has versions from 1.
type transitKey struct {
	versions  []cipher.AEAD
	decrypts  int // least version that it decrypts
	deletable bool
}

// NewTransit starts one, with the engine mounted at "transit" and no key. What Vault
// would not have understood fails the test at its end.
func NewTransit(t testing.TB) *Transit {
	d := &Transit{Token: TransitToken, keys: map[string]*transitKey{}}
	d.start(t, d.serve)
	return d
}

// Set changes the double.
func (d *Transit) Set(change func(*Transit)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *Transit) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	slow := d.Slow
	d.mu.Unlock()
	if slow {
		<-r.Context().Done()
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Cut {
		cut(w, `{"data":{"ciphertext":"vault:v1:`)
		return
	}
	if d.Moved != "" {
		w.Header().Set("Location", d.Moved+r.URL.Path)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	if d.Busy > 0 {
		d.Busy--
		refuse(w, http.StatusTooManyRequests, "request path \"transit\": rate limit quota exceeded")
		return
	}
	if d.Odd != "" {
		_, _ = io.WriteString(w, d.Odd)
		return
	}
	path := d.path(r)
	if r.URL.RawQuery != "" {
		d.fault("%s", r.URL)
	}
	switch {
	case d.Sealed:
		refuse(w, http.StatusServiceUnavailable, "Vault is sealed")
	case r.Header.Get("X-Vault-Token") != d.Token:
		refuse(w, http.StatusForbidden, "permission denied", "invalid token")
	case path == "sys/mounts/transit":
		refuse(w, http.StatusBadRequest, "path is already in use at transit/")
	default:
		d.engine(w, r, path, body)
	}
}

// engine is the transit engine: https://developer.hashicorp.com/vault/api-docs/secret/transit
func (d *Transit) engine(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	rest, ok := strings.CutPrefix(path, "transit/")
	operation, name, _ := strings.Cut(rest, "/")
	name, action, _ := strings.Cut(name, "/")
	if !ok || name == "" {
		refuse(w, http.StatusNotFound, "no handler for route \""+path+"\". route entry not found.")
		return
	}
	if operation == "keys" {
		operation += "/" + action
	}
	d.calls[operation]++
	var in map[string]any
	if len(body) > 0 && json.Unmarshal(body, &in) != nil {
		d.fault("%s %s with %q", r.Method, path, body)
	}
	key := d.keys[name]
	switch {
	case operation == d.Denies:
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	case operation == "keys/" && r.Method == http.MethodDelete:
		if key == nil || !key.deletable {
			refuse(w, http.StatusBadRequest, "deletion is not allowed for this key")
			return
		}
		delete(d.keys, name)
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		d.fault("%s %s", r.Method, path)
		refuse(w, http.StatusMethodNotAllowed, "unsupported operation")
	case operation == "keys/":
		if key == nil {
			d.keys[name] = &transitKey{decrypts: 1, versions: []cipher.AEAD{newVersion()}}
		}
		w.WriteHeader(http.StatusNoContent)
	case key == nil && operation == "encrypt": // who may only update may not create it
		refuse(w, http.StatusForbidden, "1 error occurred:\n\t* permission denied\n\n")
	case key == nil:
		refuse(w, http.StatusBadRequest, "encryption key not found")
	case operation == "keys/rotate":
		key.versions = append(key.versions, newVersion())
		w.WriteHeader(http.StatusNoContent)
	case operation == "keys/config":
		if n, ok := in["min_decryption_version"].(float64); ok {
			key.decrypts = int(n)
		}
		key.deletable = key.deletable || in["deletion_allowed"] == true
		w.WriteHeader(http.StatusNoContent)
	case operation == "encrypt":
		d.encrypt(w, key, in)
	case operation == "decrypt":
		d.decrypt(w, key, in)
	default:
		d.fault("%s %s", r.Method, path)
		refuse(w, http.StatusNotFound, "unsupported path")
	}
}

// only gives the one text field that a request has.
func (d *Transit) only(in map[string]any, field string) string {
	text, ok := in[field].(string)
	if !ok || len(in) != 1 {
		d.fault("%s among %d fields", field, len(in))
	}
	return text
}

func (d *Transit) encrypt(w http.ResponseWriter, key *transitKey, in map[string]any) {
	plain, err := base64.StdEncoding.DecodeString(d.only(in, "plaintext"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "failed to base64-decode plaintext")
		return
	}
	version := len(key.versions)
	sealed := seal(key.versions[version-1], plain)
	answer(w, http.StatusOK, map[string]any{"request_id": "r", "lease_id": "", "renewable": false, "lease_duration": 0, "data": map[string]any{
		"ciphertext": fmt.Sprintf("vault:v%d:%s", version, base64.StdEncoding.EncodeToString(sealed)), "key_version": version,
	}})
}

func (d *Transit) decrypt(w http.ResponseWriter, key *transitKey, in map[string]any) {
	text, ok := strings.CutPrefix(d.only(in, "ciphertext"), "vault:v")
	number, text, colon := strings.Cut(text, ":")
	version, err := strconv.Atoi(number)
	sealed, berr := base64.StdEncoding.DecodeString(text)
	switch {
	case !ok:
		refuse(w, http.StatusBadRequest, "invalid ciphertext: no prefix")
	case err != nil || !colon || berr != nil:
		refuse(w, http.StatusBadRequest, "invalid ciphertext: could not decode base64")
	case version > len(key.versions) || version < 1:
		refuse(w, http.StatusBadRequest, "invalid ciphertext: version is too new")
	case version < key.decrypts:
		refuse(w, http.StatusBadRequest, "ciphertext or signature version is disallowed by policy (too old)")
	default:
		plain, ok := open(key.versions[version-1], sealed)
		if !ok {
			refuse(w, http.StatusBadRequest, "cipher: message authentication failed")
			return
		}
		answer(w, http.StatusOK, map[string]any{"data": map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)}})
	}
}
