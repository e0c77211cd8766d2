// Package oidc speaks with OpenID providers and believes what they have signed:
// discovery, the code exchange, signing keys, and the checking of ID tokens,
// logout tokens and a proxy's signed assertions. It owns how a signature and
// the claims under it are judged, and how often a provider is asked.
//
// It keeps nothing beyond keys and discovery documents, in memory, and does not
// know which person a subject is: internal/directory does.
package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
)

// How often a provider is asked, and for how long it is done without.
const (
	// fetchEvery is the least time between two attempts to fetch one document.
	fetchEvery = 10 * time.Second
	// refreshEvery is the age at which a document is fetched anew.
	refreshEvery = 10 * time.Minute
	// keepFor is how long the last good one is used while no other can be had.
	keepFor = 24 * time.Hour
	// FetchTimeout bounds one request to a provider.
	FetchTimeout = 5 * time.Second
	// maxDocument is the largest answer that is read from a provider, in bytes.
	maxDocument = 1 << 20
)

// NewClient makes the client that providers are asked with: it follows no
// redirect, so that nobody is asked but who was named. by is what it connects by;
// nil is http.DefaultTransport.
func NewClient(by http.RoundTripper) *http.Client {
	return &http.Client{
		Timeout: FetchTimeout, Transport: by,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// unreachable is the answer while a provider cannot be asked.
func unreachable(err error) error {
	return &tenure.Error{
		Kind: tenure.Unavailable, Code: "identity_provider_unavailable", RetryAfter: fetchEvery,
		Msg: "the identity provider cannot be reached at the moment; try again", Err: err,
	}
}

// misconfigured is the answer where asking again does not help: what an
// administrator has said of the provider, or has said at the provider, is wrong.
func misconfigured(err error) error {
	return &tenure.Error{
		Kind: tenure.Internal, Code: "connection_misconfigured",
		Msg: "the connection to the identity provider is set up wrongly; an administrator has to mend it", Err: err,
	}
}

// document is a JSON document of a provider that is fetched when it is needed
// and kept: one fetch at a time, and at most one in fetchEvery.
type document[T any] struct {
	url    string
	client *http.Client
	now    func() time.Time
	parse  func([]byte) (*T, error)

	held  atomic.Pointer[copied[T]]
	mu    sync.Mutex // held while fetching
	tried time.Time
	err   error // of the last attempt

	failing atomic.Bool // the last attempt failed
}

type copied[T any] struct {
	value *T
	at    time.Time
}

// get gives the document; suits tells whether one that is held will do. One that
// does not is given all the same when there is no other.
func (d *document[T]) get(ctx context.Context, suits func(*T) bool) (*T, error) {
	held := d.held.Load()
	if held != nil && suits(held.value) {
		switch age := d.age(held); {
		case age < refreshEvery:
			return held.value, nil
		case age < 2*refreshEvery:
			if d.mu.TryLock() {
				go func() { // nobody waits for what is good enough
					defer d.mu.Unlock()
					d.fetch(context.WithoutCancel(ctx))
				}()
			}
			return held.value, nil
		case age < keepFor && d.failing.Load(): // one asks whether that is over, and the others go on
			if !d.mu.TryLock() {
				return held.value, nil
			}
			defer d.mu.Unlock()
			return d.ask(ctx, held)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ask(ctx, held)
}

// ask fetches unless somebody has since held was looked at, and gives what there
// is then. d.mu is held.
func (d *document[T]) ask(ctx context.Context, held *copied[T]) (*T, error) {
	if d.held.Load() == held { // nobody else has fetched it meanwhile
		d.fetch(context.WithoutCancel(ctx)) // who asked may leave; the attempt counts
	}
	if held = d.held.Load(); held == nil || d.age(held) >= keepFor {
		return nil, unreachable(d.err)
	}
	return held.value, nil
}

func (d *document[T]) age(c *copied[T]) time.Duration { return d.now().Sub(c.at) }

// fetch tries once, if it may. d.mu is held.
func (d *document[T]) fetch(ctx context.Context) {
	now := d.now()
	if since := now.Sub(d.tried); !d.tried.IsZero() && since >= 0 && since < fetchEvery {
		return
	}
	d.tried = now
	var value *T
	body, err := read(ctx, d.client, d.url)
	if err == nil {
		value, err = d.parse(body)
	}
	d.failing.Store(err != nil)
	if d.err = err; err == nil {
		d.held.Store(&copied[T]{value, now})
	}
}

// read gets a document.
func read(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	return answer(client, req)
}

func answer(client *http.Client, req *http.Request) ([]byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxDocument:
		return nil, fmt.Errorf("%s answers more than %d bytes", req.URL.Host, maxDocument)
	case res.StatusCode != http.StatusOK:
		return nil, &statusError{req.URL.Redacted(), res.StatusCode, reason(body)}
	}
	return body, nil
}

// statusError is an answer that is not 200.
type statusError struct {
	url    string
	status int
	reason string // the OAuth error code, or ""
}

// ours tells that the provider minds what it was asked, and by whom; not that it is
// down, or that it was asked too often.
func (e *statusError) ours() bool {
	return e.status < http.StatusInternalServerError && e.status != http.StatusRequestTimeout && e.status != http.StatusTooManyRequests
}

// Error implements error.
func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s answers %d %s", e.url, e.status, e.reason))
}

// reason is the "error" of an OAuth answer (RFC 6749 §5.2), and nothing else of it.
func reason(body []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || len(e.Error) > 100 {
		return ""
	}
	return e.Error
}
