package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

// gitleaks is the real scanner, where scripts/tools puts it or on the path.
func gitleaks(t *testing.T) string {
	t.Helper()
	for _, name := range []string{filepath.Join("..", "..", ".tools", "bin", "gitleaks"), "gitleaks"} {
		if program, err := exec.LookPath(name); err == nil || errors.Is(err, exec.ErrDot) {
			program, err = filepath.Abs(program)
			if err != nil {
				t.Fatal(err)
			}
			return program
		}
	}
	t.Fatal("gitleaks is not installed: scripts/tools installs it")
	return ""
}

// The real gitleaks finds every kind of token by the rules that are printed, and
// nothing that merely looks like one.
func TestGitleaksFindsTokens(t *testing.T) {
	dir := t.TempDir()
	var rules, stderr bytes.Buffer
	if status := run([]string{"leaks", "rule", "--format", "gitleaks"}, &rules, &stderr); status != 0 {
		t.Fatal(status, stderr.String())
	}
	var text strings.Builder
	var want []string
	for i := range 200 {
		for _, k := range leakKinds() {
			s := tenure.NewToken(k.kind).Reveal()
			want = append(want, s)
			fmt.Fprintf(&text, [...]string{"api_key=%s\n", "{\"a\":\"x\\n%s\"}\n", "curl -H 'Authorization: Bearer %s' x\n", "%s_suffix\n"}[i%4], s)
		}
	}
	body := strings.Repeat("aB3dE5gH7j", 5)
	for _, near := range []string{
		"tpat_" + body[:45], "tpat_" + body[:47], "tpat-" + body[:46], "xpat_" + body[:46], "TPAT_" + body[:46],
		"tpat_" + strings.Repeat("x", 46), "tscim_EXAMPLEexampleEXAMPLEexampleEXAMPLEexampleEXAMP", "tsvc_" + body[:20] + "-" + body[:25],
	} {
		text.WriteString("near = " + near + "\n")
	}
	for name, content := range map[string]string{"rules.toml": rules.String(), "src/leak.txt": text.String()} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report := filepath.Join(dir, "report.json")
	cmd := exec.Command(gitleaks(t), "dir", "--no-banner", "--config", filepath.Join(dir, "rules.toml"), "--report-path", report, "--exit-code", "7", filepath.Join(dir, "src"))
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("%v\n%s", err, out)
	}
	var found []struct{ RuleID, Secret string }
	if text, err := os.ReadFile(report); err != nil || json.Unmarshal(text, &found) != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		if kind, _ := tenure.KindOfToken(f.Secret); f.RuleID == "tenure-"+string(kind) {
			got = append(got, f.Secret)
		} else if strings.HasPrefix(f.RuleID, "tenure-") {
			t.Errorf("%s found %s", f.RuleID, f.Secret)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for _, s := range got {
			if _, ok := slices.BinarySearch(want, s); !ok {
				t.Errorf("a near miss was taken for a token: %s", s)
			}
		}
		t.Errorf("found %d of %d tokens", len(got), len(want))
	}
}

// The project's own rules are those that it gives to others, and what they pass over in
// its own files hides nothing that is planted there.
func TestGitleaksFindsWhatIsPlantedHere(t *testing.T) {
	own := filepath.Join("..", "..", ".gitleaks.toml")
	text, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	var rules, stderr bytes.Buffer
	if status := run([]string{"leaks", "rule", "--format", "gitleaks"}, &rules, &stderr); status != 0 {
		t.Fatal(status, stderr.String())
	}
	_, printed, _ := strings.Cut(rules.String(), "\n\n")
	if !bytes.Contains(text, []byte(printed)) {
		t.Errorf("%s has not the rules that are printed:\n%s", own, printed)
	}
	dir := t.TempDir()
	random := tenure.NewToken(tenure.KindPAT).Reveal()[5:]
	planted := map[string]string{
		"token.go":        "const token = \"" + tenure.NewToken(tenure.KindService).Reveal() + "\"",
		"backup_test.go":  "secretKey = \"AGE-SECRET-KEY-1" + strings.Repeat("QPZRY9X8GF2TVDW0", 3) + "S3JN54KHCE\"",
		"openai.env":      "OPENAI_API_KEY=sk-proj-" + random + random[:28] + "T3BlbkFJ" + random + random[:28],
		"anthropic.txtar": "sk-ant-api03-" + random + random + "x" + "AA",
		"aws.md":          "AKIA" + "QYLPMN5HHHFPZAM2",
	}
	for name, content := range planted {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report := filepath.Join(dir, "report.json")
	out, _ := exec.Command(gitleaks(t), "dir", "--no-banner", "--config", own, "--report-path", report, dir).CombinedOutput()
	var found []struct{ File string }
	if text, err := os.ReadFile(report); err != nil || json.Unmarshal(text, &found) != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range found {
		delete(planted, filepath.Base(f.File))
	}
	for name, content := range planted {
		t.Errorf("not found: %s: %s", name, content)
	}
}
