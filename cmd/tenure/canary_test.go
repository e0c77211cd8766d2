package main

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/tenure-gateway/tenure/internal/simulator"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// canary goes through a day's work and remembers every secret that it has met,
// every answer that refused it, and every command's output.
type canary struct {
	t       *testing.T
	dir     string // everything that is written lies below it
	env     []string
	p       *process
	secrets map[string]string // what it is, by value
	seen    strings.Builder   // refusals, streams, output of commands
	db      string            // for whoever types SQL
}

// Secrets that the operator sets. Nothing that Tenure writes may hold them.
const (
	canaryOpenAI    = "sk-canary-openai-6f1d0c9b8a7e"
	canaryAnthropic = "sk-ant-canary-anthropic-51c2d3e4f5a6"
	canaryAdded     = "sk-canary-added-by-hand-0a9b8c7d6e5f"
	canarySCIM      = "canary-scim-connector-4b5a69788796"
	canaryBackup    = "canary-passphrase-of-the-backup-7c6b5a"
	canaryRoot      = "canary-root-token-of-the-operator-1e2d3c"
)

func newCanary(t *testing.T, more ...string) *canary {
	t.Helper()
	dir := t.TempDir()
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	sim := &simulator.Server{Key: canaryOpenAI, Faults: true}
	openAI := httptest.NewServer(sim.Handler())
	t.Cleanup(openAI.Close)
	other := &simulator.Server{Key: canaryAnthropic, Faults: true}
	anthropic := httptest.NewServer(other.Handler())
	t.Cleanup(anthropic.Close)
	c := &canary{t: t, dir: dir, secrets: map[string]string{
		canaryOpenAI: "OpenAI's key", canaryAnthropic: "Anthropic's key", canaryAdded: "a key added by hand",
		canarySCIM: "the SCIM token", canaryRoot: "the operator's root token", canaryBackup: "the backup's passphrase",
	}}
	home := filepath.Join(dir, "home")
	settings, db := goHome(t, home)
	c.db = db
	c.env = append(processEnv(home, "OPENAI_API_KEY="+canaryOpenAI, "OPENAI_BASE_URL="+openAI.URL+"/v1",
		"ANTHROPIC_API_KEY="+canaryAnthropic, "ANTHROPIC_BASE_URL="+anthropic.URL, "TMPDIR="+tmp, "TENURE_BACKUP_PASSPHRASE="+canaryBackup), append(settings, more...)...)
	c.p = serve(t, dir, c.env)
	return c
}

// ask sends a request and, when it is refused, remembers the answer.
func (c *canary) ask(want int, r request) response {
	c.t.Helper()
	res, err := r.do(c.p.url)
	if err != nil {
		c.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	if res.StatusCode != want {
		c.t.Fatalf("%s %s: %s, want %d\n%s", r.method, r.path, res.Status, want, res.body)
	}
	if res.StatusCode >= 400 {
		_ = res.Header.Write(&c.seen)
		c.seen.WriteString(res.body)
	}
	return res
}

// run runs a verb and remembers its output.
func (c *canary) run(stdin string, args ...string) string {
	c.t.Helper()
	cmd := exec.Command("tenure", args...)
	cmd.Env, cmd.Dir, cmd.Stdin = c.env, c.dir, strings.NewReader(stdin)
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// keep remembers a secret that was found in text.
func (c *canary) keep(what, text, pattern string) string {
	c.t.Helper()
	m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(text)
	if m == nil {
		c.t.Fatalf("no %s in %s", what, text)
	}
	secret := m[len(m)-1]
	c.secrets[secret] = what
	return secret
}

const anyToken = `t(?:pat|root)_[0-9A-Za-z]{46}`

// search looks for every secret in all that was written: while the process
// runs, when what was just written is in the write-ahead log, and afterwards.
func (c *canary) search() {
	c.t.Helper()
	c.searchFiles("while it runs")
	if err := c.p.stop(); err != nil {
		c.t.Error(err)
	}
	c.searchFiles("after the stop")
	if !strings.Contains(c.p.errors.String(), `"msg":"request"`) {
		c.t.Error("the log tells of no request")
	}
	c.searchText("the log", c.p.errors.String())
	c.searchText("a refusal or a command's output", c.seen.String())
}

func (c *canary) searchFiles(when string) {
	files, found := 0, false
	prefix := regexp.MustCompile(`t(?:pat_[0-9A-Za-z]|root_)[0-9A-Za-z]{3}[^0-9A-Za-z]`)
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		found = found || prefix.Match(text)
		c.searchText("the file "+filepath.Base(path)+" "+when, string(text))
		return err
	})
	if storetest.OnPostgres() { // its files are not ours to read
		text, err := sqlShell(c.db, ".dump")
		if err != nil {
			c.t.Error(err)
		}
		files++
		found = found || prefix.MatchString(text)
		c.searchText("the database "+when, text)
	}
	if err != nil || files < 2 {
		c.t.Errorf("%d files were searched: %v", files, err)
	}
	if !found {
		c.t.Errorf("the search finds nothing: not even a token's prefix, which is kept")
	}
}

