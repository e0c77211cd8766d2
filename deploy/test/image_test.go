package deploy

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// instructions of a Dockerfile, one a line, without comments.
func instructions(text string) []string {
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, " ")
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func TestDockerfile(t *testing.T) {
	lines := instructions(read(t, "../Dockerfile"))
	last := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "FROM ") {
			last = i
		}
		for _, never := range []string{":latest", "ADD ", "SECRET", "TOKEN", "PASSWORD", "curl ", "apt-get", "sudo "} {
			if strings.Contains(line, never) {
				t.Errorf("%q in %q", never, line)
			}
		}
	}
	if goVersion := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, root+"/go.mod"))[1]; !strings.Contains(lines[0], "GO_VERSION="+goVersion) {
		t.Errorf("%s, and go.mod has %s", lines[0], goVersion)
	}
	image := strings.Join(lines[last:], "\n")
	for _, want := range []string{
		"FROM scratch", "USER 65532:65532", `ENTRYPOINT ["/tenure"]`, `CMD ["serve"]`, "VOLUME /var/lib/tenure", "TENURE_HOME=/var/lib/tenure",
		"/etc/ssl/certs/ca-certificates.crt", `CMD ["/tenure", "health"]`, "--chown=65532:65532", "org.opencontainers.image.source", "STOPSIGNAL SIGTERM",
	} {
		if !strings.Contains(image, want) {
			t.Errorf("the image has no %s", want)
		}
	}
	if strings.Contains(image, "RUN ") {
		t.Error("something is to be run where there is no shell")
	}
	if build := strings.Join(lines[:last], "\n"); strings.Count(build, "--mount=type=cache") < 3 || strings.Index(build, "COPY go.mod") > strings.Index(build, "COPY . .") {
		t.Error("the build does not keep what it has")
	}
}

// What the build stage is given, and does, makes a static binary, and the same one
// from a copy somewhere else.
func TestImageBinary(t *testing.T) {
	command := regexp.MustCompile(`go build (.*) -o /out/tenure \./cmd/tenure`).FindStringSubmatch(read(t, "../Dockerfile"))
	if command == nil {
		t.Fatal("the Dockerfile builds nothing")
	}
	environ := regexp.MustCompile(`(?m)^ENV (CGO_ENABLED=0 GOFLAGS=-trimpath) GOTOOLCHAIN=local$`).FindStringSubmatch(read(t, "../Dockerfile"))
	if environ == nil {
		t.Fatal("the Dockerfile's environment is not the Makefile's")
	}
	var sums [2][sha256.Size]byte
	for i := range sums {
		dir := context(t)
		out := filepath.Join(dir, "out")
		cmd := exec.Command("sh", "-c", "go build "+command[1]+" -o "+out+" ./cmd/tenure")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), append(strings.Fields(environ[1]), "GOWORK=off")...)
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		binary, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(binary)
		f, err := elf.NewFile(bytes.NewReader(binary))
		if err != nil {
			t.Fatal(err)
		}
		if libs, err := f.ImportedLibraries(); err == nil && len(libs) > 0 {
			t.Errorf("it needs %v, and the image has no library", libs)
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Error("it needs a dynamic linker, and the image has none")
			}
		}
		if bytes.Contains(binary, []byte(dir)) {
			t.Error("it tells where it was built")
		}
		run := exec.Command(out, "version")
		run.Env = []string{"PATH=/nonexistent"}
		if text, err := run.CombinedOutput(); err != nil || !bytes.HasPrefix(text, []byte("tenure ")) {
			t.Errorf("%v %s", err, text)
		}
	}
	if sums[0] != sums[1] {
		t.Error("two builds of the same sources differ")
	}
}

// context copies what Dockerfile.dockerignore lets through, and fails if that is what
// must stay outside.
func context(t *testing.T) string {
	t.Helper()
	ignore := strings.Fields(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(read(t, "../Dockerfile.dockerignore"), ""))
	if ignore[0] != "*" {
		t.Fatal("what is not named goes along")
	}
	dir := t.TempDir()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if name == ".git" || name == ".tools" || d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if ignored(name, ignore) {
			return nil
		}
		if strings.Contains(name, ".env") || strings.HasSuffix(name, ".key") || strings.HasSuffix(name, ".db") {
			t.Errorf("%s goes into the build", name)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_ = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		return os.WriteFile(filepath.Join(dir, name), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// ignored is what Docker makes of the file: the last line that matches decides.
func ignored(name string, lines []string) bool {
	out := false
	for _, line := range lines {
		pattern, not := strings.CutPrefix(line, "!")
		deep, anywhere := strings.CutPrefix(pattern, "**/")
		parts := strings.Split(name, "/")
		for i := range parts {
			from := 0
			if anywhere {
				from = i
			}
			if ok, _ := filepath.Match(deep, strings.Join(parts[from:i+1], "/")); ok {
				out = !not
			}
		}
	}
	return out
}
