package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a quarter has, and how far the bundle and who asked may be apart.
const (
	quarterPeople  = 500
	quarterTokens  = 2000
	quarterLeavers = 40
	quarterApart   = 5 * time.Second
)

// A leaver is somebody who asks for models until they are refused.
type quarterLeaver struct {
	id, name, token  string
	told, seen, done time.Time // when the identity provider told it and was answered, and when they were first refused
}

// Evidence of a quarter, of 500 people with 2,000 tokens of whom 40 leave while they ask,
// verifies where there is nothing but the program and the key, and what it says of the
// leavers is what they saw.
func TestEvidenceOfAQuarter(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	settings, _ := goHome(t, home)
	const scim = "a-connector-token-of-the-quarter"
	env := processEnv(home, append(settings, "TENURE_SCIM_TOKEN="+scim)...)
	begin := time.Now()
	p := serve(t, dir, env)
	q := &quarter{t: t, url: p.url, scim: "Authorization: Bearer " + scim}
	q.people()
	leavers := q.tokens()
	q.leave(leavers)
	bundle := filepath.Join(dir, "quarter.zip")
	run := func(in string, env []string, args ...string) string {
		t.Helper()
		cmd := exec.Command("tenure", args...)
		cmd.Dir, cmd.Env = in, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tenure %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run(dir, env, "evidence", "export", "--from", begin.UTC().Add(-time.Second).Format(time.RFC3339), "--sample", "25", "--seed", "q4", "--output", bundle)
	key := regexp.MustCompile(`(?m)^(tenure/\S+)`).FindString(run(dir, env, "audit", "keys"))
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	elsewhere := t.TempDir()
	if err := os.Rename(bundle, filepath.Join(elsewhere, "quarter.zip")); err != nil {
		t.Fatal(err)
	}
	out := run(elsewhere, []string{"PATH=" + os.Getenv("PATH")}, "evidence", "verify", "quarter.zip", "--key", key)
	if !strings.Contains(out, "are at their places") {
		t.Errorf("%s", out)
	}
	q.compare(filepath.Join(elsewhere, "quarter.zip"), leavers)
}

type quarter struct {
	t         *testing.T
	url, scim string
}

func quarterName(i int) string { return fmt.Sprintf("person%03d@example.com", i) }

// people provisions everybody.
func (q *quarter) people() {
	q.t.Helper()
	const at = 100
	for from := 0; from < quarterPeople; from += at {
		var ops []string
		for i := from; i < from+at; i++ {
			ops = append(ops, fmt.Sprintf(`{"method":"POST","path":"/Users","bulkId":"b%d","data":{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"active":true}}`, i, quarterName(i)))
		}
		res, err := request{"POST", "/scim/v2/Bulk", []string{q.scim}, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[` + strings.Join(ops, ",") + `]}`}.do(q.url)
		if err != nil || res.StatusCode != 200 || strings.Count(res.body, `"201"`) != at {
			q.t.Fatalf("bulk: %v %v", err, res)
		}
	}
}

// tokens mints four for everybody, and gives the first 40 people.
func (q *quarter) tokens() []*quarterLeaver {
	q.t.Helper()
	leavers := make([]*quarterLeaver, quarterLeavers)
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < quarterPeople; i += 8 {
				who := []string{"X-User-Id: " + quarterName(i)}
				var token struct{ Token string }
				for n := range quarterTokens / quarterPeople {
					res, err := request{"POST", "/api/v1/tokens", who, fmt.Sprintf(`{"name":"Device %d"}`, n)}.do(q.url)
					if err != nil || json.Unmarshal([]byte(res.body), &token) != nil || token.Token == "" {
						q.t.Errorf("mint: %v %v", err, res)
						return
					}
				}
				if i < quarterLeavers {
					res, err := request{"GET", "/api/v1/me", who, ""}.do(q.url)
					l := &quarterLeaver{name: quarterName(i), token: token.Token}
					var me struct{ ID string }
					if err != nil || json.Unmarshal([]byte(res.body), &me) != nil {
						q.t.Errorf("me: %v %v", err, res)
						return
					}
					l.id = me.ID
					leavers[i] = l
				}
			}
		})
	}
	wg.Wait()
	if q.t.Failed() {
		q.t.FailNow()
	}
	return leavers
}

// leave has each leaver ask until they are refused, and the identity provider tell of
// them one after the other.
func (q *quarter) leave(leavers []*quarterLeaver) {
	q.t.Helper()
	var wg sync.WaitGroup
	for _, l := range leavers {
		wg.Go(func() {
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
				res, err := request{"GET", "/v1/models", []string{"Authorization: Bearer " + l.token}, ""}.do(q.url)
				if err == nil && (res.StatusCode == 401 || res.StatusCode == 429) { // many who are refused are slowed down
					l.seen = time.Now()
					return
				}
			}
			q.t.Errorf("%s is never refused", l.name)
		})
	}
	for _, l := range leavers {
		l.told = time.Now()
		res, err := request{"PATCH", "/scim/v2/Users/" + l.id, []string{q.scim}, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`}.do(q.url)
		l.done = time.Now()
		if err != nil || res.StatusCode != 200 {
			q.t.Fatalf("deactivate: %v %v", err, res)
		}
	}
	wg.Wait()
}

// compare holds what the bundle says of the leavers against what they saw.
func (q *quarter) compare(bundle string, leavers []*quarterLeaver) {
	q.t.Helper()
	rows := map[string]map[string]any{}
	for _, row := range bundleRows(q.t, bundle, "leavers.jsonl") {
		rows[fmt.Sprint(row["user_id"])] = row
	}
	if len(rows) != quarterLeavers {
		q.t.Errorf("the bundle has %d leavers", len(rows))
	}
	for _, l := range leavers {
		row := rows[l.id]
		received, err := time.Parse(time.RFC3339Nano, fmt.Sprint(row["received_at"]))
		took, isNumber := row["all_ended_ms"].(float64)
		if err != nil || !isNumber || row["user_name"] != l.name || row["by"] != "scim:TENURE_SCIM_TOKEN" || row["living_tokens"] != 0.0 || row["last_credential_ended_ms"] == nil {
			q.t.Errorf("%s: %v", l.name, row)
			continue
		}
		ended := received.Add(time.Duration(took * float64(time.Millisecond)))
		if received.Before(l.told.Add(-quarterApart)) || ended.After(l.done.Add(quarterApart)) || ended.Sub(l.seen).Abs() > quarterApart {
			q.t.Errorf("%s: the bundle says that all had ended %v after it was told, and they saw it after %v", l.name, ended.Sub(l.told), l.seen.Sub(l.told))
		}
	}
	if n := len(bundleRows(q.t, bundle, "people.jsonl")); n != quarterPeople {
		q.t.Errorf("%d people", n)
	}
	if n := len(bundleRows(q.t, bundle, "tokens.jsonl")); n != quarterTokens {
		q.t.Errorf("%d tokens", n)
	}
	if n := len(bundleRows(q.t, bundle, "sample.jsonl")); n != 50 {
		q.t.Errorf("a sample of %d", n)
	}
	for _, c := range bundleRows(q.t, bundle, "checks.jsonl") {
		if strings.HasPrefix(fmt.Sprint(c["check_id"]), "leavers.") && (c["result"] != "passed" || c["population"] != float64(quarterLeavers)) {
			q.t.Errorf("%v", c)
		}
	}
}
