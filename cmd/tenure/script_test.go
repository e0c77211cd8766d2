package main

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
	"github.com/tenure-gateway/tenure/internal/postgrestest"
	"github.com/tenure-gateway/tenure/internal/simulator"
)

// commands are what the scripts have besides testscript's own. Those that say
// so print what "stdout" then looks at.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"simulate": simulate,                   // simulate: a provider of both kinds; the environment seeds them
	"upstream": command((*world).upstream), // upstream: prints the headers of the last request that reached the provider
	"transit":  command((*world).transit),  // transit [seal|unseal|busy|idle|opened|rotate]: starts a Vault with the transit key "tenure", which the environment names; or changes it
	"kv":       command((*world).kv),       // kv [seal|unseal|deny|put PATH VALUE]: starts a Vault with KV version 2, which the environment names; or changes it, and what api_key is
	"mounted":  command((*world).mounted),  // mounted DIRECTORY NAME VALUE: a secret as Kubernetes mounts it, or puts another in its place
	"serve":    command((*world).serve),    // serve [NAME=VALUE...]: starts tenure serve, sets $URL; prints its output
	"demo":     command((*world).demo),     // demo ARG...: starts tenure demo, writes its commands to 1.sh, 2.sh, 3.sh; prints its output
	"halt":     command((*world).halt),     // halt: SIGTERM, and exit status 0
	"kill9":    command((*world).kill9),    // kill9
	"replica":  command((*world).replica),  // replica NAME [NAME=VALUE...]: starts another tenure serve on the same database, sets $NAME to its URL; prints its output
	"home":     command((*world).home),     // home NAME: from here on another data directory, with a database of its own
	"own":      command((*world).own),      // own: a database that "down" may end; before serve
	"down":     command((*world).down),     // down: the database is gone
	"up":       command((*world).up),       // up: it is there again
	"http":     command((*world).http),     // http STATUS METHOD PATH [-as USER] [-with TOKEN] [-H HEADER]... [-d BODY|@FILE]; prints the answer
	"answers":  command((*world).answers),  // answers REGEXP STATUS METHOD PATH [flags]: http, again and again until the answer is like it
	"chat":     command((*world).chat),     // chat STATUS: asks the model with $PAT; prints the answer
	"comes":    command((*world).comes),    // comes STATUS [METHOD PATH [flags]]: http, or else chat, again and again until it is answered so
	"messages": command((*world).messages), // messages STATUS: likewise, the Anthropic way
	"guess":    command((*world).guess),    // guess COUNT STATUS [HEADER]: asks with so many made-up tokens; the last answer has this status
	"slowed":   command((*world).slowed),   // slowed METHOD PATH [flags]: http 429; about once in a second the answer may be another, so it asks again
	"mint":     command((*world).mint),     // mint USER: a token over the API; sets $PAT, $TOKEN_ID and $USER_ID
	"stream":   command((*world).stream),   // stream [-messages|-responses] [NAME]: opens a long stream with $PAT; stream -events [NAME]: a page's, with $COOKIE
	"flows":    command((*world).flows),    // flows [NAME]: the stream goes on
	"mark":     command((*world).mark),     // mark: a moment to count from
	"answered": command((*world).answered), // answered: what was begun after mark has been answered; what is promised counts from here
	"cut":      command((*world).cut),      // cut DURATION [NAME]: the stream has ended, after mark, at most so long after it or after answered; prints the stream
	"within":   command((*world).within),   // within DURATION: no more than that has passed since mark
	"use":      command((*world).use),      // use DURATION: uses $PAT again and again
	"lastused": command((*world).lastused), // lastused LOSS: last_used_at of $PAT lacks no use older than LOSS before halt or kill9
	"sql":      command((*world).sql),      // sql STATEMENT: in the database's own shell, answered; :token, :user, :session stand for the ids; prints rows
	"becomes":  command((*world).becomes),  // becomes REGEXP STATEMENT: sql, again and again until it prints a line like it
	"let":      command((*world).let),      // let NAME REGEXP: sets $NAME to what it finds in the last output, its first group if it has one
	"typed":    command((*world).typed),    // typed STATUS FILE|^C PROGRAM ARG...: on a terminal, types the file when it is asked for a secret; prints what stands there then
	"exits":    command((*world).exits),    // exits STATUS PROGRAM ARG...; prints its output
	"logged":   command((*world).logged),   // logged REGEXP: the log has a line like it
	"json":     command((*world).json),     // json: the last output is JSON
	"service":  command((*world).service),  // service NAME SCOPES [TENANT [CIDRS]]: sets $NAME to a token of a service account that is put into the database by hand
	"leakkeys": command((*world).leakkeys), // leakkeys FILE: writes a new public key there; "report" signs with the other half
	"report":   command((*world).report),   // report STATUS BODY: reports leaks as GitHub does; prints the answer
	"unpack":   command((*world).unpack),   // unpack ZIP DIRECTORY: writes what is in a zip file there
	"repack":   command((*world).repack),   // repack ZIP NEW [-NAME | NAME=FILE]...: writes it anew, without a file, with another in its place, or with one more
	"freeport": command((*world).freeport), // freeport NAME...: sets $NAME to an address that is free
}

