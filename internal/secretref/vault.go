package secretref

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// The ways of proving oneself to Vault.
const (
	VaultToken      = "token"
	VaultKubernetes = "kubernetes"
	VaultAppRole    = "approle"
)

// Vault is KV version 2 of HashiCorp Vault and of OpenBao. Its fields are set before
// first use.
type Vault struct {
	Client    *http.Client
	Address   string // https://vault.example.com:8200
	Namespace string // "": none
	// Auth is how Tenure proves itself: VaultToken, VaultKubernetes or VaultAppRole.
	Auth  string
	Mount string // of the method, for example "kubernetes"
	Role  string // the role, of AppRole the role id
	// Token is the token of VaultToken, where it is not in the file.
	Token tenure.Secret
	// File has the token, the service account's token, or the secret id. It is read
	// at every login, and where a token is refused: others may have put a new one there.
	File string
	Now  func() time.Time

	entering flight[session]
	mu       sync.Mutex // never held while Vault is asked
	held     session
}

// session is a token of Vault and how long it lives.
type session struct {
	token     tenure.Secret
	renew     time.Time // zero: never
	ends      time.Time // zero: never
	renewable bool
}

func (s session) alive(now time.Time) bool {
	return !s.token.IsZero() && (s.ends.IsZero() || now.Before(s.ends))
}

func (s session) due(now time.Time) bool { return !s.renew.IsZero() && !now.Before(s.renew) }

// errLogin says that Vault does not take Tenure for who it is.
var errLogin = errors.New("vault does not accept Tenure's login")

// Fetch implements System.
func (v *Vault) Fetch(ctx context.Context, a Address) (Value, error) {
	token, err := v.login(ctx, tenure.Secret{})
	if err != nil {
		return Value{}, loginError(a, err)
	}
	w, err := v.read(ctx, a, token)
	if err == nil && w.status == http.StatusForbidden { // the token may have been revoked there
		next, again := v.relogin(ctx, token)
		if again != nil {
			return Value{}, loginError(a, again)
		}
		if !next.Equal(token) {
			w, err = v.read(ctx, a, next)
		}
	}
	if err != nil {
		return Value{}, unavailable(a, err)
	}
	defer clear(w.body)
	return v.value(a, w)
}

func loginError(a Address, err error) error {
	if errors.Is(err, errLogin) {
		return denied(a, err)
	}
	return unavailable(a, err)
}

func (v *Vault) read(ctx context.Context, a Address, token tenure.Secret) (answer, error) {
	mount, path, _ := strings.Cut(a.Path, "/")
	url := v.Address + "/v1/" + mount + "/data/" + path
	if a.Version != "" {
		url += "?version=" + a.Version
	}
	return v.ask(ctx, http.MethodGet, url, token, nil)
}

func (v *Vault) ask(ctx context.Context, method, url string, token tenure.Secret, body any) (answer, error) {
	req, err := request(ctx, method, url, body)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("X-Vault-Request", "true")
	if !token.IsZero() {
		req.Header.Set("X-Vault-Token", token.Reveal())
	}
	if v.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", v.Namespace)
	}
	return send(v.Client, req)
}

