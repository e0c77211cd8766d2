package signin

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newThrottle() (*Throttle, *clock) {
	c := &clock{time.Date(2039, 1, 1, 0, 0, 0, 0, time.UTC)}
	return &Throttle{Now: c.now}, c
}

// burst fails until it is told to wait, and gives how often it was not.
func burst(t *Throttle, address, token string) int {
	for n := range 10 * throttleBurst {
		if t.Failed(address, token) > 0 {
			return n
		}
	}
	return -1
}

func TestThrottle(t *testing.T) {
	th, c := newThrottle()
	if n := burst(th, "192.0.2.1", ""); n != throttleBurst {
		t.Fatalf("%d failures before the first wait, want %d", n, throttleBurst)
	}
	if wait := th.Failed("192.0.2.1", ""); wait != throttleEvery {
		t.Errorf("wait %s, want %s", wait, throttleEvery)
	}
	c.at = c.at.Add(throttleEvery - time.Millisecond)
	if wait := th.Failed("192.0.2.1", ""); wait != time.Millisecond {
		t.Errorf("wait %s, want 1ms", wait)
	}
	c.at = c.at.Add(time.Millisecond)
	if th.Failed("192.0.2.1", "") != 0 || th.Failed("192.0.2.1", "") == 0 {
		t.Error("after the wait it is not exactly one more")
	}
	c.at = c.at.Add(5 * throttleEvery)
	if n := burst(th, "192.0.2.1", ""); n != 5 {
		t.Errorf("%d more after five times the wait", n)
	}
	c.at = c.at.Add(24 * time.Hour)
	if n := burst(th, "192.0.2.1", ""); n != throttleBurst {
		t.Errorf("%d after a day, want %d", n, throttleBurst)
	}
	c.at = c.at.Add(-48 * time.Hour) // the machine's clock was set back
	if wait := th.Failed("192.0.2.1", ""); wait > throttleEvery {
		t.Errorf("after the clock went back: wait %s", wait)
	}
	if th.Refused() == 0 {
		t.Error("nothing was counted")
	}
}

func TestThrottleSources(t *testing.T) {
	th, _ := newThrottle()
	for _, address := range []string{"192.0.2.1", "2001:db8:0:1::7"} {
		burst(th, address, "")
	}
	for address, same := range map[string]bool{
		"192.0.2.2": false, "::ffff:192.0.2.1": true, "2001:db8:0:1:ffff::1": true, "2001:db8:0:2::7": false, "2001:db8:0:1::7%eth0": true,
	} {
		if waits := th.Failed(address, "") > 0; waits != same {
			t.Errorf("%s waits: %t", address, waits)
		}
	}
	// One prefix from many addresses, and only that one.
	for i := range throttleBurst {
		if th.Failed(fmt.Sprintf("198.51.100.%d", i), "tpat_0000xyz") > 0 {
			t.Fatal("too early")
		}
	}
	if th.Failed("198.51.100.200", "tpat_0000abc") == 0 || th.Failed("198.51.100.201", "tpat_0001abc") > 0 {
		t.Error("the prefix is not what is counted")
	}
	// What is no token of ours has no prefix; who has no address is counted by it.
	for i := range 2 * throttleBurst {
		if th.Failed(fmt.Sprintf("203.0.113.%d", i), "sk-proj-0000") > 0 || th.Failed("", "tpat_") > 0 || th.Failed("nonsense", "") > 0 {
			t.Fatal("counted by something else than address or prefix")
		}
	}
}

func TestThrottleIsBounded(t *testing.T) {
	th, _ := newThrottle()
	for i := range 3 * throttleSources {
		th.Failed(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "")
		if n := len(th.young) + len(th.old); n > throttleSources {
			t.Fatalf("%d sources after %d", n, i)
		}
	}
	// Whoever goes on failing is not forgotten by the flood of others.
	th, _ = newThrottle()
	burst(th, "192.0.2.1", "")
	for i := range throttleSources {
		th.Failed(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "")
		if i%1000 == 0 && th.Failed("192.0.2.1", "") == 0 {
			t.Fatalf("forgotten after %d others", i)
		}
	}
}

func TestThrottleAtOnce(t *testing.T) {
	th, _ := newThrottle()
	var wg sync.WaitGroup
	var mu sync.Mutex
	free := 0
	for range 20 {
		wg.Go(func() {
			for range 20 {
				if th.Failed("192.0.2.1", "tpat_"+strings.Repeat("x", 46)) == 0 {
					mu.Lock()
					free++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if free != throttleBurst || th.Refused() != 400-throttleBurst {
		t.Errorf("%d passed and %d were refused", free, th.Refused())
	}
}
