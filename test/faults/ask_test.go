package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// askWait is the end of a request that nobody answers.
const askWait = 15 * time.Second

// answer is what came of a request.
type answer struct {
	status     int // 0: none
	header     http.Header
	body       string
	err        error
	began, end time.Time
}

func (a answer) took() time.Duration { return a.end.Sub(a.began) }

func (a answer) String() string {
	body := a.body
	if len(body) > 300 {
		body = body[:300] + "…"
	}
	return fmt.Sprintf("%d after %v: %s %v", a.status, a.took().Round(time.Millisecond), body, a.err)
}

// asking is the client of all requests: many connections, no redirect, no proxy.
var asking = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 200, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends one request and reads the answer.
func ask(base, method, path, body string, header ...string) answer {
	return askFor(askWait, base, method, path, body, header...)
}

// askFor is ask with a limit of its own.
func askFor(wait time.Duration, base, method, path, body string, header ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	a := answer{began: time.Now()}
	res, err := asking.Do(newRequest(ctx, base, method, path, body, header))
	if err == nil {
		var b []byte
		b, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		a.status, a.header, a.body = res.StatusCode, res.Header, string(b)
	}
	a.err, a.end = err, time.Now()
	return a
}

func newRequest(ctx context.Context, base, method, path, body string, header []string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
	if err != nil {
		panic(err) // the tests' own words
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return req
}

// bearer is the header that carries a token.
func bearer(token string) string { return "Authorization: Bearer " + token }

// scimOf is SCIM's way of asking.
func scimOf(base, method, path, body string) answer {
	return ask(base, method, "/scim/v2"+path, body, bearer(scimToken), "Content-Type: application/scim+json")
}

func chatBody(prompt string, stream bool) string {
	return fmt.Sprintf(`{"model":"sim-gpt-4o","stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, prompt)
}

func messagesBody(prompt string, stream bool) string {
	return fmt.Sprintf(`{"model":"sim-claude-sonnet","max_tokens":100000,"stream":%t,"messages":[{"role":"user","content":%q}]}`, stream, prompt)
}

// chat asks the model once.
func chat(r *replica, token string) answer {
	return ask(r.url, "POST", "/v1/chat/completions", chatBody("Hello", false), bearer(token))
}

// messages asks the other kind of model once.
func messages(r *replica, token string) answer {
	return ask(r.url, "POST", "/v1/messages", messagesBody("Hello", false), "X-Api-Key: "+token, "Anthropic-Version: 2023-06-01")
}

// revoke ends a token over the API, as its owner.
func revoke(r *replica, owner string, p pat) answer {
	return ask(r.url, "DELETE", "/api/v1/tokens/"+p.id, "", "X-User-Id: "+owner)
}

// refused reports whether a credential was refused: whoever presents one that is dead
// again and again is slowed down.
func refused(a answer) bool { return a.status == 401 || a.status == 429 }

// longPrompt makes a stream that outlasts every test.
const longPrompt = "count to 100000 every 20ms"

// stream is an open answer, being read.
type stream struct {
	cancel context.CancelFunc
	mu     sync.Mutex
	buf    bytes.Buffer
	ended  chan struct{}
	at     time.Time // when it ended; set once ended is closed
	err    error     // why, if not by its proper end
}

// openChat opens a long answer of the one kind.
func openChat(t *testing.T, r *replica, token string) *stream {
	t.Helper()
	return open(t, r, "/v1/chat/completions", chatBody(longPrompt, true), bearer(token))
}

// openMessages opens one of the other kind.
func openMessages(t *testing.T, r *replica, token string) *stream {
	t.Helper()
	return open(t, r, "/v1/messages", messagesBody(longPrompt, true), "X-Api-Key: "+token, "Anthropic-Version: 2023-06-01")
}

func open(t *testing.T, r *replica, path, body string, header ...string) *stream {
	t.Helper()
	s, err := tryOpen(r, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cancel)
	return s
}

func tryOpen(r *replica, path, body string, header ...string) (*stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	res, err := asking.Do(newRequest(ctx, r.url, "POST", path, body, header))
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		cancel()
		return nil, fmt.Errorf("stream: %s %s", res.Status, b)
	}
	s := &stream{cancel: cancel, ended: make(chan struct{})}
	go func() {
		_, err := io.Copy(s, res.Body)
		_ = res.Body.Close()
		s.at, s.err = time.Now(), err
		close(s.ended)
	}()
	return s, nil
}

// Write implements io.Writer.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *stream) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// flows reports whether more of the stream comes.
func (s *stream) flows() bool {
	had := len(s.text())
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-s.ended:
			return false
		default:
		}
		if len(s.text()) > had {
			return true
		}
	}
	return false
}

// cutWithin demands that the stream ends from after to before since a moment, by an
// event of its own protocol that has the code.
func (s *stream) cutWithin(t *testing.T, since time.Time, after, before time.Duration, code string) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(max(0, time.Until(since.Add(before+2*time.Second))) + 100*time.Millisecond):
		t.Errorf("the stream is still open %v later", time.Since(since))
		return
	}
	took := s.at.Sub(since)
	tail := s.text()
	tail = tail[max(0, len(tail)-300):]
	if s.err != nil || took < after || took > before || !strings.Contains(tail, code) {
		t.Errorf("the stream ended %v later (%v to %v allowed) with %v, and this:\n%s", took, after, before, s.err, tail)
	}
	t.Logf("stream cut after %v", took.Round(time.Millisecond))
}

// load asks again and again, by so many at once, until stop; answers are kept.
type load struct {
	mu      sync.Mutex
	answers []answer
	stopped chan struct{}
	wg      sync.WaitGroup
}

// under begins a load: one worker for each of the functions.
func under(pause time.Duration, asks ...func() answer) *load {
	l := &load{stopped: make(chan struct{})}
	for _, ask := range asks {
		l.wg.Go(func() {
			for {
				select {
				case <-l.stopped:
					return
				case <-time.After(pause):
				}
				a := ask()
				l.mu.Lock()
				l.answers = append(l.answers, a)
				l.mu.Unlock()
			}
		})
	}
	return l
}

// stop ends the load and gives all answers.
func (l *load) stop() []answer {
	close(l.stopped)
	l.wg.Wait()
	return l.answers
}

// between are the answers to requests that began in a span.
func between(all []answer, from, to time.Time) []answer {
	var out []answer
	for _, a := range all {
		if !a.began.Before(from) && a.began.Before(to) {
			out = append(out, a)
		}
	}
	return out
}

// statuses counts answers by status; a broken connection is 0.
func statuses(all []answer) map[int]int {
	out := map[int]int{}
	for _, a := range all {
		out[a.status]++
	}
	return out
}

// slowest is the longest that an answer took.
func slowest(all []answer) time.Duration {
	var d time.Duration
	for _, a := range all {
		d = max(d, a.took())
	}
	return d
}
