package ledger

import (
	"testing"
	"time"
)

// A number is settled when a transaction that had a lower one is over, and what it left
// was given its place; not before, however the places were given.
func TestSettled(t *testing.T) {
	start := time.Now()
	at := start.Add
	var s settled
	s.saw(at(0), 10)
	s.passed(at(0), 10)
	s.saw(at(30*time.Second), 20)
	s.passed(at(30*time.Second), 20)
	if s.upTo != 0 {
		t.Errorf("settled to %d while what was begun before may still come", s.upTo)
	}
	s.saw(at(61*time.Second), 30)
	s.passed(at(61*time.Second), 5) // it did not come so far
	if s.upTo != 0 {
		t.Errorf("settled to %d, and not all up to there has its place", s.upTo)
	}
	s.passed(at(61*time.Second), 30)
	if s.upTo != 10 {
		t.Errorf("settled to %d, want 10", s.upTo)
	}
	s.passed(at(91*time.Second), 30)
	if s.upTo != 20 {
		t.Errorf("settled to %d, want 20", s.upTo)
	}
}
