package egress

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestJudge(t *testing.T) {
	const (
		never = iota
		private
		loopback
		public
	)
	for text, kind := range map[string]int{
		"93.184.216.34": public, "2606:2800:220:1::7": public, "64:ff9b::5db8:d822": public, "::ffff:8.8.8.8": public, "172.32.0.1": public, "100.128.0.1": public,
		"127.0.0.1": loopback, "127.255.0.9": loopback, "::1": loopback, "::ffff:127.0.0.1": loopback, "64:ff9b::7f00:1": loopback,
		"10.0.0.7": private, "172.16.0.1": private, "172.31.255.255": private, "192.168.1.1": private, "100.64.0.1": private, "fd12::7": private, "fc00::1": private,
		"198.18.0.1": private, "192.0.2.7": private, "203.0.113.9": private, "2001:db8::7": private, "fec0::1": private, "::ffff:10.0.0.1": private, "64:ff9b::a00:1": private,
		"64:ff9b:1::808:808": private, "::8.8.8.8": private,
		"169.254.169.254": never, "169.254.0.1": never, "169.254.170.2": never, "fe80::1%eth0": never, "::ffff:169.254.169.254": never, "64:ff9b::a9fe:a9fe": never,
		"64:ff9b:1::a9fe:a9fe": never, "64:ff9b:1:a9fe:a9:fe00::": never, "::169.254.169.254": never, "2002:a9fe:a9fe::": never, "2001::1": never,
		"0.0.0.0": never, "0.1.2.3": never, "::": never, "224.0.0.1": never, "ff02::1": never, "100.100.100.200": never, "168.63.129.16": never, "192.0.0.192": never,
		"fd00:c1::a9fe:a9fe": never, "fd00:42::42": never, "fd00:100::100:200": never, "fd00:a9fe:a9fe::1": never, "fd00:42::43": private,
		"64:ff9b:1:a9fe:a9:fe00:808:808": never, "64:ff9b:1:a9:fe:a9fe::": never, "64:ff9b:1:0:a9:fea9:fe00:0": never, "64:ff9b:1:abcd::808:808": private, "64:ff9b:1::": private,
		"::ffff:0:a9fe:a9fe": never, "::ffff:0:808:808": private, "::fffe:0:808:808": public,
		"fd00:ec2::254": never, "fd00:ec2::23": never, "fd20:ce::254": never, "255.255.255.255": never, "240.0.0.1": never,
	} {
		a := netip.MustParseAddr(text)
		for set := range tenure.EgressAll + 1 {
			want := kind == public || kind == private && set&tenure.EgressPrivate != 0 || kind == loopback && set&tenure.EgressLoopback != 0
			if text == "64:ff9b::7f00:1" || text == "64:ff9b::a00:1" { // judged by what is embedded alone
				want = kind == loopback && set&tenure.EgressLoopback != 0 || kind == private && set&tenure.EgressPrivate != 0
			}
			if err := Judge(a, set); (err == nil) != want {
				t.Errorf("%s with %q allowed: %v", text, set, err)
			}
		}
	}
	if err := Judge(netip.Addr{}, tenure.EgressAll); err == nil {
		t.Error("no address is allowed")
	}
}

