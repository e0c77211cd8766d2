package faults

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// full reports whether there is time for everything.
func full() bool { return os.Getenv("TENURE_FAULTS") == "full" }

// times gives the count for the mode.
func times(short, whole int) int {
	if full() {
		return whole
	}
	return short
}

func TestMain(m *testing.M) {
	switch os.Getenv("TENURE_FAULTS") {
	case "short", "full":
	case "":
		fmt.Println("TENURE_FAULTS is not set: nothing was broken, and nothing shown")
		return
	default:
		fmt.Println(`TENURE_FAULTS is neither "short" nor "full"`)
		os.Exit(2)
	}
	if _, err := os.Stat(os.Getenv("TENURE_BIN")); err != nil {
		fmt.Println("TENURE_BIN names no program; make build makes it:", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// eventually asks until the answer is yes, at most so long.
func eventually(t *testing.T, atMost time.Duration, what string, yes func() bool) time.Duration {
	t.Helper()
	from := time.Now()
	for end := from.Add(atMost); ; time.Sleep(20 * time.Millisecond) {
		if yes() {
			return time.Since(from)
		}
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", atMost, what)
		}
	}
}
