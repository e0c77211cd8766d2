package app

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Whoever loses their authority while the body of their request is on its way does
// nothing with it: the request was admitted, and is judged again where it acts.
func TestAuthorityLostInTheMiddle(t *testing.T) {
	in := install(t, "teams")
	h := in.hand()
	account := in.must(http.StatusCreated, person(superAdmin), http.MethodPost, "/api/v1/admin/service-accounts",
		`{"workspace":"default","name":"bot","description":"a bot","owner":"`+superAdmin+`"}`).member("id")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute, DisableKeepAlives: true}}
	mint := "/api/v1/admin/service-accounts/" + account + "/tokens"
	for name, c := range map[string]struct {
		role   tenure.Role
		change string // of the person, by SQL
		status int
	}{
		"deactivated": {tenure.Admin, `UPDATE users SET active = FALSE WHERE id = $1`, http.StatusForbidden},
		"deleted":     {tenure.Admin, `DELETE FROM users WHERE id = $1`, http.StatusUnauthorized},
		"demoted":     {tenure.Admin, `UPDATE users SET role = 'member' WHERE id = $1`, http.StatusForbidden},
		"still there": {tenure.Admin, `UPDATE users SET display_name = 'x' WHERE id = $1`, http.StatusCreated},
	} {
		t.Run(name, func(t *testing.T) {
			userName := strings.ReplaceAll(name, " ", ".") + "@example.com"
			id := h.person("default", userName, c.role)
			body, write := io.Pipe()
			reads := make(chan struct{}) // closed when the server asks for the body: then the request has been admitted
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reads) }})
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, in.url+mint, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Expect", "100-continue")
			person(userName).put(r)
			answered := make(chan *http.Response, 1)
			go func() {
				resp, err := client.Do(r)
				if err != nil {
					t.Error(err)
				}
				answered <- resp
			}()
			<-reads
			h.change(c.change, id)
			if _, err := io.WriteString(write, `{"name":"`+name+`","scopes":["chat"]}`); err != nil {
				t.Fatal(err)
			}
			_ = write.Close()
			resp := <-answered
			if resp == nil {
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != c.status {
				text, _ := io.ReadAll(resp.Body)
				t.Errorf("%d, want %d: %s", resp.StatusCode, c.status, text)
			}
		})
	}
	// The one who stayed made a token, and nobody else did.
	if body := in.must(http.StatusOK, person(superAdmin), http.MethodGet, mint, "").body; strings.Count(body, `"id"`) != 1 {
		t.Errorf("made by somebody who had gone: %s", body)
	}
}
