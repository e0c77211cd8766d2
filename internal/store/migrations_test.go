package store

import (
	"fmt"
	"io/fs"
	"testing"
)

// TestMigrationsOnlyRise: a number below one that a database may have had already
// would be refused there. 6 was passed over.
func TestMigrationsOnlyRise(t *testing.T) {
	files, err := fs.Glob(sqliteMigrations, "migrations/sqlite/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d migrations, %v", len(files), err)
	}
	want := 0
	for _, name := range files {
		if want++; want == 6 {
			want++
		}
		var got int
		if _, err := fmt.Sscanf(name, "migrations/sqlite/%05d_", &got); err != nil || got != want {
			t.Errorf("%s: number %d, want %d (%v)", name, got, want, err)
		}
	}
}