// world is what a script has started and seen.
type world struct {
	t         testing.TB
	process   *process
	replicas  map[string]*process
	server    *postgrestest.Instance // of "own"
	simulator *httptest.Server
	asked     atomic.Pointer[simulator.Request] // the last that reached it
	vault     *keystest.Transit                 // of "transit"
	secrets   *keystest.KV                      // of "kv"
	streams   map[string]*stream
	marked    time.Time
	promised  time.Time // what promises count from: mark, or answered
	uses      []span    // accepted uses of $PAT
	downAt    time.Time // the last halt or kill9
	leakKey   *ecdsa.PrivateKey
}

// settle is more than the server takes to look at the changes that led to a
// stream: afterwards only a new change makes it look again.
const settle = 200 * time.Millisecond

// span is when a request was under way.
type span struct{ from, to time.Time }

type worldKey struct{}

func command(f func(*world, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command has no negation")
		}
		w, _ := ts.Value(worldKey{}).(*world)
		if err := f(w, ts, args); err != nil {
			time.Sleep(settle) // log lines wait for others
			if w.process != nil {
				ts.Logf("[log of tenure]\n%s", w.process.errors.String())
			}
			for name, p := range w.replicas {
				ts.Logf("[log of %s]\n%s", name, p.errors.String())
			}
			ts.Fatalf("%v", err)
		}
	}
}

// close ends what the script has left running.
func (w *world) close() {
	for _, s := range w.streams {
		s.conn.Close()
	}
	if w.process != nil {
		_ = w.process.kill()
	}
	for _, p := range w.replicas {
		_ = p.kill()
	}
	if w.simulator != nil {
		w.simulator.CloseClientConnections()
		w.simulator.Close()
	}
}

func simulate(ts *testscript.TestScript, _ bool, keys []string) {
	w, _ := ts.Value(worldKey{}).(*world)
	const key = "a-provider-key-for-tests"
	w.simulator = httptest.NewServer((&simulator.Server{Key: key, Keys: keys, Faults: true, Log: func(r simulator.Request) { w.asked.Store(&r) }}).Handler())
	ts.Setenv("OPENAI_API_KEY", key)
	ts.Setenv("OPENAI_BASE_URL", w.simulator.URL+"/v1")
	ts.Setenv("ANTHROPIC_API_KEY", key)
	ts.Setenv("ANTHROPIC_BASE_URL", w.simulator.URL)
}

func (w *world) upstream(ts *testscript.TestScript, _ []string) error {
	last := w.asked.Load()
	if last == nil {
		return errors.New("nothing has reached the provider")
	}
	return last.Header.Write(ts.Stdout())
}

// environment is what "serve" passes on of the script's.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range settings {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func (w *world) serve(ts *testscript.TestScript, args []string) error {
	err := w.start(ts, append(environment(ts), args...), serveReady, "serve")
	if err == nil {
		ts.Setenv("URL", w.process.url)
	}
	return err
}

func (w *world) start(ts *testscript.TestScript, env []string, ready *regexp.Regexp, args ...string) error {
	if w.process != nil {
		return errors.New("one is running already")
	}
	p, err := start(ts.MkAbs("."), env, ready, args...)
	if err != nil {
		return err
	}
	w.process = p
	fmt.Fprint(ts.Stdout(), p.out.String())
	return nil
}

