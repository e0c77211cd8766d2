package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// The priorities of RFC 5424 §6.2.1: facility 13 (log audit), informational or warning.
const (
	informational = 13*8 + 6
	warning       = 13*8 + 4
)

// syslogTime is how RFC 5424 §6.2.3 writes times: at most six digits of a second.
const syslogTime = "2006-01-02T15:04:05.000000Z07:00"

// utf8Mark begins a message in UTF-8 (RFC 5424 §6.4).
const utf8Mark = "\xef\xbb\xbf"

// sdID names our structured data: 32473 is the enterprise number for documentation (RFC 5612).
const sdID = "audit@32473"

// postSyslog sends items as syslog messages, each with its length in front (RFC 5425
// §4.3), and then says that nothing more comes: a receiver that has read everything
// answers that (§4.4), and only then it has been sent.
func (s *Sinks) postSyslog(ctx context.Context, row tenure.AuditSink, secret tenure.Secret, items []item) error {
	var frames bytes.Buffer
	for _, i := range items {
		message := syslogMessage(s.Host, headOf(i), i.text)
		fmt.Fprintf(&frames, "%d ", len(message))
		frames.WriteString(message)
	}
	conn, raw, err := s.dialSyslog(ctx, row, secret)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if until, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(until) // a connection that is closed already fails below
	}
	if _, err := conn.Write(frames.Bytes()); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		return fmt.Errorf("%s: %w", unconfirmed, err)
	}
	if raw.ended {
		return errors.New(unconfirmed)
	}
	return nil
}

const unconfirmed = "it did not confirm that it has read everything"

// rawConn remembers whether what it reads came to an end. TLS that was ended by
// close_notify reads no further than that; one that was cut looks ended to its reader too.
type rawConn struct {
	net.Conn
	ended bool
}

// Read implements net.Conn.
func (c *rawConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.ended = c.ended || errors.Is(err, io.EOF)
	return n, err
}

func (s *Sinks) dialSyslog(ctx context.Context, row tenure.AuditSink, secret tenure.Secret) (*tls.Conn, *rawConn, error) {
	cfg := s.Guard.TLS()
	host, _, err := net.SplitHostPort(row.Address)
	if err != nil {
		return nil, nil, err
	}
	cfg.ServerName = host
	if row.CA != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(row.CA)) {
			return nil, nil, errors.New("there is no certificate in the sink's ca")
		}
	}
	if row.Cert != "" {
		pair, err := tls.X509KeyPair([]byte(row.Cert), []byte(secret.Reveal()))
		if err != nil {
			return nil, nil, errors.New("the client's certificate and its key do not fit")
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	allowed := tenure.Egress(0)
	if row.Tenant == tenure.DefaultTenant {
		allowed = tenure.EgressAll
	}
	dialled, err := s.Guard.Dialer(dialTime, allowed).DialContext(ctx, "tcp", row.Address)
	if err != nil {
		return nil, nil, err
	}
	raw := &rawConn{Conn: dialled}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, nil, errors.Join(err, raw.Close())
	}
	return conn, raw, nil
}

// dialTime is how long connecting may take.
const dialTime = 10 * time.Second

// syslogMessage is one message of RFC 5424. What it says is JSON, in which no control
// character stands as itself, so that none begins another message at a receiver that
// looks at lines.
func syslogMessage(host string, h head, text []byte) string {
	priority := informational
	if h.refused {
		priority = warning
	}
	return fmt.Sprintf("<%d>1 %s %s tenure - %s [%s id=\"%s\" tenant=\"%s\"] %s%s", priority, h.at.Format(syslogTime), header(host, 255), header(h.action, 32),
		sdID, param(h.id), param(string(h.tenant)), utf8Mark, escapeC1(text))
}

// header is a field of the header: printable ASCII without spaces, or a dash.
func header(text string, longest int) string {
	text = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	if text == "" {
		return "-"
	}
	return text[:min(len(text), longest)]
}

// param is a value of structured data (RFC 5424 §6.3.3).
func param(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, text)
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(text)
}

// escapeC1 writes the control characters as escapes that JSON leaves as they are: DEL,
// and those of ISO 8859.
func escapeC1(text []byte) string {
	var b strings.Builder
	for _, r := range string(text) {
		if r >= 0x7f && r <= 0x9f {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
