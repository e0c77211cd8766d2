// Package clients tests Tenure with the clients that Go programs use: openai-go
// and anthropic-sdk-go. It owns what these tests stand on: the simulated
// provider and, in front of it, "tenure serve" in teams mode, each a process of
// its own. It imports nothing of the product; the program under test is the one
// that TENURE_BIN names.
package clients

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// promised is how soon a revocation must have ended a stream: a second, and
	// a margin for the machine.
	promised = time.Second + 500*time.Millisecond
	// long is slow enough to be still under way when it is cut, and no longer
	// than 10 s.
	long = "count to 500 every 20ms"
	// patience is for what has no promised time.
	patience = 10 * time.Second
)

// anyToken is what access tokens look like, wherever they stand in a text.
var anyToken = regexp.MustCompile(`t(pat|svc|scim|root)_[0-9A-Za-z]{46}`)

// onALeash reads its program's path as $0. It tells the process id, and ends
// the program when standard input ends: then nothing is left behind, whatever
// becomes of the test. The shell lets go of standard output, which so ends with
// the program.
const onALeash = `"$0" serve & child=$!; echo "$child"; exec >&-; read -r _; kill "$child"; wait "$child"`

// stand is what a test stands on. Make it with start.
type stand struct {
	url         string // of Tenure, without a path
	bin, home   string // of Tenure
	providerKey string
	scimToken   string
	inspector   string
	people      int
}

// start builds and starts everything, and ends it with the test. What Tenure
// has written then holds no secret.
func start(t *testing.T) *stand {
	t.Helper()
	bin := os.Getenv("TENURE_BIN")
	if bin == "" {
		t.Fatal("TENURE_BIN must name the program under test")
	}
	dir := t.TempDir()
	simulate := filepath.Join(dir, "simulate")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../../..", "-trimpath", "-o", simulate, "./internal/simulator/simulate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the simulated provider: %v\n%s", err, out)
	}
	s := &stand{providerKey: "sk-sim-" + rand.Text(), scimToken: rand.Text() + rand.Text()}
	told := spawn(t, filepath.Join(dir, "simulate.log"), 1, nil, simulate, "-faults", "-key", s.providerKey)
	var at struct{ Provider, Inspector string }
	if err := json.Unmarshal([]byte(told[0]), &at); err != nil {
		t.Fatalf("%s: %v", told, err)
	}
	s.inspector = at.Inspector

	home, logs := filepath.Join(dir, "home"), filepath.Join(dir, "tenure.log")
	t.Cleanup(func() { s.inspectFiles(t, logs, home) }) // runs after the processes have ended
	told = spawn(t, logs, 2, []string{
		"TENURE_MODE=teams", "TENURE_HOME=" + home, "TENURE_LISTEN=127.0.0.1:0",
		"TENURE_SCIM_TOKEN=" + s.scimToken, "TENURE_SHUTDOWN_GRACE=1s",
		"OPENAI_API_KEY=" + s.providerKey, "OPENAI_BASE_URL=" + at.Provider + "/v1",
		"ANTHROPIC_API_KEY=" + s.providerKey, "ANTHROPIC_BASE_URL=" + at.Provider,
	}, "sh", "-c", onALeash, bin)
	_, s.url, _ = strings.Cut(told[1], "serves on ")
	s.bin, s.home = bin, home
	return s
}

// policy sets keys of the tenant's policy, as an administrator does at the
// command line.
func (s *stand) policy(t *testing.T, settings ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.bin, append([]string{"policy", "set"}, settings...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TENURE_HOME=" + s.home}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("policy: %v\n%s", err, out)
	}
}

// spawn starts a program with no environment but env, and returns the first
// lines that it prints. It ends with the test.
func spawn(t *testing.T, logs string, lines int, env []string, name string, args ...string) []string {
	t.Helper()
	log, err := os.Create(logs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Stderr = slices.Concat(env, []string{"PATH=" + os.Getenv("PATH")}), log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		late := time.AfterFunc(patience, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		cmd.Wait()
		if !late.Stop() {
			t.Errorf("%s had to be killed", name)
		}
		log.Close()
	})
	var told []string
	for scan := bufio.NewScanner(stdout); len(told) < lines && scan.Scan(); {
		told = append(told, scan.Text())
	}
	if len(told) < lines {
		text, _ := os.ReadFile(logs)
		t.Fatalf("%s did not start: %s", name, text)
	}
	return told
}

