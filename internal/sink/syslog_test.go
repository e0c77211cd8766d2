package sink_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// An authority makes certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue gives a certificate and its key, in PEM.
func (a *authority) issue() (cert, key string) {
	a.t.Helper()
	own := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// A syslog is a real receiver: TLS with certificates on both sides, and frames of RFC 5425.
type syslog struct {
	net.Listener
	t      *testing.T
	mu     sync.Mutex
	drop   int // connections that are cut before anything is read
	cut    int // connections that are cut when all is read, without an answer
	events []string
	others []string
}

var rfc5424 = regexp.MustCompile(`^<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) \[audit@32473 id="([^"]+)" tenant="([^"]+)"\] \x{feff}(.*)$`)

func newSyslog(t *testing.T, a *authority) *syslog {
	t.Helper()
	cert, key := a.issue()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	s := &syslog{Listener: ln, t: t}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *syslog) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }() // which answers that nothing more comes
	in := bufio.NewReader(conn)
	for {
		s.mu.Lock()
		drop := s.drop > 0
		s.drop--
		s.mu.Unlock()
		if _, err := in.Peek(1); err != nil || drop {
			s.mu.Lock()
			cut := s.cut > 0
			s.cut--
			s.mu.Unlock()
			if raw, ok := conn.(*tls.Conn); ok && (drop || cut) {
				_ = raw.NetConn().Close() // cut, not ended
			}
			return
		}
		text, err := in.ReadString(' ')
		length, failed := strconv.Atoi(strings.TrimSuffix(text, " "))
		if err := errors.Join(err, failed); err != nil {
			s.t.Errorf("a frame begins with %q: %v", text, err)
			return
		}
		frame := make([]byte, length)
		if _, err := io.ReadFull(in, frame); err != nil {
			s.t.Error(err)
			return
		}
		s.message(string(frame))
	}
}

func (s *syslog) message(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := rfc5424.FindStringSubmatch(text)
	if m == nil || m[3] != "host.example.com" || m[4] != "tenure" || m[1] != "110" && m[1] != "108" {
		s.t.Errorf("no message of RFC 5424: %q", text)
		return
	}
	if _, err := time.Parse(time.RFC3339Nano, m[2]); err != nil {
		s.t.Error(err)
	}
	for _, r := range text {
		if r < ' ' || r >= 0x7f && r <= 0x9f {
			s.t.Errorf("a control character stands in %q", text)
		}
	}
	var record struct{ ID, Action, Object string }
	if err := json.Unmarshal([]byte(m[9]), &record); err != nil || record.Action != m[6] {
		s.t.Errorf("%v: %s", err, m[9])
	}
	if record.ID == "" {
		s.others = append(s.others, record.Action)
		return
	}
	if record.ID != m[7] {
		s.t.Errorf("%s is told as %s", record.ID, m[7])
	}
	s.events = append(s.events, m[1]+" "+record.Object)
}

func (s *syslog) came() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Messages come whole and in order, over TLS that verifies both sides; what an attacker
// names itself forges none.
func TestSyslog(t *testing.T) {
	l := onSQLite(t)
	a := newAuthority(t)
	r := newSyslog(t, a)
	cert, key := a.issue()
	s := l.sinks("a")
	row := tenure.AuditSink{Name: "SIEM", Kind: tenure.SinkSyslog, Address: r.Addr().String(), CA: a.pem, Cert: cert}
	l.create(s, row, tenure.DefaultTenant, key)
	forged := "x\n<110>1 2026-01-01T00:00:00Z evil tenure - user.deleted - forged\x7f\u0085 \"]"
	err := l.db.Tx(l.ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, tenure.AuditEvent{Tenant: tenure.DefaultTenant, Action: "user.link_refused", Object: forged, Outcome: "refused"})
	})
	if err != nil {
		t.Fatal(err)
	}
	l.add(tenure.DefaultTenant, 600, "one")
	r.mu.Lock()
	r.drop = 1
	r.mu.Unlock()
	if row := l.deliver(s); row.Error == "" || row.Cursor != 0 || strings.Contains(row.Error, "PRIVATE") {
		t.Errorf("a connection that was cut: %+v", row.Error)
	}
	r.mu.Lock()
	r.drop, r.cut = 0, 1
	r.mu.Unlock()
	again, err := s.Pause(l.ctx, operator(t, tenure.DefaultTenant), l.listed(s, tenure.DefaultTenant).ID, false)
	if err != nil {
		t.Fatal(err)
	}
	if row := l.deliver(s); again.Cursor != 0 || row.Cursor != 0 || !strings.Contains(row.Error, "did not confirm") || len(r.came()) == 0 {
		t.Errorf("a receiver that read all and did not answer: at %d, %q, %d came", row.Cursor, row.Error, len(r.came()))
	}
	l.retry(s)
	want := []string{"110 SIEM", "108 " + forged}
	for i := range 600 {
		want = append(want, fmt.Sprintf("110 one %d", i))
	}
	if got := r.came(); !slices.Equal(compacted(got)[:602], want) {
		t.Errorf("%d came: %.300v", len(got), got)
	}
	if !slices.Contains(r.others, "audit.checkpoint") {
		t.Error("no checkpoint came along")
	}

	// A receiver whose certificate is another's gets nothing, and neither gets one that is not told who sends.
	for what, change := range map[string]func(*tenure.AuditSink){
		"certificate":  func(s *tenure.AuditSink) { s.CA = newAuthority(t).pem },
		"unknown auth": func(s *tenure.AuditSink) { s.CA = "" },
		"required":     func(s *tenure.AuditSink) { s.Cert = "" },
	} {
		other := row
		other.Name = "A " + what
		change(&other)
		secret := key
		if other.Cert == "" {
			secret = ""
		}
		l.create(s, other, tenure.DefaultTenant, secret)
		before := len(r.came())
		if err := s.Deliver(l.ctx); err != nil {
			t.Fatal(err)
		}
		rows, err := s.List(l.ctx, operator(t, tenure.DefaultTenant))
		if err != nil {
			t.Fatal(err)
		}
		if rows[0].Error == "" || rows[0].Cursor != 0 || len(r.came()) != before {
			t.Errorf("%s: %q, %d came", what, rows[0].Error, len(r.came())-before)
		}
		if err := s.Delete(l.ctx, operator(t, tenure.DefaultTenant), rows[0].ID); err != nil {
			t.Fatal(err)
		}
	}
}