func (w *world) demo(ts *testscript.TestScript, args []string) error {
	env := []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR")}
	if err := w.start(ts, env, demoReady, append([]string{"demo"}, args...)...); err != nil {
		return err
	}
	n := 0
	for line := range strings.SplitSeq(w.process.out.String(), "\n") {
		if strings.HasPrefix(line, "curl ") {
			n++
			if err := os.WriteFile(ts.MkAbs(strconv.Itoa(n)+".sh"), []byte(line+"\n"), 0o600); err != nil {
				return err
			}
		}
	}
	if n != 3 {
		return fmt.Errorf("the demo printed %d commands to paste, not 3", n)
	}
	return nil
}

func (w *world) halt(_ *testscript.TestScript, _ []string) error {
	w.downAt = time.Now()
	p := w.process
	w.process = nil
	return p.stop()
}

func (w *world) kill9(_ *testscript.TestScript, _ []string) error {
	w.downAt = time.Now()
	p := w.process
	w.process = nil
	return p.kill()
}

func (w *world) http(ts *testscript.TestScript, args []string) error {
	r, err := asked(ts, args)
	if err != nil {
		return err
	}
	return w.ask(ts, args[0], r)
}

func (w *world) answers(ts *testscript.TestScript, args []string) error {
	like, err := regexp.Compile(args[0])
	if err != nil {
		return err
	}
	r, err := asked(ts, args[1:])
	if err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second * slower); ; time.Sleep(settle) {
		if res, err := r.do(ts.Getenv("URL")); err != nil {
			return err
		} else if like.MatchString(res.body) {
			return w.ask(ts, args[1], r)
		} else if time.Now().After(end) {
			return fmt.Errorf("%s %s: nothing in it is like %s\n%s", r.method, r.path, args[0], res.body)
		}
	}
}

// asked reads the request of http: STATUS METHOD PATH [flags].
func asked(ts *testscript.TestScript, args []string) (request, error) {
	if len(args) < 3 {
		return request{}, errors.New("usage: http STATUS METHOD PATH [flags]")
	}
	r := request{method: args[1], path: args[2]}
	for flags := args[3:]; len(flags) > 0; flags = flags[2:] {
		if len(flags) < 2 {
			return r, fmt.Errorf("%s needs a value", flags[0])
		}
		switch v := flags[1]; flags[0] {
		case "-as":
			r.header = append(r.header, "X-User-Id: "+v)
		case "-with":
			r.header = append(r.header, "Authorization: Bearer "+v)
		case "-H": // \r and \n are written so
			r.header = append(r.header, strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(v))
		case "-d":
			if name, ok := strings.CutPrefix(v, "@"); ok {
				v = ts.ReadFile(name)
			}
			r.body = v
		default:
			return r, fmt.Errorf("http has no flag %q", flags[0])
		}
	}
	return r, nil
}

// ask sends r, prints the answer and compares its status.
func (w *world) ask(ts *testscript.TestScript, status string, r request) error {
	res, err := r.do(ts.Getenv("URL"))
	if err != nil {
		return err
	}
	if strconv.Itoa(res.StatusCode) != status {
		return fmt.Errorf("%s %s: %s, want %s\n%s", r.method, r.path, res.Status, status, res.body)
	}
	fmt.Fprintf(ts.Stdout(), "%s %s\n", res.Proto, res.Status)
	_ = res.Header.Write(ts.Stdout())
	fmt.Fprintf(ts.Stdout(), "\n%s\n", res.body)
	return nil
}

func (w *world) chat(ts *testscript.TestScript, args []string) error {
	return w.ask(ts, args[0], chat(ts.Getenv("PAT"), false, "Hello"))
}