// inspectFiles looks for secrets in what Tenure has written.
func (s *stand) inspectFiles(t *testing.T, logs, home string) {
	names, _ := filepath.Glob(filepath.Join(home, "*"))
	if !slices.Contains(names, filepath.Join(home, "tenure.db")) {
		t.Errorf("no database among %q", names)
	}
	for _, name := range append(names, logs) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
		}
		if anyToken.Match(text) || bytes.Contains(text, []byte(s.providerKey)) {
			t.Errorf("%s holds a secret", filepath.Base(name))
		}
	}
}

// person is somebody with a token.
type person struct {
	s        *stand
	userName string
	user     string // id
	token    string
	tokenID  string
}

// person makes a new one, whose token has these scopes or the usual ones.
func (s *stand) person(t *testing.T, scopes ...string) *person {
	t.Helper()
	s.people++
	p := &person{s: s, userName: fmt.Sprintf("person-%d@example.com", s.people)}
	var made struct{ ID, Token string }
	as := http.Header{"X-User-Id": {p.userName}, "Content-Type": {"application/json"}}
	ask := map[string]any{"name": "a client"}
	if len(scopes) > 0 {
		ask["scopes"] = scopes
	}
	body, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.call("POST", "/api/v1/tokens", as, string(body), &made); err != nil {
		t.Fatal(err)
	}
	p.token, p.tokenID = made.Token, made.ID
	if err := s.call("GET", "/api/v1/me", as, "", &made); err != nil {
		t.Fatal(err)
	}
	p.user = made.ID
	return p
}

