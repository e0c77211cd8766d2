package keys

import (
	"io/fs"
	"testing"
)

// Kubernetes and systemd lay a key down as another user's, for this one's group.
func TestWhoMayReadTheMasterKey(t *testing.T) {
	for _, c := range []struct {
		mode        fs.FileMode
		own, others bool // whether it is good as one's own, and as another's
	}{
		{0o600, true, true},
		{0o400, true, true},
		{0o440, false, true},
		{0o640, false, true},
		{0o460, false, false},
		{0o450, false, false},
		{0o444, false, false},
		{0o404, false, false},
		{0o644, false, false},
	} {
		if keptFromOthers(c.mode, true) != c.own || keptFromOthers(c.mode, false) != c.others {
			t.Errorf("mode %#o: one's own %t, another's %t", c.mode, keptFromOthers(c.mode, true), keptFromOthers(c.mode, false))
		}
	}
}
