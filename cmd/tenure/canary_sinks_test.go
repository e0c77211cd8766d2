package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// canarySink is the value of a header that an audit sink wants.
const canarySink = "canary-header-of-the-audit-sink-9d8e7f"

// sinks has audit events sent to receivers that tell what they got, in what they refuse,
// and waits until they were asked.
func (c *canary) sinks(admin string) {
	c.t.Helper()
	c.secrets[canarySink] = "the header of an audit sink"
	asked := make(chan string, 100)
	telling := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		w.Header().Set("X-Echo", r.Header.Get("X-Api-Key"))
		http.Error(w, "no: "+r.Header.Get("X-Api-Key"), http.StatusUnauthorized)
	}))
	c.t.Cleanup(telling.Close)
	hook := c.ask(201, request{"POST", "/api/v1/admin/audit-sinks", []string{admin}, fmt.Sprintf(`{"name":"hook","kind":"webhook","from_start":true,"address":"%s/hook"}`, telling.URL)})
	var made struct{ Secret string }
	_ = json.Unmarshal([]byte(hook.body), &made)
	c.secrets[made.Secret] = "the secret of an audit sink"
	c.secrets[strings.TrimPrefix(made.Secret, "whsec_")] = "the secret of an audit sink, without its mark"
	otlp := fmt.Sprintf(`{"name":"otlp","kind":"otlp","from_start":true,"address":"%s/logs","header":"X-Api-Key","secret":%q}`, telling.URL, canarySink)
	c.ask(201, request{"POST", "/api/v1/admin/audit-sinks", []string{admin}, otlp})
	c.ask(409, request{"POST", "/api/v1/admin/audit-sinks", []string{admin}, otlp})
	c.ask(422, request{"POST", "/api/v1/admin/audit-sinks", []string{admin}, fmt.Sprintf(`{"name":"x","kind":"syslog","address":"siem:6514","cert":%q,"secret":%[1]q}`, canarySink)})
	c.ask(422, request{"POST", "/api/v1/admin/audit-sinks", []string{admin}, fmt.Sprintf(`{"name":"x","kind":%q,"address":"siem:6514"}`, canarySink)})
	late := time.After(20 * time.Second)
	for seen := map[string]bool{}; len(seen) < 2; {
		select {
		case path := <-asked:
			seen[path] = true
		case <-late:
			c.t.Fatalf("only %v was asked", seen)
		}
	}
	time.Sleep(100 * time.Millisecond) // until what came of it is noted
	c.seen.WriteString(c.ask(200, request{"GET", "/api/v1/admin/audit-sinks", []string{admin}, ""}).body)
	c.seen.WriteString(c.run("", "audit", "sink", "list", "--json"))
}