func (c *canary) searchText(where, text string) {
	c.t.Helper()
	for secret, what := range c.secrets {
		for form, s := range formsOf(secret) {
			if at := strings.Index(text, s); at >= 0 {
				c.t.Errorf("%s is in %s, %s: …%q…", what, where, form, strings.ReplaceAll(text[max(0, at-200):at], secret, "SECRET"))
			}
		}
	}
}

// formsOf are the ways in which a secret may have been written: in base64 wherever it
// stands in what was encoded.
func formsOf(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	out := map[string]string{
		"plain": secret, "hexadecimal": hex.EncodeToString([]byte(secret)), "large hexadecimal": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"JSON": strings.Trim(string(quoted), `"`), "JSON with slashes": strings.ReplaceAll(secret, "/", `\/`), "URL": url.QueryEscape(secret),
	}
	for at := range 3 {
		text := []byte(strings.Repeat("x", at) + secret)
		from, to := (at*8+5)/6, len(text)/3*4 // what is before and behind it changes the letters there
		out[fmt.Sprintf("base64 from %d", at)] = base64.StdEncoding.EncodeToString(text)[from:to]
		out[fmt.Sprintf("base64 for URLs from %d", at)] = base64.URLEncoding.EncodeToString(text)[from:to]
	}
	return out
}

