package simulator

import (
	"strconv"
	"strings"
	"time"
)

// Bounds of what directives can ask for.
const (
	maxCount = 100_000
	maxPace  = time.Minute
	slowPace = 250 * time.Millisecond
)

// directives are what a text asks of the simulator. The zero value asks nothing.
type directives struct {
	count int // "count to N"; zero is unset
	paced bool
	pace  time.Duration // only if paced
	fault fault
}

// readDirectives finds the directives in text, failures only if faults is set.
func readDirectives(text string, faults bool) directives {
	var d directives
	var before, last string
	for word := range strings.FieldsSeq(text) {
		word = strings.ToLower(strings.Trim(word, ".,;:!?\"'`()[]"))
		switch {
		case before == "count" && last == "to":
			d.readCount(word)
		case last == "every":
			if pace, err := time.ParseDuration(word); err == nil && pace >= 0 {
				d.setPace(pace)
			}
		case word == "slowly":
			d.setPace(slowPace)
		}
		if faults {
			d.fault = d.fault.read(last, word)
		}
		before, last = last, word
	}
	return d
}

func (d *directives) readCount(word string) {
	if n, err := strconv.Atoi(word); err == nil && n > 0 && d.count == 0 {
		d.count = min(n, maxCount)
	}
}

func (d *directives) setPace(pace time.Duration) {
	if !d.paced {
		d.paced, d.pace = true, min(pace, maxPace)
	}
}

// or is d with what d leaves open taken from other.
func (d directives) or(other directives) directives {
	if d.count == 0 {
		d.count = other.count
	}
	if !d.paced {
		d.paced, d.pace = other.paced, other.pace
	}
	if d.fault.kind == noFault {
		d.fault = other.fault
	}
	return d
}

// faultKind is a way to fail.
type faultKind int

const (
	noFault faultKind = iota
	failStatus
	failMidway
	hang
	hangMidway
	truncate
	echoKey
	redirect
)

// fault is the failure that a request asked for.
type fault struct {
	kind   faultKind
	status int // only for failStatus
}

// read is f after two successive words of a text. The first fault stays, except
// that "midway" completes a "hang".
func (f fault) read(last, word string) fault {
	if f.kind == hang && last == "hang" && word == "midway" {
		return fault{kind: hangMidway}
	}
	if f.kind != noFault {
		return f
	}
	switch {
	case last == "fail" && word == "midway":
		return fault{kind: failMidway}
	case last == "fail":
		if status, err := strconv.Atoi(word); err == nil && status >= 400 && status <= 599 {
			return fault{kind: failStatus, status: status}
		}
	case last == "echo" && word == "key":
		return fault{kind: echoKey}
	case word == "hang":
		return fault{kind: hang}
	case word == "truncate":
		return fault{kind: truncate}
	case word == "redirect":
		return fault{kind: redirect}
	}
	return f
}
