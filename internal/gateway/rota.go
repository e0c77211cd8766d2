package gateway

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// For how long a key that failed is passed over, and how many tries a request has.
const (
	sickRefused = time.Minute     // 401
	sickFailed  = 5 * time.Second // 5xx, and 429 without Retry-After
	sickMost    = time.Minute
	mostTries   = 5
	mostSick    = 10000       // keys; beyond them all are taken for well
	tellAgain   = time.Second // that a key is accepted again, while its row does not say so yet
)

// A rota chooses which of a provider's keys a request goes out with: the first that is
// not sick, and among those of the same place one at random, by weight. Where a provider
// answers 401, 403, 429 or 5xx, the next key is tried: nothing has been passed on yet. A
// key that failed, but for 403, which may be about the model, is sick for a while, in
// this replica's memory; when none is well, the one that is well first is tried alone.
// A provider that cannot be reached is not asked again: it is the same for every key.
type rota struct {
	next   http.RoundTripper
	anew   func(context.Context, tenure.TenantID, vault.OpenedKey) (vault.OpenedKey, bool)
	judged func(context.Context, tenure.Provider, tenure.KeyID, bool) error // nil: nobody is told

	ill   atomic.Bool // whether anything is in sick: mostly nobody looks further
	mu    sync.Mutex
	sick  map[tenure.KeyID]illness
	swept time.Time // when sick was last rid of keys that nobody uses
}

type illness struct {
	since    time.Time // when the key failed last
	until    time.Time
	refused  time.Time // when it was told that the provider does not accept the key; zero: it does
	accepted time.Time // when it was told that it does again
}

// sent is what came of a request.
type sent struct {
	key   vault.OpenedKey // what the answer was got with
	tries int
}

// OnKey sets who is told that a provider does not accept a key any more, and that it
// does again (true): once an hour for each key, beside the request, and again with the
// next one where note fails. It is called before the gateway serves.
func (g *Gateway) OnKey(note func(context.Context, tenure.Provider, tenure.KeyID, bool) error) {
	g.catalogue.rota.judged = note
}

// send sends a request with the key whose turn it is, and with others while the
// provider refuses. The answer is the one that tells the caller most.
func (t *rota) send(r *http.Request, pr *protocol, p tenure.Provider, keys []vault.OpenedKey) (*http.Response, sent, error) {
	var best *http.Response
	var of sent
	var tried uint64
	for n := 1; ; n++ {
		i := t.choose(keys, tried)
		if i < 0 {
			of.tries = n - 1
			return best, of, nil
		}
		tried |= 1 << i
		out := r
		if n > 1 {
			out = again(r)
		}
		key, began := keys[i], time.Now()
		res, err := t.ask(out, pr, p, &key)
		if err != nil {
			if best != nil && r.Context().Err() == nil {
				of.tries = n
				return best, of, nil
			}
			discard(best)
			return nil, sent{key, n}, err
		}
		t.judge(p, &key, res, began) //nolint:contextcheck // what it tells of outlives the request
		if best != nil && worth(res.StatusCode) < worth(best.StatusCode) {
			discard(res)
		} else {
			discard(best)
			best, of.key = res, key
		}
		if of.tries = n; !tryOn(res.StatusCode) || n == mostTries || len(keys) == 1 {
			return best, of, nil
		}
	}
}

// ask sends a request with a key. One that is kept elsewhere, and is refused, may have
// been rotated there: then it is had anew, and the request sent once more.
func (t *rota) ask(r *http.Request, pr *protocol, p tenure.Provider, key *vault.OpenedKey) (*http.Response, error) {
	pr.authorize(r.Header, key.Secret)
	res, err := t.next.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusUnauthorized || key.Reference == "" {
		return res, err
	}
	other, ok := t.anew(r.Context(), p.Tenant, *key)
	if !ok {
		return res, nil
	}
	discard(res)
	*key, r = other, again(r)
	pr.authorize(r.Header, key.Secret)
	return t.next.RoundTrip(r)
}

// again is the same request once more, with its body from the beginning.
func again(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	if r.GetBody != nil {
		out.Body, _ = r.GetBody() // ours never fails
	}
	return out
}

// discard closes an answer that nobody gets.
func discard(res *http.Response) {
	if res != nil {
		_ = res.Body.Close()
	}
}

// tryOn tells that another key may do better.
func tryOn(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests || status >= 500
}

// worth orders failures by what they tell the caller: to come again tells more than that
// one of the keys is not accepted.
func worth(status int) int {
	switch {
	case status == http.StatusUnauthorized:
		return 0
	case status == http.StatusForbidden:
		return 1
	case status >= 500:
		return 2
	case status == http.StatusTooManyRequests:
		return 3
	}
	return 4
}

