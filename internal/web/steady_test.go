package web

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// A body that comes slowly is taken, however long it takes; one that stands still is not;
// and whoever has it all may think for longer than a piece may take.
func TestSteadily(t *testing.T) {
	const within = time.Second
	type outcome struct {
		n    int
		err  error
		left error // of the request, after the handler has thought
	}
	got := make(chan outcome, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := Steadily(w, r, within)
		text, err := io.ReadAll(r.Body)
		if err == nil {
			done()
			time.Sleep(within + within/5)
		}
		got <- outcome{len(text), err, r.Context().Err()}
	}))
	srv.Config.ReadTimeout = within // that of everybody else
	srv.Start()
	defer srv.Close()
	send := func(pieces int, pause time.Duration) outcome {
		body, in := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			defer func() { _ = in.Close() }()
			for range pieces {
				_, _ = in.Write([]byte("piece"))
				select {
				case <-time.After(pause):
				case <-ctx.Done():
					return
				}
			}
		}()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if res, err := srv.Client().Do(req); err == nil {
				_ = res.Body.Close()
			}
		}()
		return <-got
	}
	if o := send(10, within/8); o.n != 50 || o.err != nil || o.left != nil {
		t.Errorf("slowly: %d bytes, %v, %v", o.n, o.err, o.left)
	}
	if o := send(2, time.Minute); !tenure.IsKind(o.err, tenure.TooSlow) {
		t.Errorf("standing still: %d bytes, %v", o.n, o.err)
	}
}
