package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Lists of models are in flight while a provider hangs, and count to whoever asks.
func TestListsAreShared(t *testing.T) {
	asked, over := make(chan struct{}, 2), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-over
	}))
	t.Cleanup(up.Close)
	one := limits
	one.MaxPerOwner = 1
	w := newWorldWithin(t, up.URL, one)
	client := &http.Client{Timeout: 5 * time.Second}
	get := func(path string) int {
		res, err := client.Get(w.url + path)
		if err != nil {
			t.Error(err)
			return 0
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	first := make(chan int)
	go func() { first <- get("/v1/models") }()
	<-asked
	for _, path := range []string{"/v1/models", "/v1/models/any"} {
		if status := get(path); status != http.StatusTooManyRequests {
			t.Errorf("%s beside the one that they may have: %d", path, status)
		}
	}
	close(over)
	if status := <-first; status != http.StatusServiceUnavailable { // the provider said nothing of use
		t.Errorf("the first: %d", status)
	}
	if status := get("/v1/models"); status == http.StatusTooManyRequests {
		t.Error("the share is not given back")
	}
}
