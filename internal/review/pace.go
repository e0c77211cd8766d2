package review

import (
	"cmp"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
)

// paces are when each has decided, by who it was.
type paces map[string]*pace

type pace struct {
	kept int64
	at   []time.Time
}

// maxPaces is of how many reviewers a report tells.
const maxPaces = 100

// note notes who has decided an item; what the policy did nobody has.
func (p paces) note(i tenure.ReviewItem) {
	if i.DecidedBy == byPolicy && i.DecidedUser == "" {
		return
	}
	one := p[i.DecidedBy]
	if one == nil {
		one = &pace{}
		p[i.DecidedBy] = one
	}
	one.at = append(one.at, i.DecidedAt)
	if i.Decision == tenure.DecideKeep {
		one.kept++
	}
}

// told gives what each has decided, and how many items within a minute at most.
func (p paces) told() []Pace {
	out := make([]Pace, 0, len(p))
	for by, one := range p {
		slices.SortFunc(one.at, time.Time.Compare)
		most, from := 0, 0
		for n, at := range one.at {
			for at.Sub(one.at[from]) >= time.Minute {
				from++
			}
			most = max(most, n-from+1)
		}
		out = append(out, Pace{by, int64(len(one.at)), one.kept, int64(most)})
	}
	slices.SortFunc(out, func(a, b Pace) int { return cmp.Or(cmp.Compare(b.Items, a.Items), cmp.Compare(a.By, b.By)) })
	return out[:min(len(out), maxPaces)]
}
