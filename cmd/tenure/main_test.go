package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// The test binary is also the program: started under the name "tenure" it runs
// main, so that what the tests start is what is built here.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"tenure": main}) }

// TestScript tells the product's stories, one a file in testdata/script. The
// commands that they have besides testscript's own stand in script_test.go.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), Cmds: commands,
		Setup: setUp,
		Condition: func(name string) (bool, error) { // [sqlite] and [postgres]
			return (name == "postgres") == storetest.OnPostgres(), nil
		},
		RequireExplicitExec: true, RequireUniqueNames: true,
	})
}

// scimToken is the SCIM connector's token in every script that sets no other.
const scimToken = "a-scim-connector-token-for-tests"

// setUp gives a script a data directory of its own, teams mode, and any free
// port. What it sets holds for "tenure serve" and for the other verbs alike.
func setUp(env *testscript.Env) error {
	for name, value := range map[string]string{
		"TENURE_MODE": "teams", "TENURE_LISTEN": "127.0.0.1:0",
		"TENURE_SCIM_TOKEN": scimToken, "SCIM": scimToken, "TENURE_SHUTDOWN_GRACE": "1s",
	} {
		env.Setenv(name, value)
	}
	if race, ok := os.LookupEnv("GORACE"); ok { // options of the detector of races
		env.Setenv("GORACE", race)
	}
	w := &world{streams: map[string]*stream{}, replicas: map[string]*process{}}
	w.t, _ = env.T().(testing.TB) // testscript passes on the whole of it
	env.Values[worldKey{}] = w
	env.Defer(w.close)
	return newHome(w.t, filepath.Join(env.WorkDir, "home"), env.Setenv)
}

// settings are the names of the environment that "serve" passes on, where set.
var settings = [...]string{
	"PATH", "HOME", "TMPDIR", "GOCOVERDIR", "GORACE", "TENURE_HOME", "TENURE_DATABASE_URL", "TENURE_MODE", "TENURE_LISTEN", "TENURE_PUBLIC_URL", "TENURE_API_TOKEN",
	"TENURE_SCIM_TOKEN", "TENURE_SCIM_TOKEN_PREVIOUS", "TENURE_REQUIRE_SCIM", "TENURE_ADMINS", "TENURE_TRUSTED_PROXIES", "TENURE_SHUTDOWN_GRACE",
	"OIDC_PROXY_HEADER", "TENURE_KEY_URL", "VAULT_ADDR", "VAULT_TOKEN", "TENURE_SECRET_ADDRESSES", "TENURE_SECRET_GRACE", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL",
}

// processEnv is the environment of a program that a Go test starts.
func processEnv(home string, more ...string) []string {
	env := []string{"TENURE_HOME=" + home, "TENURE_MODE=teams", "TENURE_LISTEN=127.0.0.1:0", "TENURE_SHUTDOWN_GRACE=1s"}
	for _, name := range [...]string{"PATH", "TMPDIR", "GOCOVERDIR", "GORACE"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return append(env, more...)
}

// A command of ours under the name of one of testscript's own would never run:
// "stop", for one, ends a script there and then, as passed.
func TestCommandsAreOurs(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if word, _, _ := strings.Cut(line, " "); word == "stop" || word == "skip" {
				t.Errorf("%s:%d: %q ends the script, as passed; \"halt\" ends the server", name, i+1, word)
			}
		}
	}
	for _, own := range []string{"cd", "chmod", "cmp", "cmpenv", "cp", "env", "exec", "exists", "grep", "mkdir", "mv", "rm", "skip", "stdin", "stderr", "stdout", "stop", "symlink", "ttyin", "ttyout", "unix2dos", "unquote", "wait", "kill"} {
		if commands[own] != nil {
			t.Errorf("the command %q is testscript's own and would hide ours", own)
		}
	}
}