// A day's work in teams mode leaves no secret in plain text anywhere.
func TestCanary(t *testing.T) {
	c := newCanary(t, "TENURE_SCIM_TOKEN="+canarySCIM, "TENURE_API_TOKEN="+canaryRoot, "TENURE_ADMINS=grace@example.com")
	alice, grace := "X-User-Id: alice@example.com", "X-User-Id: grace@example.com"
	form := "Content-Type: application/x-www-form-urlencoded"

	// Sign in, and mint in all three ways.
	page := c.ask(200, request{"GET", "/settings", []string{alice}, ""})
	cookie := c.keep("a session's cookie", page.Header.Get("Set-Cookie"), `tenure=([^;]+)`)
	minted := c.ask(201, request{"POST", "/api/v1/tokens", []string{alice}, `{"name":"Laptop"}`})
	pat := c.keep("a token of the API", minted.body, anyToken)
	var row struct{ ID string }
	_ = json.Unmarshal([]byte(minted.body), &row)
	generated := c.ask(200, request{"POST", "/settings/tokens", []string{"Cookie: tenure=" + cookie, form}, "name=Desktop&expires_in=90d&scope=chat&scope=messages&scope=models"})
	second := c.keep("a token of the dashboard", generated.body, anyToken)
	third := c.keep("a token of the command line", c.run("", "token", "create", "--user", "alice@example.com", "--name", "Script"), anyToken)

	// Use them, well and badly.
	for _, token := range []string{pat, second, third} {
		c.ask(200, chat(token, false, "Hello"))
		c.ask(200, messages(token, false, "Hello"))
		c.ask(403, request{"GET", "/settings", []string{"Authorization: Bearer " + token}, ""})
		c.ask(400, request{"GET", "/v1/models?access_token=" + token, nil, ""})
		c.ask(400, request{"GET", "/v1/models", []string{"Authorization: Bearer " + token, "X-Api-Key: " + canaryRoot}, ""})
		c.ask(401, request{"GET", "/v1/models", []string{"Authorization: Bearer " + token + "x"}, ""})
		c.ask(401, request{"GET", "/v1/models", []string{"Authorization: Basic " + token}, ""})
		c.ask(400, request{"POST", chatPath, []string{"Authorization: Bearer " + token}, `{"model":`})
	}
	// A provider that fails, and one that tells the key that it got.
	c.ask(500, chat(pat, false, "fail 500"))
	c.ask(429, chat(pat, false, "fail 429"))
	c.ask(502, chat(pat, false, "fail 401"))
	c.ask(502, chat(pat, false, "redirect"))
	echo := c.ask(500, chat(pat, false, "echo key"))
	if !strings.Contains(echo.body, "[redacted]") {
		t.Errorf("the provider's key was not redacted: %s", echo.body)
	}
	c.ask(500, messages(pat, false, "echo key"))
	c.broken(chat(pat, true, "count to 20 fail midway"))
	c.broken(chat(pat, true, "count to 20 truncate"))

	// Administer, well and badly.
	c.ask(201, request{"POST", "/api/v1/admin/providers", []string{grace}, fmt.Sprintf(`{"name":"added","kind":"openai","base_url":"http://127.0.0.1:9/v1","key":%q}`, canaryAdded)})
	c.ask(409, request{"POST", "/api/v1/admin/providers", []string{grace}, fmt.Sprintf(`{"name":"added","kind":"openai","key":%q}`, canaryAdded)})
	c.ask(422, request{"POST", "/api/v1/admin/providers", []string{grace}, fmt.Sprintf(`{"name":"wrong","kind":%q,"key":7}`, canaryAdded)})
	c.ask(422, request{"POST", "/api/v1/admin/providers", []string{grace}, fmt.Sprintf(`{"name":"wrong","kind":"openai","base_url":"https://u:%s@api.example.com","key":%[1]q}`, canaryAdded)})
	c.seen.WriteString(c.run(canaryAdded+"\n", "provider", "add", "added"))
	c.seen.WriteString(c.run("", "provider", "list", "--json"))
	c.seen.WriteString(c.run("", "token", "list", "--json"))
	c.ask(200, request{"GET", "/api/v1/admin/providers", []string{"Authorization: Bearer " + canaryRoot}, ""})
	c.ask(403, request{"GET", "/v1/models", []string{"Authorization: Bearer " + canarySCIM}, ""})
	c.ask(401, request{"GET", "/scim/v2/Users", []string{"Authorization: Bearer " + canarySCIM[1:]}, ""})

	c.sinks(grace)

	// Cut it all.
	s, err := openStream(c.p.url, chat(pat, true, longPrompt))
	if err != nil {
		t.Fatal(err)
	}
	c.ask(204, request{"DELETE", "/api/v1/tokens/" + row.ID, []string{alice}, ""})
	<-s.ended
	c.seen.WriteString(s.out.String())
	c.ask(401, chat(pat, false, "Hello"))
	c.run("", "user", "deactivate", "alice@example.com")
	c.ask(403, request{"GET", "/settings", []string{alice}, ""})
	c.ask(403, request{"GET", "/settings", []string{alice, "Cookie: tenure=" + cookie}, ""})
	c.searchBackup()
	c.searchEvidence(grace)
	c.search()
}

