package faults

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure/internal/postgrestest"
)

// One replica is cut off from the database, without a word; the other goes on. What
// ends meanwhile ends here at once, and there as soon as the network is mended, before
// anybody is admitted by what was known.
func TestReplicaCutOff(t *testing.T) {
	database := postgrestest.URL(t)
	way := newRelay(t, "127.0.0.1:0", hostOf(t, database))
	w := newWorld(t, database)
	here := w.replica(soon...)
	there := w.replica(append(soon, "TENURE_DATABASE_URL="+at(t, database, way.address()))...)
	cutOff(t, w, here, there, func() { way.cut.Store(true) }, func() { way.cut.Store(false) })
}

// The same with a host of its own: the replica runs in a network namespace whose link
// to the database goes down.
func TestReplicaInANetworkOfItsOwn(t *testing.T) {
	n := newNetwork(t)
	database := postgrestest.URL(t)
	way := newRelay(t, n.near("data")+":0", hostOf(t, database))
	w := newWorld(t, database)
	provider := newRelay(t, n.near("door")+":0", strings.TrimPrefix(w.provider.URL, "http://")) // reached from both hosts
	here := w.replica(append(soon, "OPENAI_BASE_URL=http://"+provider.address()+"/v1", "ANTHROPIC_BASE_URL=http://"+provider.address())...)
	there := w.replicaBehind(n.wrap(), append(soon, "TENURE_DATABASE_URL="+at(t, database, way.address()),
		"TENURE_LISTEN="+n.far("door")+":0", "TENURE_TRUSTED_PROXIES="+n.near("door"))...)
	cutOff(t, w, here, there, func() { n.link(t, "data", "down") }, func() { n.link(t, "data", "up") })
}

// cutOff goes through one partition.
func cutOff(t *testing.T, w *world, here, there *replica, cut, mend func()) {
	alice, bob := w.mint(here, "alice@example.com"), w.mint(here, "bob@example.com")
	models := func(r *replica, p pat) answer { return ask(r.url, "GET", "/v1/models", "", bearer(p.secret)) }
	for _, r := range []*replica{here, there} {
		for _, p := range []pat{alice, bob} {
			if a := models(r, p); a.status != 200 {
				t.Fatal(a)
			}
		}
	}
	cut()
	down := time.Now()
	if a := revoke(here, "bob@example.com", bob); a.status != 204 && a.status != 200 {
		t.Fatal(a)
	}
	query(t, w.database, "UPDATE users SET active = false WHERE id = '"+alice.user+"'")
	carol := w.mint(here, "carol@example.com")
	eventually(t, time.Second, "both are refused here", func() bool { return refused(models(here, alice)) && refused(models(here, bob)) })
	if a := models(here, carol); a.status != 200 {
		t.Errorf("who has access here: %v", a)
	}
	// There nobody knows: what was known holds for as long as it may, and no longer.
	time.Sleep(time.Until(down.Add(maxStaleness + 500*time.Millisecond)))
	for _, p := range []pat{alice, bob, carol} {
		if a := models(there, p); a.status != 503 || a.took() > atOnce {
			t.Errorf("cut off: %v", a)
		}
	}
	closedAtOnce(t, there)
	if a := ask(there.url, "GET", "/readyz", ""); a.status != 503 {
		t.Errorf("a balancer would send requests there: %v", a)
	}
	if a := ask(here.url, "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("and none here: %v", a)
	}
	mend()
	var after []answer
	took := eventually(t, 20*time.Second, "there is news there again", func() bool {
		a := models(there, bob)
		after = append(after, a, models(there, alice))
		return refused(a) && models(there, carol).status == 200
	})
	t.Logf("back after %v", took.Round(time.Millisecond))
	if got := statuses(after); got[200] > 0 {
		t.Errorf("what ended while it was cut off was admitted afterwards: %v", got)
	}
}

// The connection on which the database tells of changes goes deaf: no packet comes, no
// end either. What ends is still known within a second, by asking.
func TestNotificationsLostSilently(t *testing.T) {
	database := postgrestest.URL(t)
	way := newRelay(t, "127.0.0.1:0", hostOf(t, database))
	w := newWorld(t, database)
	here := w.replica()
	there := w.replica("TENURE_DATABASE_URL=" + at(t, database, way.address()))
	eventually(t, 5*time.Second, "the replica listens", func() bool { return way.deafen() == 1 })
	for i := range times(5, 50) {
		name := fmt.Sprintf("user%d@example.com", i%5)
		p := w.mint(here, name)
		s := openChat(t, there, p.secret)
		time.Sleep(settle)
		began := time.Now()
		if i%2 == 0 {
			if a := revoke(here, name, p); a.status != 204 && a.status != 200 {
				t.Fatal(a)
			}
		} else {
			query(t, database, "DELETE FROM api_tokens WHERE id = '"+p.id+"'")
		}
		s.cutWithin(t, began, 0, time.Second, "access_revoked")
		if a := chat(there, p.secret); !refused(a) {
			t.Errorf("afterwards: %v", a)
		}
		way.deafen() // it listens anew once it has noticed
	}
}

// network is a network namespace with two links to this host: the door, by which it is
// asked, and data, by which it reaches its database.
type network struct{ name string }

// newNetwork makes one, and takes it away again with the test.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{name: fmt.Sprintf("tenure%d", os.Getpid())}
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("this test needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN) and Debian's package iproute2, to make network namespaces: ip %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	ip("netns", "add", n.name)
	t.Cleanup(func() {
		for _, link := range []string{"door", "data"} {
			_ = exec.Command("ip", "link", "del", n.device(link)).Run()
		}
		if out, err := exec.Command("ip", "netns", "del", n.name).CombinedOutput(); err != nil {
			t.Errorf("ip netns del: %v\n%s", err, out)
		}
	})
	ip("-n", n.name, "link", "set", "lo", "up")
	for _, link := range []string{"door", "data"} {
		ip("link", "add", n.device(link), "type", "veth", "peer", "name", link, "netns", n.name)
		ip("addr", "add", n.near(link)+"/30", "dev", n.device(link))
		ip("-n", n.name, "addr", "add", n.far(link)+"/30", "dev", link)
		ip("link", "set", n.device(link), "up")
		ip("-n", n.name, "link", "set", link, "up")
	}
	return n
}

// device is the name of a link on this host: at most 15 letters.
func (n *network) device(link string) string {
	return fmt.Sprintf("tn%d%s", os.Getpid()%1_000_000, link)
}

// Addresses of TEST-NET-2 and TEST-NET-3 (RFC 5737), which nobody has.
func (n *network) near(link string) string {
	return map[string]string{"door": "198.51.100.1", "data": "203.0.113.1"}[link]
}

func (n *network) far(link string) string {
	return map[string]string{"door": "198.51.100.2", "data": "203.0.113.2"}[link]
}

// wrap are the words that run a program there.
func (n *network) wrap() []string { return []string{"ip", "netns", "exec", n.name} }

// link sets one of its links up or down: packets are lost, and nobody is told.
func (n *network) link(t *testing.T, link, state string) {
	t.Helper()
	if out, err := exec.Command("ip", "-n", n.name, "link", "set", link, state).CombinedOutput(); err != nil {
		t.Fatalf("ip link set %s: %v\n%s", state, err, out)
	}
}
