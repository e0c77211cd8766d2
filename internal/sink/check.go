package sink

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// checked gives a sink with what was left out, or Invalid: what is wrong with it. Of
// webhooks the secret is made, of the others it is given.
func checked(s tenure.AuditSink, secret tenure.Secret) (tenure.AuditSink, error) {
	s.Name = strings.TrimSpace(s.Name)
	if err := tenure.CheckName(s.Name, tenure.MaxName, "siem"); err != nil { // it is a label of the figures, too
		return s, err
	}
	if s.Format == "" {
		s.Format = tenure.FormatNative
	}
	if !slices.Contains([]string{tenure.FormatNative, tenure.FormatOCSF}, s.Format) {
		return s, tenure.InvalidField("format", "the formats are native and ocsf")
	}
	switch s.Kind {
	case tenure.SinkSyslog:
		return s, checkSyslog(s, secret)
	case tenure.SinkOTLP, tenure.SinkWebhook:
		return s, checkURL(s, secret)
	}
	return s, tenure.InvalidField("kind", "the kinds are syslog, otlp and webhook")
}

func checkSyslog(s tenure.AuditSink, secret tenure.Secret) error {
	host, port, err := net.SplitHostPort(s.Address)
	if n, failed := strconv.ParseUint(port, 10, 16); err != nil || failed != nil || n == 0 || host == "" || len(s.Address) > 300 {
		return tenure.InvalidField("address", "the address of syslog is host:port, for example syslog.example.com:6514")
	}
	if s.Header != "" {
		return tenure.InvalidField("header", "a header is for otlp")
	}
	if s.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(s.CA)) {
		return tenure.InvalidField("ca", "there is no certificate in PEM in it")
	}
	if s.Cert == "" && !secret.IsZero() {
		return tenure.InvalidField("secret", "the secret of syslog is the key of a client's certificate, and there is no certificate")
	}
	if s.Cert != "" && secret.IsZero() {
		return tenure.InvalidField("cert", "a client's certificate and its key go together")
	}
	if s.Cert != "" {
		if _, err := tls.X509KeyPair([]byte(s.Cert), []byte(secret.Reveal())); err != nil {
			return tenure.InvalidField("cert", "the certificate and its key do not fit, or are not in PEM") // the error may say what is in the key
		}
	}
	return nil
}

func checkURL(s tenure.AuditSink, secret tenure.Secret) error {
	u, err := url.Parse(s.Address)
	if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !tenure.OnThisMachine(s.Address)) || u.Host == "" || u.User != nil || u.Fragment != "" || len(s.Address) > 2000 {
		return tenure.InvalidField("address", "the address is https://host/path, without user and fragment; http:// is for this machine")
	}
	if s.CA != "" || s.Cert != "" {
		return tenure.InvalidField("ca", "certificates are for syslog; TENURE_CA_FILE has those of the installation")
	}
	if s.Header == "" && !secret.IsZero() {
		return tenure.InvalidField("secret", "the secret of otlp is the value of its header, and there is no header; that of a webhook is made here")
	}
	if s.Header != "" && (secret.IsZero() || s.Kind != tenure.SinkOTLP) {
		return tenure.InvalidField("header", "a header and its value go together, and are for otlp")
	}
	if strings.ContainsFunc(s.Header, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return tenure.InvalidField("header", "%q is no name of a header", tenure.Shown(s.Header))
	}
	if strings.ContainsFunc(secret.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) {
		return tenure.InvalidField("secret", "the value of the header must be printable ASCII")
	}
	return nil
}