func TestJudgeHost(t *testing.T) {
	for host, ok := range map[string]bool{
		"api.openai.com": true, "8.8.8.8": true, "localhost": false, "LOCALHOST.": false, "a.localhost": false, "127.0.0.1": false, "::1": false, "10.1.2.3": false,
		"metadata.google.internal": false, "metadata.google.internal.": false, "169.254.169.254": false, "::ffff:a9fe:a9fe": false, "8.8.8.8.": true,
		"api.0x": false, "0xabc.example": true, "4.example": true, "a4": true, "": true,
	} {
		if err := JudgeHost(host, 0); (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
	// However an address is spelled for which nothing is allowed.
	for _, host := range []string{
		"169.254.169.254.", "169.254.169.254..", "2852039166", "0xa9fea9fe", "0XA9FEA9FE", "169.254.43518", "0251.0376.0251.0376", "169.254.169.0xfe.",
		"\uff11\uff16\uff19.254.169.254", "169\u3002254\u3002169\u3002254",
	} {
		if err := JudgeHost(host, tenure.EgressAll); AsRefused(err) == nil || AsRefused(err).Needs != 0 {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"127.0.0.1.", "127.1", "0177.0.0.1", "127.0.0.1..", "localhost.."} {
		if err := JudgeHost(host, tenure.EgressPrivate); AsRefused(err) == nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// serve is a server that counts whom it answered.
func serve(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "hello")
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

// A name is judged by what it stands for when it is dialled, and nobody gets a
// connection from the pool of another who may go further.
func TestTheDialledAddressIsJudged(t *testing.T) {
	s, asked := serve(t)
	allowed := tenure.EgressLoopback
	g := &Guard{}
	client := &http.Client{Transport: g.NewTransport(&http.Transport{MaxIdleConnsPerHost: 8}, time.Second, true, func(*http.Request) Reach { return Reach{Egress: allowed} })}
	name := strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	get := func(url string) error {
		res, err := client.Get(url)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			err = res.Body.Close()
		}
		return err
	}
	for _, url := range []string{s.URL, name} {
		allowed = tenure.EgressLoopback
		if err := get(url); err != nil {
			t.Fatal(err)
		}
		before := asked.Load()
		for _, allowed = range []tenure.Egress{0, tenure.EgressPrivate} { // a connection is idle now
			err := get(url)
			if r := AsRefused(err); r == nil || r.Needs != tenure.EgressLoopback || asked.Load() != before {
				t.Errorf("%s with %q allowed: %v", url, allowed, err)
			}
		}
	}
}

// What is allowed for a time alone is judged for each request: no connection is left that
// another could go on with, be it over TLS or not.
func TestNothingIsKeptOfWhatIsAllowedOnce(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"HTTP/1.1": (*httptest.Server).Start, "HTTP/2": (*httptest.Server).StartTLS} {
		t.Run(name, func(t *testing.T) {
			from := map[string]bool{}
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { from[r.RemoteAddr] = true }))
			s.EnableHTTP2 = true
			start(s)
			defer s.Close()
			g := &Guard{}
			if s.Certificate() != nil {
				g.Roots = x509.NewCertPool()
				g.Roots.AddCert(s.Certificate())
			}
			reach := Reach{Egress: tenure.EgressLoopback, Once: true}
			client := &http.Client{Transport: g.NewTransport(&http.Transport{ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8}, time.Second, false, func(*http.Request) Reach { return reach })}
			for range 3 {
				res, err := client.Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if want := map[string]int{"HTTP/1.1": 1, "HTTP/2": 2}[name]; res.ProtoMajor != want {
					t.Errorf("it spoke %s", res.Proto)
				}
			}
			if len(from) != 3 {
				t.Errorf("3 requests came over %d connections", len(from))
			}
			reach = Reach{}
			if _, err := client.Get(s.URL); AsRefused(err) == nil {
				t.Errorf("what was allowed once is allowed again: %v", err)
			}
		})
	}
}

func TestNothingConnectsToItself(t *testing.T) {
	s, asked := serve(t)
	for _, listen := range []string{s.Listener.Addr().String(), "0.0.0.0", "[::]"} {
		g := &Guard{}
		ap := netip.MustParseAddrPort(s.Listener.Addr().String())
		if !strings.HasPrefix(listen, "127") {
			ap = netip.AddrPortFrom(netip.MustParseAddr(strings.Trim(listen, "[]")), ap.Port())
		}
		g.Serves(addr(ap.String()))
		_, err := g.Client(&http.Transport{}, time.Second, false, tenure.EgressAll).Get(s.URL)
		if r := AsRefused(err); r == nil || r.Needs != 0 || asked.Load() != 0 {
			t.Errorf("listening on %s: %v", listen, err)
		}
	}
	other, _ := serve(t)
	g := &Guard{}
	g.Serves(s.Listener.Addr())
	res, err := g.Client(&http.Transport{}, time.Second, false, tenure.EgressAll).Get(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

// An authority in the file is believed beside those of the system, and nobody is
// without it.
func TestRootsWith(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	dir := t.TempDir()
	file, junk := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "junk.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(junk, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{"": false, file: true} {
		roots, err := RootsWith(path)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&Guard{Roots: roots}).Client(&http.Transport{}, time.Second, false, tenure.EgressAll).Get(s.URL)
		if (err == nil) != ok {
			t.Errorf("with %q: %v", path, err)
		}
		if err == nil {
			_ = res.Body.Close()
		}
	}
	for _, path := range []string{junk, filepath.Join(dir, "none")} {
		if _, err := RootsWith(path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
}
