package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A process that ends between an act and its answer leaves a key that says so.
func TestAnswerLost(t *testing.T) {
	h := open(t)
	keep := h.Answers.Keep
	h.Answers.Keep = func(context.Context, *tenure.Once, tenure.Answer) error { return errors.New("the process ended") }
	post := func(status int, code string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, connectorsPath, strings.NewReader(`{"name":"Okta"}`))
		r.Header.Set("X-Role", string(tenure.SuperAdmin))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k")
		w := httptest.NewRecorder()
		h.router.ServeHTTP(w, r)
		if w.Code != status || !strings.Contains(w.Body.String(), code) || (w.Header().Get("Retry-After") != "") != (code == "request_in_progress") {
			t.Fatalf("%d, want %d with %q\n%v\n%s", w.Code, status, code, w.Header(), w.Body)
		}
	}
	post(http.StatusCreated, `"token":`)
	post(http.StatusConflict, "request_in_progress")
	h.now = h.now.Add(time.Minute)
	post(http.StatusConflict, "answer_not_kept")

	// A day later the key is forgotten: the name is what is in the way.
	h.now = h.now.Add(24 * time.Hour)
	h.Answers.Keep = keep
	post(http.StatusConflict, "uniqueness")
	items, _ := h.ask(tenure.SuperAdmin, http.StatusOK, http.MethodGet, connectorsPath, "")["items"].([]any)
	if len(items) != 2 { // the built-in one is in the list
		t.Errorf("%d connectors", len(items))
	}
}
