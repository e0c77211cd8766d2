package simulator

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// What a Server does when its fields do not say.
const (
	defaultWords = 24
	maxBody      = 32 << 20 // bytes of a request body
)

// Server is one simulated provider. The zero value with a Key is ready to use;
// the fields must not change once Handler has been called. A Server must not be
// copied.
type Server struct {
	// Key is the provider key that every request must carry. A Server whose
	// Key is empty accepts no key and answers every request with 401.
	Key string
	// Keys are accepted beside it, as a provider does of which several were made.
	Keys []string
	// ChunkEvery is the pause between two words of an answer unless a
	// directive sets another; zero is no pause.
	ChunkEvery time.Duration
	// Words is the length of an answer in words; zero or less is 24.
	Words int
	// OpenAIModels are the ids served on the OpenAI side; nil is sim-gpt-4o
	// and sim-gpt-4o-mini.
	OpenAIModels []string
	// AnthropicModels are the ids served on the Anthropic side; nil is
	// sim-claude-sonnet and sim-claude-haiku.
	AnthropicModels []string
	// Faults permits the failure directives; without it they are plain words.
	Faults bool
	// Log, if set, is called once for every request that arrived whole, before
	// it is judged or answered, from the request's own goroutine.
	Log func(Request)

	counts counts
}

// Request is what arrived at the Server, for a test to look at. Header and Body
// are unredacted: they hold the provider key and the prompt.
type Request struct {
	Method string
	Host   string
	Path   string
	Query  string // raw, without the question mark
	Header http.Header
	Body   []byte
}

// counts are the numbers that a Server keeps while it serves.
type counts struct {
	inFlight  atomic.Int64
	cancelled atomic.Int64
	serial    atomic.Int64
}

// Handler returns the provider, both protocols on the same paths under /v1/.
// Every call returns a handler over the same counts.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /v1/chat/completions", s.serve(always(openAI), (*exchange).chat))
	mux.Handle("POST /v1/responses", s.serve(always(openAI), (*exchange).responses))
	mux.Handle("POST /v1/embeddings", s.serve(always(openAI), (*exchange).embeddings))
	mux.Handle("POST /v1/messages", s.serve(always(anthropic), (*exchange).messages))
	mux.Handle("POST /v1/messages/count_tokens", s.serve(always(anthropic), (*exchange).countTokens))
	mux.Handle("GET /v1/models", s.serve(byHeader, (*exchange).models))
	mux.Handle("GET /v1/models/{id}", s.serve(byHeader, (*exchange).model))
	mux.Handle("/", s.serve(byHeader, (*exchange).nowhere))
	return mux
}

// InFlight is how many requests are being served. A client that has read its
// answer to the end may still be counted for a moment.
func (s *Server) InFlight() int { return int(s.counts.inFlight.Load()) }

// Cancelled is how many requests ended before their answer was complete because
// the client left or its connection broke. A request is added here before it
// leaves InFlight. Answers that a fault directive ended are not counted.
func (s *Server) Cancelled() int { return int(s.counts.cancelled.Load()) }

// dialect is the protocol that an exchange is held in.
type dialect int

const (
	openAI dialect = iota
	anthropic
)

// always is the dialect of a path that only one protocol has.
func always(d dialect) func(*http.Request) dialect {
	return func(*http.Request) dialect { return d }
}

// byHeader tells the dialect where both protocols share a path.
func byHeader(r *http.Request) dialect {
	if r.Header.Get("anthropic-version") != "" || r.Header.Get("x-api-key") != "" {
		return anthropic
	}
	return openAI
}

// exchange is one request and its answer.
type exchange struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	dialect dialect
	serial  int64 // counts requests from 1; every id of the answer is made from it
	began   time.Time
	body    []byte
}

// serve counts the request, admits it and runs answer. answer returns nil when
// the answer is complete, a *refusal to have it rendered, ended when it stopped
// on purpose, and any other error when the client is gone.
func (s *Server) serve(speaks func(*http.Request) dialect, answer func(*exchange) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.counts.inFlight.Add(1)
		defer s.counts.inFlight.Add(-1)
		x := &exchange{s: s, w: w, r: r, dialect: speaks(r), serial: s.counts.serial.Add(1), began: time.Now()}
		err := x.admit()
		if err == nil {
			err = answer(x)
		}
		if refused, ok := errors.AsType[*refusal](err); ok {
			err = x.refuse(refused)
		}
		if _, onPurpose := errors.AsType[ended](err); err != nil && !onPurpose {
			s.counts.cancelled.Add(1)
		}
	})
}

// admit reads the body, records the request and checks the key. The body is
// read to its end because only then does the HTTP server notice that the client
// leaves.
func (x *exchange) admit() error {
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return x.tooLarge()
	}
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	x.body = body
	if x.s.Log != nil {
		x.s.Log(Request{
			Method: x.r.Method, Host: x.r.Host, Path: x.r.URL.Path, Query: x.r.URL.RawQuery,
			Header: x.r.Header.Clone(), Body: body,
		})
	}
	key := x.key()
	if x.s.Key == "" || !x.s.accepts(key) {
		return x.unauthorized(key)
	}
	return nil
}

// key is the provider key that the request carries, empty if none.
func (x *exchange) key() string {
	if x.dialect == anthropic {
		if key := x.r.Header.Get("x-api-key"); key != "" {
			return key
		}
	}
	scheme, key, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}

// id makes an id that is unique for this Server, such as msg_sim00000007.
func (x *exchange) id(prefix string) string {
	return fmt.Sprintf("%ssim%08d", prefix, x.serial)
}

// nowhere answers paths and methods that neither protocol has.
func (x *exchange) nowhere() error {
	if x.dialect == anthropic {
		return &refusal{status: http.StatusNotFound, kind: "not_found_error", message: "Not found"}
	}
	return &refusal{
		status: http.StatusNotFound, kind: "invalid_request_error",
		message: fmt.Sprintf("Invalid URL (%s %s)", x.r.Method, x.r.URL.Path),
	}
}

// accepts reports whether a key is one of its own.
func (s *Server) accepts(key string) bool {
	good := subtle.ConstantTimeCompare([]byte(key), []byte(s.Key))
	for _, own := range s.Keys {
		good |= subtle.ConstantTimeCompare([]byte(key), []byte(own))
	}
	return good == 1
}
