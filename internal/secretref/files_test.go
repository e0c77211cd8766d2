package secretref

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		_ = os.Remove(filepath.Join(dir, name))
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put("in/key", "sk-one\n")
	put("in/json", `{"key":"sk-json","n":1}`)
	put("outside", "sk-outside")
	link("../outside", "in/out")
	link(filepath.Join(dir, "outside"), "in/absolute")
	link("..", "in/up")
	put("in/sub/own", "sk-own")
	put("in/other", "sk-other")
	link("../other", "in/sub/link")
	put("single/one", "sk-single")
	if err := syscall.Mkfifo(filepath.Join(dir, "in/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	link("/dev/zero", "in/device")
	// Another tenant's rules are wider, and narrower: they bound nothing here.
	rules := Rules{tenure.DefaultTenant: {"file://" + dir + "/in/", "file://" + dir + "/single/one"}, "acme": {"file://" + dir + "/", "file://" + dir + "/in/sub/"}}
	f := &Files{}
	base := "file://" + dir + "/in/"
	for name, want := range map[string]string{
		"key": "sk-one", "json#key": "sk-json", "json#n": "secret_not_found", "key#key": "secret_not_found", "none": "secret_not_found",
		"out": "secret_denied", "absolute": "secret_denied", "up/outside": "secret_denied", "up": "secret_denied",
		"sub": "secret_not_found", "pipe": "secret_not_found", "device": "secret_denied", "sub/own": "sk-own", "sub/link": "sk-other", "../single/one": "sk-single",
	} {
		path := filepath.Join(dir, "in", name)
		if _, field, ok := strings.Cut(name, "#"); ok {
			path = filepath.Join(dir, "in", strings.TrimSuffix(name, "#"+field)) + "#" + field
		}
		a, ok := rules.bound(tenure.DefaultTenant, address(t, "file://"+path))
		if got := fetch(t, f, a); !ok || got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for path, want := range map[string]string{"in/sub/own": "sk-own", "in/sub/link": "secret_denied", "in/other": "sk-other"} {
		a, _ := rules.bound("acme", address(t, "file://"+dir+"/"+path))
		if got := fetch(t, f, a); got != want {
			t.Errorf("%s of acme: %s, want %s", path, got, want)
		}
	}
	if got := get(t, f, base+"key"); got != "secret_denied" {
		t.Errorf("without a rule that was asked: %s", got)
	}
	// Whoever writes a pipe while it is opened as a file keeps nobody waiting.
	stat := func(string) (os.FileInfo, error) { return os.Stat(filepath.Join(dir, "in/key")) }
	if _, err := readPlain(filepath.Join(dir, "in/pipe"), stat, os.OpenFile); !errors.Is(err, errNoFile) {
		t.Errorf("a pipe in the place of a file: %v", err)
	}
	t.Setenv("A_KEY_OF_THE_TEST", "sk-env")
	if got := get(t, Environment{}, "env://A_KEY_OF_THE_TEST") + get(t, Environment{}, "env://NONE_OF_THE_TEST"); got != "sk-envsecret_not_found" {
		t.Error(got)
	}
}

// Kubelet changes a mounted secret by putting another link in the place of one.
func TestMountedFilesAreWatched(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "openai"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Symlink(version, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	swap("..2026_1", "sk-one")
	if err := os.Symlink("..data/openai", filepath.Join(dir, "openai")); err != nil {
		t.Fatal(err)
	}
	rules := Rules{tenure.DefaultTenant: {"k8s://" + dir + "/"}}
	changed := make(chan string, 10)
	r := &Resolver{
		Allow: rules, Systems: map[string]System{SchemeK8s: &Files{}}, Now: time.Now,
		Changed: func(_ tenure.TenantID, address string) { changed <- address },
	}
	go r.Run(t.Context())
	where := "k8s://" + dir + "/openai"
	if f, err := r.Resolve(t.Context(), tenure.DefaultTenant, where); err != nil || f.Secret.Reveal() != "sk-one" {
		t.Fatal(f.Secret.Reveal(), err)
	}
	swap("..2026_2", "sk-two")
	select {
	case got := <-changed:
		if got != where {
			t.Error(got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the change was not noticed")
	}
	if f, err := r.Resolve(t.Context(), tenure.DefaultTenant, where); err != nil || f.Secret.Reveal() != "sk-two" {
		t.Fatal(f.Secret.Reveal(), err)
	}
}
