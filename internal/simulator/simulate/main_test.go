package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const key = "sk-simulated-for-this-test"

// start runs the program and returns its two addresses, and what ends it.
func start(t *testing.T, args ...string) (provider, inspector string, end func() error) {
	t.Helper()
	stdin, hold := io.Pipe()
	stdout, told := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(t.Context(), args, stdin, told) }()
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var at struct{ Provider, Inspector string }
	if err := json.Unmarshal(line, &at); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return at.Provider, at.Inspector, func() error {
		hold.Close()
		return <-done
	}
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}

func TestInspector(t *testing.T) {
	provider, inspector, end := start(t, "-key", key)
	body := `{"model":"sim-gpt-4o","messages":[{"role":"user","content":"hello"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, provider+"/v1/chat/completions?a=b", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(string(answer), "You said: hello") {
		t.Errorf("the provider answered %d %s", res.StatusCode, answer)
	}

	var requests []request
	get(t, inspector+"/requests", &requests)
	if len(requests) != 1 {
		t.Fatalf("%d requests were noted, not 1", len(requests))
	}
	r := requests[0]
	if r.Method != "POST" || r.Path != "/v1/chat/completions" || r.Query != "a=b" || r.Body != body ||
		"http://"+r.Host != provider || r.Header.Get("Authorization") != "Bearer "+key {
		t.Errorf("noted was %+v", r)
	}

	if res, err := http.Get(provider + "/requests"); err != nil || res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the provider's address tells what the inspector knows: %v %v", res, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if res, err := http.Get(inspector + "/state"); err == nil {
		t.Errorf("it still answers %d after its standard input has ended", res.StatusCode)
	}
}

func TestState(t *testing.T) {
	provider, inspector, end := start(t, "-key", key, "-chunk", "20ms")
	defer end()
	var s struct {
		InFlight  int `json:"in_flight"`
		Cancelled int `json:"cancelled"`
	}
	ctx, leave := context.WithCancel(t.Context())
	body := `{"model":"sim-gpt-4o","stream":true,"messages":[{"role":"user","content":"count to 1000"}]}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, provider+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	get(t, inspector+"/state", &s)
	if s.InFlight != 1 || s.Cancelled != 0 {
		t.Errorf("with an open stream: %+v", s)
	}
	leave()
	for until := time.Now().Add(10 * time.Second); s.InFlight != 0 || s.Cancelled != 1; get(t, inspector+"/state", &s) {
		if time.Now().After(until) {
			t.Fatalf("after the client has left: %+v", s)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestKept(t *testing.T) {
	provider, inspector, end := start(t, "-key", key)
	defer end()
	for range kept + 3 {
		res, err := http.Get(provider + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	var requests []request
	get(t, inspector+"/requests", &requests)
	if len(requests) != kept {
		t.Errorf("%d requests are kept, not %d", len(requests), kept)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"-key", key, "-listen", "nowhere"}, {"-no-such-flag"}} {
		if err := run(t.Context(), args, strings.NewReader(""), io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
