package sink

import (
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A sink that had nothing to do has no further turn until something changes.
func TestAnIdleSinkIsNotReadFor(t *testing.T) {
	var all turns
	row := tenure.AuditSink{ID: "s", Tenant: tenure.DefaultTenant, Name: "SIEM"}
	was := looked{store.Tree{Size: 3}, 3, true}
	for _, one := range []struct {
		what    string
		now     looked
		begins  bool
		nothing time.Duration
	}{
		{"it is new", was, true, 0},
		{"it had something to do", was, true, untilMore},
		{"nothing has changed", was, false, 0},
		{"an event came", looked{store.Tree{Size: 4}, 3, true}, true, untilMore},
		{"it was set back", looked{store.Tree{Size: 4}, 0, true}, true, untilMore},
		{"the log is another", looked{store.Tree{Size: 4, Epoch: "x"}, 0, true}, true, untilMore},
		{"it was paused", looked{store.Tree{Size: 4, Epoch: "x"}, 0, false}, true, untilMore},
		{"it goes on", looked{store.Tree{Size: 4, Epoch: "x"}, 0, true}, true, time.Nanosecond},
		{"another one sends, perhaps no longer", looked{store.Tree{Size: 4, Epoch: "x"}, 0, true}, true, 0},
	} {
		time.Sleep(time.Microsecond)
		if begins := all.begin(row, one.now); begins != one.begins {
			t.Errorf("%s: a turn begins: %v", one.what, begins)
		}
		if one.begins {
			if all.begin(row, one.now) {
				t.Errorf("%s: it has two turns at once", one.what)
			}
			all.end(row, Standing{}, one.nothing)
		}
	}
}