// ways are how a person loses a token.
var ways = map[string]func(*person) error{
	"revoke": func(p *person) error {
		return p.s.call("DELETE", "/api/v1/tokens/"+p.tokenID, http.Header{"X-User-Id": {p.userName}}, "", nil)
	},
	"deactivate": func(p *person) error { // what an identity provider sends
		as := http.Header{"Authorization": {"Bearer " + p.s.scimToken}, "Content-Type": {"application/scim+json"}}
		return p.s.call("PATCH", "/scim/v2/Users/"+p.user, as, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
			"Operations":[{"op":"replace","value":{"active":false}}]}`, nil)
	},
}

func (s *stand) call(method, path string, header http.Header, body string, into any) error {
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = header
	return fetch(req, into)
}

func fetch(req *http.Request, into any) error {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s %s", req.Method, req.URL.Path, res.Status, text)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	return err
}

// upstream is the provider's side: how many requests it is serving, and how
// many were broken off.
type upstream struct {
	InFlight  int `json:"in_flight"`
	Cancelled int `json:"cancelled"`
}

func (s *stand) ask(t *testing.T, path string, into any) {
	t.Helper()
	req, err := http.NewRequest("GET", s.inspector+path, nil)
	if err == nil {
		err = fetch(req, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// untilUpstream waits until the provider serves n requests.
func (s *stand) untilUpstream(t *testing.T, n int) upstream {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var u upstream
		s.ask(t, "/state", &u)
		if u.InFlight == n {
			return u
		}
		if time.Now().After(until) {
			t.Fatalf("the provider serves %d requests, not %d", u.InFlight, n)
		}
	}
}

// request is one that reached the provider.
type request struct {
	Query  string
	Header map[string][]string
	Body   string
}

// received is what has reached the provider, oldest first.
func (s *stand) received(t *testing.T) []request {
	t.Helper()
	var all []request
	s.ask(t, "/requests", &all)
	if len(all) == 0 {
		t.Fatal("nothing has reached the provider")
	}
	return all
}

// lastReceived is the last request, without the headers that a provider should
// get, whose values are returned; what is left should not be there.
func (s *stand) lastReceived(t *testing.T, headers ...string) (r request, values []string) {
	t.Helper()
	all := s.received(t)
	r = all[len(all)-1]
	for _, name := range headers {
		values = append(values, strings.Join(r.Header[name], ", "))
		delete(r.Header, name)
	}
	return r, values
}

// nothingOfTheCallers looks at what a provider got for what names the caller.
func (s *stand) nothingOfTheCallers(t *testing.T, r request) {
	t.Helper()
	if len(r.Header) > 0 || r.Query != "" {
		t.Errorf("the provider got, besides what it should: headers %v, query %q", r.Header, r.Query)
	}
	ofTheCaller := regexp.MustCompile(`of-the-caller|192\.0\.2\.7|@example\.com`)
	if text := fmt.Sprint(r); ofTheCaller.MatchString(text) || anyToken.MatchString(text) {
		t.Errorf("the provider got something of the caller's: %s", text)
	}
}

// callersHeaders are what a caller may send and no provider should get.
func callersHeaders(p *person) map[string]string {
	return map[string]string{
		"Cookie": "tenure=cookie-of-the-caller", "X-User-Id": p.userName, "X-Forwarded-For": "192.0.2.7",
		"Forwarded": "for=192.0.2.7", "X-Real-Ip": "192.0.2.7", "X-Of-The-Caller": "header-of-the-caller",
	}
}

// noTokenReceived looks at everything that ever reached the provider.
func (s *stand) noTokenReceived(t *testing.T) {
	t.Helper()
	for _, r := range s.received(t) {
		if text := fmt.Sprint(r); anyToken.MatchString(text) {
			t.Errorf("the provider got a token: %s", text)
		}
	}
}

// stream is what the streams of both clients are.
type stream interface {
	Next() bool
	Err() error
	Close() error
}

// endedBy reads a stream and, when it is well under way, takes the person's
// access. The stream must end with an error, and the provider's side of it must
// end, both within what is promised from the call on. It returns the error.
func (s *stand) endedBy(t *testing.T, p *person, way func(*person) error, st stream) error {
	t.Helper()
	defer st.Close()
	before := s.untilUpstream(t, 1)
	var began time.Time
	ended := make(chan error, 1)
	chunks := 0
	for st.Next() {
		if chunks++; chunks == 5 {
			began = time.Now()
			go func() { ended <- way(p) }()
		}
	}
	err := st.Err()
	if began.IsZero() {
		t.Fatalf("the stream broke off after %d chunks: %v", chunks, err)
	}
	if took := time.Since(began); took > promised {
		t.Errorf("the stream ended %s after the call", took)
	}
	if err == nil {
		t.Errorf("the stream ended after %d chunks as if its answer were complete", chunks)
	}
	after := s.untilUpstream(t, 0)
	if took := time.Since(began); took > promised {
		t.Errorf("the provider was left %s after the call", took)
	}
	if after.Cancelled != before.Cancelled+1 {
		t.Errorf("%d requests to the provider were broken off", after.Cancelled-before.Cancelled)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return err
}

// leaves begins a call that it leaves once the provider serves it. The
// provider's side must end too. It returns the call's error.
func (s *stand) leaves(t *testing.T, call func(context.Context) error) error {
	t.Helper()
	before := s.untilUpstream(t, 0)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }()
	s.untilUpstream(t, 1)
	leave()
	err := <-ended
	if after := s.untilUpstream(t, 0); after.Cancelled != before.Cancelled+1 {
		t.Errorf("%d requests to the provider were broken off", after.Cancelled-before.Cancelled)
	}
	return err
}

// wrongTokens are not tokens, or not any more.
func (s *stand) wrongTokens(p *person) map[string]string {
	return map[string]string{
		"malformed": "not-a-token", "of a wrong checksum": "tpat_" + strings.Repeat("0", 46),
		"cut short": p.token[:len(p.token)-1], "the provider's own key": s.providerKey,
	}
}

// image is one of 200 kB: to the simulated provider any bytes are one.
func image() []byte {
	b := make([]byte, 200_000)
	rand.Read(b)
	return b
}

// counting is "1 2 3 … n", the simulated provider's answer to "count to n".
func counting(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprint(i + 1)
	}
	return strings.Join(words, " ")
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, not %v", what, got, want)
	}
}

func contains(t *testing.T, what, got, want string) {
	t.Helper()
	if !strings.Contains(got, want) {
		t.Errorf("%s is %q, without %q", what, got, want)
	}
}

// must is for what the rest of a test cannot do without.
func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