// choose gives whose turn it is, or -1: nobody's. Keys are in the order of their use.
func (t *rota) choose(keys []vault.OpenedKey, tried uint64) int {
	if len(keys) == 1 {
		return int(-(tried & 1))
	}
	keys = keys[:min(len(keys), 64)]
	var sick map[tenure.KeyID]illness
	now := time.Now()
	if t.ill.Load() {
		t.mu.Lock()
		defer t.mu.Unlock()
		sick = t.sick
	}
	best, sum := -1, 0
	for i := range keys {
		k := &keys[i]
		if tried&(1<<i) != 0 || now.Before(sick[k.ID].until) {
			continue
		}
		if best >= 0 && (k.LastResort != keys[best].LastResort || k.Position != keys[best].Position) {
			break
		}
		weight := max(k.Weight, 1)
		if sum += weight; rand.IntN(sum) < weight { //nolint:gosec // shares, no secret
			best = i
		}
	}
	if best >= 0 || tried != 0 {
		return best
	}
	best = 0
	for i := range keys {
		if sick[keys[i].ID].until.Before(sick[keys[best].ID].until) {
			best = i
		}
	}
	return best
}

// judge remembers what an answer to a request of the time sent tells of the key.
func (t *rota) judge(p tenure.Provider, key *vault.OpenedKey, res *http.Response, sent time.Time) {
	if status := res.StatusCode; tryOn(status) && status != http.StatusForbidden {
		t.failed(p, key, res)
	} else if status < 400 && (key.Refused || t.ill.Load()) {
		t.recovered(p, key, sent)
	}
}

func (t *rota) failed(p tenure.Provider, key *vault.OpenedKey, res *http.Response) {
	now, refused := time.Now(), res.StatusCode == http.StatusUnauthorized
	t.mu.Lock()
	if t.sick == nil || len(t.sick) >= mostSick {
		t.sick = make(map[tenure.KeyID]illness)
	}
	is := t.sick[key.ID]
	is.since, is.until = now, now.Add(sickFor(res))
	tell := refused && !key.Refused && now.Sub(is.refused) >= tellEvery
	if tell {
		is.refused = now
	}
	t.sick[key.ID] = is
	t.ill.Store(true)
	t.mu.Unlock()
	if tell && t.judged != nil {
		go t.tell(p, key.ID, false)
	}
}

// recovered forgets what was held against a key that was accepted. A request that was
// sent before the key failed last proves nothing.
func (t *rota) recovered(p tenure.Provider, key *vault.OpenedKey, sent time.Time) {
	now := time.Now()
	t.mu.Lock()
	is, known := t.sick[key.ID]
	if sent.Before(is.since) {
		t.mu.Unlock()
		return
	}
	tell := (key.Refused || !is.refused.IsZero()) && now.Sub(is.accepted) >= tellAgain
	switch {
	case tell:
		if t.sick == nil {
			t.sick = make(map[tenure.KeyID]illness)
		}
		t.sick[key.ID] = illness{accepted: now}
	case known && !key.Refused:
		delete(t.sick, key.ID)
	}
	if !known && now.Sub(t.swept) > time.Minute {
		t.swept = now
		maps.DeleteFunc(t.sick, func(_ tenure.KeyID, of illness) bool { // keys that nobody uses any more
			return now.Sub(of.until) > time.Hour && now.Sub(of.accepted) > time.Hour
		})
	}
	t.ill.Store(len(t.sick) > 0)
	t.mu.Unlock()
	if tell && t.judged != nil {
		go t.tell(p, key.ID, true)
	}
}

// tell tells it in nobody's name: it outlives the request, and whose access that was.
func (t *rota) tell(p tenure.Provider, key tenure.KeyID, accepted bool) {
	ctx, cancel := context.WithTimeout(context.Background(), tellWithin)
	defer cancel()
	if t.judged(ctx, p, key, accepted) == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	is, known := t.sick[key]
	switch {
	case !known:
		return
	case accepted && is.since.IsZero(): // so the next answer tells it
		is.refused = time.Now()
	case !accepted:
		is.refused = time.Time{}
	}
	t.sick[key] = is
}

func sickFor(res *http.Response) time.Duration {
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return sickRefused
	case http.StatusTooManyRequests:
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
			return min(time.Duration(min(s, 3600))*time.Second, sickMost)
		}
	}
	return sickFailed
}

// RoundTrip implements http.RoundTripper for requests to models.
func (t *rota) RoundTrip(r *http.Request) (*http.Response, error) {
	c, _ := r.Context().Value(callKey{}).(*call)
	res, of, err := t.send(r, c.protocol, c.target.provider, c.keys)
	c.key, c.event.Key, c.event.KeysPassed = of.key.Secret, of.key.ID, of.tries-1
	if err != nil {
		return nil, err
	}
	// A copy: when the body ends, the transport writes the trailers into its own, where
	// nobody sees them. What they say was judged by nobody.
	c.answer = *res
	return &c.answer, nil
}
