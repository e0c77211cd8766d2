package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A pick is an item that a sample may be drawn from.
type pick struct{ population, id, name string }

// draw gives the n items of a population whose digest of seed and id is lowest: the same
// for everybody who has the population and the seed.
func draw(all []pick, population, seed string, n int) []pick {
	rank := func(p pick) []byte {
		sum := sha256.Sum256([]byte(seed + "\n" + p.id))
		return sum[:]
	}
	var of []pick
	for _, p := range all {
		if p.population == population {
			of = append(of, p)
		}
	}
	slices.SortFunc(of, func(a, b pick) int { return bytes.Compare(rank(a), rank(b)) })
	of = slices.CompactFunc(of, func(a, b pick) bool { return a.id == b.id })
	return of[:min(n, len(of))]
}

// timelineEvents is how many events a timeline has at the most: the newest.
const timelineEvents = 500

// sampled is one item of the sample.
type sampled struct {
	Population string     `json:"population"`
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Timeline   []happened `json:"timeline"`
}

// happened is one event of a timeline.
type happened struct {
	At     time.Time         `json:"at"`
	Action string            `json:"action"`
	Actor  string            `json:"actor,omitempty"`
	Object string            `json:"object,omitempty"`
	Reason string            `json:"reason,omitempty"`
	Detail map[string]string `json:"detail,omitempty"`
	Event  string            `json:"event"`
}

// samples writes a timeline for each item that is drawn.
func (x *export) samples(ctx context.Context) error {
	if x.query.Sample == 0 {
		return nil
	}
	var drawn []pick
	for _, population := range [...]string{"leaver", "joiner"} {
		drawn = append(drawn, draw(x.found.drawn, population, x.query.Seed, x.query.Sample)...)
	}
	return x.bundle.file("sample.jsonl", func(w io.Writer) (int64, error) {
		out := json.NewEncoder(w)
		for _, p := range drawn {
			events, err := x.AuditEvents(ctx, store.AuditFilter{Tenant: x.tenant.ID, Person: tenure.UserID(p.id), Until: x.query.To.Add(slack), Limit: timelineEvents})
			if err != nil {
				return 0, err
			}
			s := sampled{Population: p.population, ID: p.id, Name: p.name, Timeline: []happened{}}
			for _, e := range slices.Backward(events) {
				s.Timeline = append(s.Timeline, happened{e.At.UTC(), e.Action, e.Actor, e.Object, e.Reason, e.Detail, e.ID})
			}
			if err := out.Encode(s); err != nil {
				return 0, err
			}
		}
		return int64(len(drawn)), nil
	})
}

// A histogram counts how long things took.
type histogram struct {
	counts [len(edges) + 1]int
	all    int
	most   float64
	// unknown is of how many nothing tells.
	unknown int
}

// edges are the upper bounds of its classes, in milliseconds.
var edges = [...]float64{1, 5, 10, 50, 100, 500, 1000, 5000}

func (h *histogram) add(ms float64) {
	h.all++
	h.most = max(h.most, ms)
	for i, edge := range edges {
		if ms <= edge {
			h.counts[i]++
			return
		}
	}
	h.counts[len(edges)]++
}

// String tells the classes that have any.
func (h *histogram) String() string {
	if h.all+h.unknown == 0 {
		return "nobody left in the period"
	}
	var parts []string
	if h.unknown > 0 {
		parts = append(parts, fmt.Sprintf("%d not known", h.unknown))
	}
	if h.all == 0 {
		return parts[0]
	}
	for i, n := range h.counts {
		switch {
		case n == 0:
		case i < len(edges):
			parts = append(parts, fmt.Sprintf("%d within %g ms", n, edges[i]))
		default:
			parts = append(parts, fmt.Sprintf("%d later than %g ms", n, edges[i-1]))
		}
	}
	return fmt.Sprintf("%s; the slowest took %.3f ms", strings.Join(parts, ", "), h.most)
}
