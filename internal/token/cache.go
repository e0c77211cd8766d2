package token

import (
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Cache holds standings of tokens that were seen lately, by the full digest.
// Its values are read and never modified. It holds only live ones, so it cannot
// be filled by guessing.
type Cache struct {
	max    int
	mu     sync.RWMutex
	known  map[tenure.Digest]*tenure.Standing
	byID   map[string][]tenure.Digest // of the token, its user, its service account
	graces map[tenure.Outage]int      // how many go on for how long in an outage of the database
	// refused counts, for some digests together, how often one was seen to have changed:
	// a row that was read before is not cached after.
	refused [4096]uint64
	hits    atomic.Uint64
	misses  atomic.Uint64
}

// NewCache makes a cache of at most limit standings, about 600 bytes each.
func NewCache(limit int) *Cache {
	return &Cache{max: limit, known: make(map[tenure.Digest]*tenure.Standing), byID: make(map[string][]tenure.Digest), graces: make(map[tenure.Outage]int)}
}

// Grace is the longest time for which a token that the cache holds goes on at now in an
// outage of the database; 0: none goes on for longer than everything.
func (c *Cache) Grace(now time.Time) time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	longest := time.Duration(0)
	for outage := range c.graces {
		longest = max(longest, outage.GraceAt(now))
	}
	return longest
}

// Hits is how many look-ups the cache has answered.
func (c *Cache) Hits() uint64 { return c.hits.Load() }

// Misses is how many look-ups went to the database.
func (c *Cache) Misses() uint64 { return c.misses.Load() }

func (c *Cache) get(d tenure.Digest) (*tenure.Standing, bool) {
	c.mu.RLock()
	s, ok := c.known[d]
	c.mu.RUnlock()
	if ok {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
	return s, ok
}

// seen is what put is to be told of a digest: take it before its row is read.
func (c *Cache) seen(d tenure.Digest) uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return *c.refusals(d)
}

// refusals needs the lock.
func (c *Cache) refusals(d tenure.Digest) *uint64 {
	return &c.refused[(int(d[0])<<8|int(d[1]))%len(c.refused)]
}

// put adds a standing if current, asked under the lock, still holds, and nothing of it
// was forgotten since seen. Of two that differ it is not known which is the later one:
// then none is kept.
func (c *Cache) put(d tenure.Digest, s *tenure.Standing, seen uint64, current func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !current() || *c.refusals(d) != seen {
		return
	}
	if was, ok := c.known[d]; ok {
		if !reflect.DeepEqual(was, s) {
			*c.refusals(d)++
			c.remove(d)
		}
		return
	}
	for len(c.known) >= c.max {
		for victim := range c.known { // any: the order of a map is random
			c.remove(victim)
			break
		}
	}
	c.known[d] = s
	if s.Outage.Grace > 0 {
		c.graces[s.Outage]++
	}
	for _, id := range ids(s) {
		c.byID[id] = append(c.byID[id], d)
	}
}

// drop removes everything that hangs on id.
func (c *Cache) drop(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range slices.Clone(c.byID[id]) {
		c.remove(d)
	}
}

// forget removes what is held of one token.
func (c *Cache) forget(d tenure.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*c.refusals(d)++
	c.remove(d)
}

func (c *Cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
	clear(c.byID)
	clear(c.graces)
}

// remove needs the lock.
func (c *Cache) remove(d tenure.Digest) {
	s, ok := c.known[d]
	if !ok {
		return
	}
	delete(c.known, d)
	if c.graces[s.Outage]--; c.graces[s.Outage] <= 0 {
		delete(c.graces, s.Outage)
	}
	for _, id := range ids(s) {
		rest := slices.DeleteFunc(c.byID[id], func(o tenure.Digest) bool { return o == d })
		if len(rest) == 0 {
			delete(c.byID, id)
		} else {
			c.byID[id] = rest
		}
	}
}

func ids(s *tenure.Standing) []string {
	out := make([]string, 0, 3)
	for _, id := range [...]string{string(s.Token), string(s.User), string(s.ServiceAccount)} {
		if id != "" {
			out = append(out, id)
		}
	}
	return out
}
