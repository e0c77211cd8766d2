package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
)

// recorder notes what is answered.
type recorder struct {
	http.ResponseWriter
	ev *Event
	// within is how long a piece of the answer has to leave; 0: the handler says.
	within time.Duration
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		return // a provider's interim answer: its headers have not been looked at
	}
	if w.ev.Status == 0 {
		w.ev.Status = status
		w.Header()["X-Request-Id"] = w.ev.id[:]
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.ev.Status == 0 {
		w.ev.Status = http.StatusOK
	}
	n, err := w.pass(b)
	w.ev.Bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // a fault of ours: the values are our own
		body, status = []byte(`{}`), http.StatusInternalServerError
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// Challenge sets WWW-Authenticate (RFC 6750 §3). A missing credential and a dead
// one are told apart by nothing.
func Challenge(h http.Header, e *tenure.Error) {
	switch {
	case e.Kind == tenure.Unauthenticated:
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	case e.Kind == tenure.Forbidden && e.Code == "insufficient_scope":
		h.Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
	}
}

// Status is the HTTP status of each kind of error: the table that edges share
// where HTTP itself decides.
func Status(k tenure.Kind) int {
	switch k {
	case tenure.Invalid:
		return http.StatusBadRequest
	case tenure.Unauthenticated:
		return http.StatusUnauthorized
	case tenure.Forbidden:
		return http.StatusForbidden
	case tenure.NotFound:
		return http.StatusNotFound
	case tenure.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case tenure.Conflict:
		return http.StatusConflict
	case tenure.Precondition:
		return http.StatusPreconditionFailed
	case tenure.TooLarge:
		return http.StatusRequestEntityTooLarge
	case tenure.UnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case tenure.TooMany:
		return http.StatusTooManyRequests
	case tenure.Unavailable:
		return http.StatusServiceUnavailable
	case tenure.BadGateway:
		return http.StatusBadGateway
	case tenure.GatewayTimeout:
		return http.StatusGatewayTimeout
	case tenure.InsufficientSpace:
		return http.StatusInsufficientStorage
	case tenure.TooSlow:
		return http.StatusRequestTimeout
	case tenure.UpgradeRequired:
		return http.StatusUpgradeRequired
	case tenure.ClientClosed:
		return 499 // nobody reads it; the log line does
	case tenure.Internal:
	}
	return http.StatusInternalServerError
}

// RetryAfter sets Retry-After, in whole seconds, when the error says when.
func RetryAfter(h http.Header, e *tenure.Error) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(int64((e.RetryAfter+time.Second-1)/time.Second)))
	}
}
