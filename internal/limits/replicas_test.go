package limits

import (
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Two replicas that ask as fast as they may admit together what the limit says, and at most
// what each of them was asked in one batch beyond it: each kind of bound.
func TestReplicasAreExactToWithinABatch(t *testing.T) {
	const bound, batch = 100, 7
	for name, b := range map[string]tenure.UsageBounds{
		"requests": {RequestsPerMinute: bound}, "tokens": {TokensPerDay: bound}, "spend": {SpendPerMonth: bound},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			replicas := []*replica{start(t, db), start(t, db)}
			for _, r := range replicas {
				r.Use.Price = func(tenure.TenantID, string, string, time.Time) (tenure.Rates, bool) {
					return tenure.Rates{Input: 1e6, Output: 1e6}, true
				}
			}
			replicas[0].limit(tenure.LimitUser, "ada", "", b)
			replicas[1].Forget(store.Change{Kind: "limit"})
			replicas[1].flush()
			p, now := asker(t, "ada", "t"), db.Now()
			var admitted int
			for before := -1; admitted > before && admitted < 3*bound; {
				before = admitted
				for _, r := range replicas {
					for range batch { // each request uses one token, which costs one millionth
						if _, err := r.Judge(p, tenure.Origin{}, now); err != nil {
							break
						}
						admitted++
						r.Use.Note(p, store.AskedModel{Provider: "p", Name: "openai", Model: "gpt"}, now, tenure.ModelUse{Input: 1})
					}
				}
				for _, r := range replicas {
					r.flush()
				}
			}
			if admitted < bound || admitted > bound+len(replicas)*batch {
				t.Errorf("%d were admitted, want %d to %d", admitted, bound, bound+len(replicas)*batch)
			}
			for i, r := range replicas {
				r.flush()
				if _, err := r.Judge(p, tenure.Origin{}, now); tenure.AsError(err).Kind != tenure.TooMany {
					t.Errorf("replica %d goes on: %v", i, err)
				}
			}
		})
	}
}