// value reads a version of a secret.
func (v *Vault) value(a Address, w answer) (Value, error) {
	if err := w.judge(a); err != nil {
		return Value{}, err
	}
	var body struct {
		Lease int64 `json:"lease_duration"`
		Data  struct {
			Data     map[string]json.RawMessage `json:"data"`
			Metadata *struct {
				Deleted   string `json:"deletion_time"`
				Destroyed bool   `json:"destroyed"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if err := json.Unmarshal(w.body, &body); err != nil {
		return Value{}, strange(a, "the answer is no JSON")
	}
	meta := body.Data.Metadata
	if meta == nil {
		return Value{}, missing(a, "the mount is no KV version 2")
	}
	now := v.Now()
	deleted, err := time.Parse(time.RFC3339Nano, meta.Deleted)
	ends := meta.Deleted != "" && err == nil // delete_version_after sets it ahead
	if meta.Destroyed || ends && !now.Before(deleted) || body.Data.Data == nil {
		return Value{}, missing(a, "this version was deleted")
	}
	secret, err := textOf(a, body.Data.Data[a.Field])
	value := Value{Secret: secret}
	if ends {
		value.Until = deleted
	}
	if end := now.Add(time.Duration(body.Lease) * time.Second); body.Lease > 0 && (value.Until.IsZero() || end.Before(value.Until)) {
		value.Until = end
	}
	return value, err
}

// login gives a token that is alive, and is not the one that was refused. One asks for
// all who need one, and whoever has one that is alive does not wait for the next.
func (v *Vault) login(ctx context.Context, refused tenure.Secret) (tenure.Secret, error) {
	v.mu.Lock()
	s, now := v.held, v.Now()
	v.mu.Unlock()
	usable := s.alive(now) && (refused.IsZero() || !refused.Equal(s.token))
	if usable && !s.due(now) {
		return s.token, nil
	}
	call := v.entering.start(ctx, v.Now, false, func(ctx context.Context) (session, error) {
		next, err := v.next(ctx, refused)
		if err == nil {
			v.mu.Lock()
			v.held = next
			v.mu.Unlock()
		}
		return next, err
	})
	if usable {
		return s.token, nil
	}
	next, err := call.wait(ctx)
	return next.token, err
}

// relogin gives another token where the one that was refused is alive no more, or
// another is in the file. What is refused to a token that is alive, its policy does not
// let it read: another would do no better, and Vault keeps each until it ends.
func (v *Vault) relogin(ctx context.Context, refused tenure.Secret) (tenure.Secret, error) {
	if v.Auth == VaultToken {
		proof, err := v.proof()
		if err != nil || proof.Equal(refused) {
			return refused, err
		}
	} else if _, err := v.lookUp(ctx, refused); err == nil || !errors.Is(err, errLogin) {
		return refused, err
	}
	return v.login(ctx, refused)
}

// next renews the token in the last third of its life; where it cannot be renewed, it
// asks for another.
func (v *Vault) next(ctx context.Context, refused tenure.Secret) (session, error) {
	v.mu.Lock()
	s, now := v.held, v.Now()
	v.mu.Unlock()
	alive := s.alive(now) && (refused.IsZero() || !refused.Equal(s.token))
	if alive && !s.due(now) { // somebody was faster
		return s, nil
	}
	if alive && s.renewable {
		longer, err := v.granted(ctx, http.MethodPost, "/v1/auth/token/renew-self", s.token, map[string]any{})
		if err == nil || !errors.Is(err, errLogin) { // the latter: it cannot be asked, and the token lives on
			return longer, err
		}
	}
	return v.enter(ctx)
}

// proof is what a login is done with.
func (v *Vault) proof() (tenure.Secret, error) {
	if v.File == "" {
		return v.Token, nil
	}
	text, err := readPlain(v.File, os.Stat, os.OpenFile)
	if err == nil && strings.TrimSpace(text) == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return tenure.Secret{}, fmt.Errorf("what Tenure logs in to Vault with: %w", err)
	}
	return tenure.NewSecret(strings.TrimSpace(text)), nil
}

// enter asks for a new token.
func (v *Vault) enter(ctx context.Context) (session, error) {
	proof, err := v.proof()
	if err != nil {
		return session{}, err
	}
	path, body := "/v1/auth/"+v.Mount+"/login", map[string]any{"role": v.Role, "jwt": proof.Reveal()}
	switch v.Auth {
	case VaultToken:
		return v.lookUp(ctx, proof)
	case VaultAppRole:
		body = map[string]any{"role_id": v.Role, "secret_id": proof.Reveal()}
	}
	return v.granted(ctx, http.MethodPost, path, tenure.Secret{}, body)
}

// granted asks for a token, and reads it.
func (v *Vault) granted(ctx context.Context, method, path string, with tenure.Secret, body any) (session, error) {
	w, err := v.ask(ctx, method, v.Address+path, with, body)
	if err != nil {
		return session{}, err
	}
	if err := accepted(w); err != nil {
		return session{}, err
	}
	var got struct {
		Auth *struct {
			Token     string `json:"client_token"`
			Lease     int64  `json:"lease_duration"`
			Renewable bool   `json:"renewable"`
		} `json:"auth"`
	}
	if json.Unmarshal(w.body, &got) != nil || got.Auth == nil || got.Auth.Token == "" {
		return session{}, errors.New("the answer to a login has no token")
	}
	return v.session(tenure.NewSecret(got.Auth.Token), got.Auth.Lease, got.Auth.Renewable), nil
}

// lookUp asks how long a token lives that somebody else made.
func (v *Vault) lookUp(ctx context.Context, token tenure.Secret) (session, error) {
	w, err := v.ask(ctx, http.MethodGet, v.Address+"/v1/auth/token/lookup-self", token, nil)
	if err != nil {
		return session{}, err
	}
	if err := accepted(w); err != nil {
		return session{}, err
	}
	var got struct {
		Data struct {
			TTL       int64 `json:"ttl"`
			Renewable bool  `json:"renewable"`
		} `json:"data"`
	}
	if json.Unmarshal(w.body, &got) != nil {
		return session{}, errors.New("the answer to a look at the token is no JSON")
	}
	return v.session(token, got.Data.TTL, got.Data.Renewable), nil
}

// accepted gives the error of an answer to a login, to a renewal, or to a look at a token.
func accepted(w answer) error {
	if w.status == http.StatusOK {
		return nil
	}
	if _, denies := w.meaning(); denies {
		return fmt.Errorf("%w (%d)", errLogin, w.status)
	}
	return fmt.Errorf("it answers %d", w.status)
}

// leastRenew is how soon a token is renewed at most: one that can live no longer gets
// ever less of it.
const leastRenew = 10 * time.Second

// session is a token that lives for so many seconds; 0 is for ever.
func (v *Vault) session(token tenure.Secret, seconds int64, renewable bool) session {
	s := session{token: token, renewable: renewable}
	if seconds > 0 {
		life, now := time.Duration(seconds)*time.Second, v.Now()
		s.ends = now.Add(life)
		s.renew = now.Add(max(life*2/3, leastRenew))
	}
	return s
}

// Tend keeps the token alive while nothing is asked for.
func (v *Vault) Tend(ctx context.Context) {
	v.mu.Lock()
	used := v.held.alive(v.Now())
	v.mu.Unlock()
	if used {
		_, _ = v.login(ctx, tenure.Secret{}) // whoever asks next is told
	}
}
