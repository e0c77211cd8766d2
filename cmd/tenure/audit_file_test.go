package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The process is killed while it writes the file of audit events: afterwards each event
// is there once, whole and in its place.
func TestKillWhileWritingTheAuditFile(t *testing.T) {
	dir := t.TempDir()
	home, file := filepath.Join(dir, "home"), filepath.Join(dir, "audit.jsonl")
	settings, db := goHome(t, home)
	p := serve(t, dir, processEnv(home, settings...))
	if _, err := sqlShell(db, manyEvents(6000)); err != nil {
		t.Fatal(err)
	}
	if err := p.stop(); err != nil { // they have their places
		t.Fatal(err)
	}
	settings = append(settings, "TENURE_AUDIT_FILE="+file, "TENURE_AUDIT_FILE_SIZE=300KiB", "TENURE_AUDIT_FILE_KEEP=1000")
	for range 3 {
		before := written(t, file)
		p = serve(t, dir, processEnv(home, settings...))
		for deadline := time.Now().Add(10 * time.Second); written(t, file) == before && time.Now().Before(deadline); {
			time.Sleep(100 * time.Microsecond)
		}
		time.Sleep(rand.N(8 * time.Millisecond))
		if err := p.kill(); err != nil {
			t.Error(err)
		}
		t.Logf("killed at %d bytes", written(t, file))
	}
	p = serve(t, dir, processEnv(home, settings...))
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	count, err := sqlShell(db, "SELECT count(*) FROM audit_leaves")
	if err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	for _, name := range filesOf(t, file) {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var line struct{ Place *int64 }
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
			if line.Place != nil && *line.Place != next {
				t.Fatalf("place %d is where %d should be", *line.Place, next)
			}
			if line.Place != nil {
				next++
			}
		}
		_ = f.Close()
	}
	if fmt.Sprint(next) != strings.TrimSpace(count) {
		t.Errorf("%d of %s events", next, count)
	}
}

// manyEvents inserts events by hand.
func manyEvents(n int) string {
	return fmt.Sprintf(`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d)
		INSERT INTO audit_events (id, at, tenant_id, action, actor_kind, outcome) SELECT 'hand-' || i, '2026-01-01T00:00:00Z', 'default', 'user.updated', 'system', 'success' FROM c`, n)
}

// filesOf are the file and those that were put aside, the oldest first.
func filesOf(t *testing.T, file string) []string {
	t.Helper()
	names, err := filepath.Glob(file + ".0*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		names = append(names, file)
	}
	return names
}

func written(t *testing.T, file string) int64 {
	t.Helper()
	all := int64(0)
	for _, name := range filesOf(t, file) {
		if info, err := os.Stat(name); err == nil { // it may be put aside this moment
			all += info.Size()
		}
	}
	return all
}
