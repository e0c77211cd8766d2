package scim

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tenure-gateway/tenure"
)

// The seventeenth search at once is asked to come again; a place that is free
// again is given again.
func TestSearchesAreBounded(t *testing.T) {
	s := &SCIM{}
	s.Routes()
	begun, end := make(chan struct{}), make(chan struct{})
	slow := s.bounded(func(http.ResponseWriter, *http.Request) error {
		begun <- struct{}{}
		<-end
		return nil
	})
	r := httptest.NewRequest(http.MethodGet, "/scim/v2/Users", nil)
	done := make(chan error, maxSearches)
	for range maxSearches {
		go func() { done <- slow(httptest.NewRecorder(), r) }()
		<-begun
	}
	if e := tenure.AsError(slow(httptest.NewRecorder(), r)); e.Kind != tenure.TooMany || e.RetryAfter == 0 {
		t.Errorf("one too many: %+v", e)
	}
	close(end)
	for range maxSearches {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	go func() { <-begun }()
	if err := slow(httptest.NewRecorder(), r); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