func (w *world) comes(ts *testscript.TestScript, args []string) error {
	try := w.chat
	if len(args) > 1 {
		try = w.http
	}
	for end := time.Now().Add(20 * time.Second * slower); ; time.Sleep(settle) {
		if err := try(ts, args); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (w *world) messages(ts *testscript.TestScript, args []string) error {
	return w.ask(ts, args[0], messages(ts.Getenv("PAT"), false, "Hello"))
}

func (w *world) guess(ts *testscript.TestScript, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for i := range n {
		r := request{"GET", "/v1/models", append([]string{"Authorization: Bearer " + tenure.NewToken(tenure.KindPAT).Reveal()}, args[2:]...), ""}
		if i == n-1 {
			return slow(args[1], func() error { return w.ask(ts, args[1], r) })
		}
		if res, err := r.do(ts.Getenv("URL")); err != nil || res.StatusCode != 401 && res.StatusCode != 429 {
			return fmt.Errorf("guess %d: %s %w", i, res.body, err)
		}
	}
	return nil
}

func (w *world) slowed(ts *testscript.TestScript, args []string) error {
	args = append([]string{"429"}, args...)
	return slow(args[0], func() error { return w.http(ts, args) })
}

// slow asks for what is to be slowed down up to five times: of those who are
// slowed down about one in a second is not.
func slow(status string, ask func() error) (err error) {
	for range 5 {
		if err = ask(); err == nil || status != "429" {
			break
		}
	}
	return err
}

func (w *world) mint(ts *testscript.TestScript, args []string) error {
	who := []string{"X-User-Id: " + args[0]}
	res, err := request{"POST", "/api/v1/tokens", who, `{"name":"Laptop"}`}.do(ts.Getenv("URL"))
	if err != nil {
		return err
	}
	var minted struct{ Token, ID string }
	if err := json.Unmarshal([]byte(res.body), &minted); err != nil || minted.Token == "" {
		return fmt.Errorf("mint: %s\n%s", res.Status, res.body)
	}
	if res, err = (request{"GET", "/api/v1/me", who, ""}).do(ts.Getenv("URL")); err != nil {
		return err
	}
	var me struct{ ID string }
	if err := json.Unmarshal([]byte(res.body), &me); err != nil || me.ID == "" {
		return fmt.Errorf("me: %s\n%s", res.Status, res.body)
	}
	ts.Setenv("PAT", minted.Token)
	ts.Setenv("TOKEN_ID", minted.ID)
	ts.Setenv("USER_ID", me.ID)
	return nil
}

func (w *world) stream(ts *testscript.TestScript, args []string) error {
	ask := chat
	if len(args) > 0 && args[0] == "-messages" {
		ask, args = messages, args[1:]
	}
	if len(args) > 0 && args[0] == "-responses" {
		ask, args = responses, args[1:]
	}
	if len(args) > 0 && args[0] == "-events" {
		args = args[1:]
		ask = func(string, bool, string) request {
			return request{"GET", "/events", []string{"Cookie: " + ts.Getenv("COOKIE")}, ""}
		}
	}
	s, err := openStream(ts.Getenv("URL"), ask(ts.Getenv("PAT"), true, longPrompt))
	if err == nil {
		w.streams[strings.Join(args, "")] = s
		time.Sleep(settle)
	}
	return err
}

func (w *world) flows(_ *testscript.TestScript, args []string) error {
	return w.streams[strings.Join(args, "")].goesOn()
}

func (w *world) mark(_ *testscript.TestScript, _ []string) error {
	w.marked = time.Now()
	w.promised = w.marked
	return nil
}

// answered is for programs, which take their time to start on a busy machine.
func (w *world) answered(_ *testscript.TestScript, _ []string) error {
	w.promised = time.Now()
	return nil
}

func (w *world) cut(ts *testscript.TestScript, args []string) error {
	limit, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	limit *= slower
	s := w.streams[strings.Join(args[1:], "")]
	select {
	case <-s.ended:
	case <-time.After(time.Until(w.promised.Add(limit + 2*time.Second))):
		return fmt.Errorf("the stream is still open %s after mark", time.Since(w.marked).Round(time.Millisecond))
	}
	text := s.out.String()
	fmt.Fprint(ts.Stdout(), text)
	after, took := s.at.Sub(w.marked).Round(time.Millisecond), s.at.Sub(w.promised).Round(time.Millisecond)
	ts.Logf("the stream ended %s after mark", after)
	switch {
	case s.err != nil:
		return fmt.Errorf("the stream broke off: %w\n%s", s.err, text)
	case after < 0 || took > limit:
		return fmt.Errorf("the stream ended %s after mark and %s after the answer, not within %s\n%s", after, took, limit, text)
	}
	return nil
}

func (w *world) within(_ *testscript.TestScript, args []string) error {
	limit, err := time.ParseDuration(args[0])
	if took := time.Since(w.marked); err == nil && took > limit*slower {
		err = fmt.Errorf("%s have passed since mark, more than %s", took.Round(time.Millisecond), limit)
	}
	return err
}

func (w *world) use(ts *testscript.TestScript, args []string) error {
	howLong, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	r := request{"GET", "/v1/models", []string{"Authorization: Bearer " + ts.Getenv("PAT")}, ""}
	w.uses = nil
	for until := time.Now().Add(howLong); ; time.Sleep(20 * time.Millisecond) {
		from := time.Now()
		res, err := r.do(ts.Getenv("URL"))
		if err != nil || res.StatusCode != 200 {
			return fmt.Errorf("use: %s %w", res.body, err)
		}
		w.uses = append(w.uses, span{from, time.Now()})
		if time.Now().After(until) {
			return nil
		}
	}
}

func (w *world) lastused(ts *testscript.TestScript, args []string) error {
	loss, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	text, err := shell(ts, "SELECT last_used_at FROM api_tokens WHERE id = :token")
	if err != nil {
		return err
	}
	got, err := time.Parse(time.RFC3339, strings.TrimSpace(text))
	if err != nil { // as psql writes it
		got, err = time.Parse("2006-01-02 15:04:05.999999Z07", strings.TrimSpace(text))
	}
	if err != nil {
		return err
	}
	last := w.uses[len(w.uses)-1].to
	for i := len(w.uses) - 1; i >= 0; i-- {
		if u := w.uses[i]; !u.to.After(w.downAt.Add(-loss)) {
			if got.Before(u.from.Truncate(time.Second)) || got.After(last) {
				return fmt.Errorf("last_used_at is %s; used from %s, down at %s, so it should be %s or later", got, w.uses[0].from, w.downAt, u.from.Truncate(time.Second))
			}
			return nil
		}
	}
	return errors.New("no use is older than the loss: use it for longer")
}

func (w *world) sql(ts *testscript.TestScript, args []string) error {
	text, err := shell(ts, strings.Join(args, " "))
	fmt.Fprint(ts.Stdout(), text)
	w.promised = time.Now()
	return err
}

func (w *world) becomes(ts *testscript.TestScript, args []string) error {
	like, err := regexp.Compile("(?m)" + args[0])
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(settle) {
		text, err := shell(ts, strings.Join(args[1:], " "))
		if err != nil {
			return err
		}
		if like.MatchString(text) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after 10 s it is still %s", text)
		}
	}
}

// shell runs a statement in the database's own shell, as an operator does.
func shell(ts *testscript.TestScript, statement string) (string, error) {
	quote := func(name string) string { return "'" + ts.Getenv(name) + "'" }
	statement = strings.NewReplacer(":token", quote("TOKEN_ID"), ":user", quote("USER_ID"), ":session", quote("SESSION_ID")).Replace(statement)
	return sqlShell(ts.Getenv("DB"), statement)
}

func (w *world) let(ts *testscript.TestScript, args []string) error {
	m := regexp.MustCompile("(?m)" + args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		return fmt.Errorf("nothing in the last output is like %s", args[1])
	}
	ts.Setenv(args[0], m[len(m)-1])
	return nil
}

func (w *world) exits(ts *testscript.TestScript, args []string) error {
	got := 0
	// What should end and serves instead is ended, and told by timeout's own status.
	err := ts.Exec("timeout", append([]string{"--kill-after=5", fmt.Sprint(startWait.Seconds())}, args[1:]...)...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got, err = exit.ExitCode(), nil
	}
	if got == 124 {
		err = fmt.Errorf("%s: still running after %s", strings.Join(args[1:], " "), startWait)
	}
	if err == nil && strconv.Itoa(got) != args[0] {
		err = fmt.Errorf("%s: exit status %d, want %s\n%s", strings.Join(args[1:], " "), got, args[0], ts.ReadFile("stderr"))
	}
	return err
}

func (w *world) logged(_ *testscript.TestScript, args []string) error {
	like, err := regexp.Compile(args[0])
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(settle) { // log lines wait for others
		if text := w.process.errors.String(); like.MatchString(text) {
			return nil
		} else if time.Now().After(deadline) {
			return fmt.Errorf("the log has nothing like %s:\n%s", args[0], text)
		}
	}
}

func (w *world) json(ts *testscript.TestScript, _ []string) error {
	if text := ts.ReadFile("stdout"); !json.Valid([]byte(text)) {
		return fmt.Errorf("this is no JSON: %s", text)
	}
	return nil
}

func (w *world) freeport(ts *testscript.TestScript, args []string) error {
	for _, name := range args {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close() // after the last: they must differ
		ts.Setenv(name, ln.Addr().String())
	}
	return nil
}
