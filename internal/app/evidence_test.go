package app

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Whoever is deactivated while evidence is sent to them gets no more of it: the file has no
// signature and does not open.
func TestADownloadEndsWithWhoAsked(t *testing.T) {
	in := install(t, "teams")
	ada, iris := person(superAdmin), person("iris@example.com")
	for _, p := range []credential{ada, iris} {
		in.must(http.StatusOK, p, http.MethodGet, "/api/v1/me", "")
	}
	id := in.must(http.StatusOK, iris, http.MethodGet, "/api/v1/me", "").member("id")
	in.must(http.StatusOK, ada, http.MethodPut, "/api/v1/admin/users/"+id+"/role", `{"role":"auditor"}`)

	reached, gone := make(chan struct{}), make(chan struct{})
	sign := in.Evidence.Sign
	in.Evidence.Sign = func(ctx context.Context, kind, text string) (string, error) {
		close(reached) // all but the signature is written
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
		}
		return sign(context.WithoutCancel(ctx), kind, text) // who writes it must look again
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, in.url+"/api/v1/admin/evidence", strings.NewReader(`{"from":"2020-01-01T00:00:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	iris.put(req)
	req.Header.Set("Content-Type", "application/json")
	type got struct {
		body    []byte
		status  int
		trailer http.Header
	}
	ended := make(chan got, 1)
	go func() {
		res, err := in.client.Do(req)
		if err != nil {
			ended <- got{}
			return
		}
		body, _ := io.ReadAll(res.Body) // cut, or ended with why
		_ = res.Body.Close()
		ended <- got{body, res.StatusCode, res.Trailer}
	}()
	<-reached
	in.must(http.StatusOK, ada, http.MethodPost, "/api/v1/admin/users/"+id+"/deactivate", `{}`)
	close(gone)
	g := <-ended
	if g.status != http.StatusOK || g.trailer.Get("Tenure-Evidence-Manifest") != "" {
		t.Errorf("%d %v", g.status, g.trailer)
	}
	if _, err := zip.NewReader(bytes.NewReader(g.body), int64(len(g.body))); err == nil || bytes.Contains(g.body, []byte("manifest.note")) {
		t.Errorf("what was sent opens: %d bytes, %v", len(g.body), err)
	}
}
