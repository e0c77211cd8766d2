package sink

import (
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

// The secret before signs until its overlap ends, and not at that instant.
func TestAnOverlapEnds(t *testing.T) {
	end := time.Unix(1764000000, 0)
	for _, c := range []struct {
		sealed, newest, before string
		at                     time.Time
	}{
		{"whsec_new", "whsec_new", "", end},
		{"whsec_new whsec_old 1764000000", "whsec_new", "whsec_old", end.Add(-time.Second)},
		{"whsec_new whsec_old 1764000000", "whsec_new", "", end},
	} {
		newest, before := signers(tenure.NewSecret(c.sealed), c.at)
		if newest.Reveal() != c.newest || before.IsZero() != (c.before == "") || !before.IsZero() && before.Reveal() != c.before {
			t.Errorf("%q at %s", c.sealed, c.at)
		}
	}
}
