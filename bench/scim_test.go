package main

import (
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSCIMPlan(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parseSCIM([]string{"-tenure", self, "-short"}, io.Discard)
	if err != nil || p.users != 2000 || p.members != 1000 || p.removals != 100 || p.more != 0 {
		t.Errorf("-short: %+v, %v", p, err)
	}
	for _, wrong := range []string{"-users 9", "-conns 0", "-more -1", "-members 0", "-users 10 -members 11", "-removals 0", "-members 5 -removals 6", "-tenure none", "more"} {
		if _, err := parseSCIM(append([]string{"-tenure", self}, strings.Fields(wrong)...), io.Discard); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

func TestSCIMBodies(t *testing.T) {
	var user struct{ UserName, ExternalID string }
	if err := json.Unmarshal([]byte(scimUser(42)), &user); err != nil || user.UserName != "user0000042@example.com" || user.ExternalID != "ext0000042" {
		t.Errorf("user: %+v, %v", user, err)
	}
	ids := []string{"a", "b", "c", "d", "e"}
	patch := scimPatch(append([]string{addMembers(ids[:2])}, removeMembers(ids, 2)...))
	want := `{"schemas":["` + patchURN + `"],"Operations":[{"op":"add","path":"members","value":[{"value":"a"},{"value":"b"}]},` +
		`{"op":"remove","path":"members[value eq \"a\"]"},{"op":"remove","path":"members[value eq \"c\"]"}]}`
	if patch != want || !json.Valid([]byte(patch)) {
		t.Errorf("patch:\n%s\nnot\n%s", patch, want)
	}
	question, err := url.Parse(scimFilter("x@y.org"))
	if err != nil || question.Query().Get("filter") != `userName eq "x@y.org"` {
		t.Errorf("filter: %v, %v", question, err)
	}
	request := string(scimRequest("h:1", "POST", "/Users", "{}"))
	if !strings.HasPrefix(request, "POST /scim/v2/Users HTTP/1.1\r\nHost: h:1\r\n") || !strings.HasSuffix(request, "Content-Length: 2\r\n\r\n{}") {
		t.Errorf("request: %q", request)
	}
}

func TestSCIMAnswers(t *testing.T) {
	if id, err := idOf([]byte(`{"id":"7","members":[{"id":"8"}]}`)); id != "7" || err != nil {
		t.Errorf("id %q, %v", id, err)
	}
	for _, wrong := range []string{`{}`, ``, `[]`} {
		if _, err := idOf([]byte(wrong)); err == nil {
			t.Errorf("an id in %q", wrong)
		}
	}
	if err := found([]byte(`{"Resources":[{"userName":"x"}],"totalResults":1}`), "x"); err != nil {
		t.Error(err)
	}
	if found([]byte(`{"totalResults":0}`), "x") == nil || found([]byte(`{"Resources":[{"userName":"y"}],"totalResults":1}`), "x") == nil {
		t.Error("found what is not there")
	}
}

func TestSCIMReport(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -100: "-100", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q", n, got)
		}
	}
	step := scimStep{title: "x", count: 3000, took: time.Second, p50: 500 * time.Microsecond, p99: 2 * time.Millisecond, cpu: 321 * time.Microsecond, rss: 5e7, peak: 6e7}
	if got, want := step.row(), "| x | 3,000 | 3000 | 0.50 | 2.00 | 321 | 50 | 60 | - |"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	for goal, want := range map[scimGoal]string{
		goalCreate: "at least 2,000/s: met",
		goalFilter: "p99 below 1ms: **missed** (met at p50)",
		goalPatch:  "below 1s: **missed**",
	} {
		if step.judge(goal); step.goal != want {
			t.Errorf("goal %q, not %q", step.goal, want)
		}
	}
}

// TestSCIMScript runs the script on the tables that it writes to.
func TestSCIMScript(t *testing.T) {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Fatal(err) // scripts/tools installs it
	}
	cmd := exec.CommandContext(t.Context(), "sqlite3", filepath.Join(t.TempDir(), "x.db"))
	cmd.Stdin = strings.NewReader(`create table users (id unique, tenant_id, user_name, user_name_fold, display_name, display_name_fold, external_id, source, profile, created_at, updated_at);
create table user_emails (user_id, n, type_fold, value_fold);
create table memberships (tenant_id, workspace_id, user_id, created_at);
` + sqlScript(7, 3) + `select count(*), min(user_name), max(user_name), min(external_id) from users;
select count(*), min(user_id) from user_emails; select count(*) from memberships;`)
	out, err := cmd.CombinedOutput()
	want := "3|" + scimName(7) + "|" + scimName(9) + "|ext0000007\n3|01a20000-0000-7000-8000-000000000007\n3\n"
	if err != nil || string(out) != want {
		t.Errorf("%v: %s, not %s", err, out, want)
	}
}

func TestRewrapPlan(t *testing.T) {
	for _, wrong := range []string{"-rows 0", "-rounds 0", "more"} {
		if err := commandRewrap(t.Context(), strings.Fields(wrong), io.Discard, io.Discard); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}
