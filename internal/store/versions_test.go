package store

import (
	"testing"
)

// The two databases number their migrations each for itself: a version of one is found
// again in the other by the migration's name, so that a backup of an older version goes
// through what has changed since, whichever database it was made of.
func TestVersionsOfBothDatabases(t *testing.T) {
	for _, c := range []struct {
		kind          string
		version, want int64
	}{
		{"sqlite", 10, 10},
		{"sqlite", 14, 14},
		{"postgres", 10, 10},
		{"postgres", 12, 12},
		{"postgres", 14, 12},
		{"postgres", 15, 13},
		{"postgres", 16, 14},
	} {
		if same, _, _, err := AsSQLite(c.kind, c.version); err != nil || same != c.want {
			t.Errorf("%s %d is %d of SQLite, want %d: %v", c.kind, c.version, same, c.want, err)
		}
	}
	_, newest, known, err := AsSQLite("sqlite", 1)
	if err != nil || newest != known {
		t.Error(newest, known, err)
	}
	_, _, known, err = AsSQLite("postgres", 10)
	if err != nil {
		t.Fatal(err)
	}
	if same, _, _, _ := AsSQLite("postgres", known); same != newest {
		t.Errorf("PostgreSQL's newest, %d, is SQLite's %d, and its newest is %d: the same migration has the same name in both", known, same, newest)
	}
}