// searchBackup makes a backup, opens it, and looks into what is in it.
func (c *canary) searchBackup() {
	c.t.Helper()
	name := filepath.Join(c.dir, "canary.age")
	c.seen.WriteString(c.run("", "backup", "create", name))
	f, err := os.Open(name)
	if err != nil {
		c.t.Fatal(err, c.seen.String())
	}
	defer func() { _ = f.Close() }()
	id, err := age.NewScryptIdentity(canaryBackup)
	if err != nil {
		c.t.Fatal(err)
	}
	opened, err := age.Decrypt(f, id)
	if err != nil {
		c.t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(opened)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := io.ReadAll(unpacked)
	if err != nil {
		c.t.Fatal(err)
	}
	if !strings.Contains(string(text), "alice@example.com") {
		c.t.Error("the backup tells of nobody")
	}
	c.searchText("the opened backup", string(text))
}

// broken reads a stream that the provider breaks off.
func (c *canary) broken(r request) {
	c.t.Helper()
	s, err := openStream(c.p.url, r)
	if err != nil {
		c.t.Fatal(err)
	}
	<-s.ended
	c.seen.WriteString(s.out.String())
}

// In single mode the root token is shown once, on standard output, and is
// nowhere else.
func TestCanarySingle(t *testing.T) {
	c := newCanary(t, "TENURE_MODE=single")
	root := c.keep("the root token", c.p.out.String(), anyToken)
	form := "Content-Type: application/x-www-form-urlencoded"
	c.ask(200, chat(root, false, "Hello"))
	login := c.ask(303, request{"POST", "/login", []string{form}, "token=" + root})
	cookie := c.keep("a session's cookie", login.Header.Get("Set-Cookie"), `tenure=([^;]+)`)
	c.ask(401, request{"POST", "/login", []string{form}, "token=" + root + "x"})
	c.ask(400, request{"GET", "/login?token=" + root, nil, ""})
	rotated := c.ask(200, request{"POST", "/settings/root/rotate", []string{"Cookie: tenure=" + cookie, form}, ""})
	next := c.keep("the second root token", rotated.body, anyToken)
	c.ask(401, chat(root, false, "Hello"))
	c.ask(200, chat(next, false, "Hello"))
	last := c.ask(200, request{"POST", "/api/v1/admin/root-token/rotate", []string{"Authorization: Bearer " + next}, ""})
	c.keep("the third root token", last.body, anyToken)
	c.search()
}

// Whoever puts a token where an id or a path belongs finds it in no log and in
// no error: such a slip is the commonest way of losing one.
func TestCanaryMisplaced(t *testing.T) {
	c := newCanary(t)
	alice := "X-User-Id: alice@example.com"
	minted := c.ask(201, request{"POST", "/api/v1/tokens", []string{alice}, `{"name":"Laptop"}`})
	pat := c.keep("a token", minted.body, anyToken)
	with := "Authorization: Bearer " + pat
	for _, r := range []request{
		{"DELETE", "/api/v1/tokens/" + pat, []string{alice}, ""},
		{"GET", "/settings/tokens/" + pat + "/revoke", []string{alice}, ""},
		{"GET", "/v1/models/" + pat, []string{with}, ""},
		{"GET", "/" + pat, []string{alice}, ""},
		{"GET", "/v1/" + pat, nil, ""},
		{"GET", "/scim/v2/Users/" + pat, nil, ""},
		{"POST", chatPath, []string{with}, fmt.Sprintf(`{"model":%q,"messages":[]}`, pat)},
	} {
		res, err := r.do(c.p.url)
		if err != nil {
			t.Fatal(err)
		}
		c.seen.WriteString(res.body)
	}
	c.seen.WriteString(c.run("", "token", "revoke", pat))
	c.seen.WriteString(c.run("", "user", "deactivate", pat))
	c.search()
}
