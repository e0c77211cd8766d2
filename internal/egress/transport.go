package egress

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Transport is a transport for each set of what is allowed, so that a connection
// that one asker may use is never found in the pool by another who may not. What is
// allowed for a time alone gets connections that nothing else uses after. What
// goes through a proxy of the environment is dialled, and so judged, by that proxy;
// the proxy itself may be anywhere.
type Transport struct {
	// Allowed tells what is allowed for a request.
	Allowed func(*http.Request) Reach

	direct  [tenure.EgressAll + 1]http.RoundTripper
	once    [tenure.EgressAll + 1]http.RoundTripper
	proxied http.RoundTripper
	proxies bool
}

// Reach is what is allowed for a request.
type Reach struct {
	tenure.Egress
	// Once tells that it may not be so any more for the next one.
	Once bool
}

// NewTransport makes transports like base, whose dialling and proxies they replace.
// timeout is for connecting. Where proxies is false, none is used.
func (g *Guard) NewTransport(base *http.Transport, timeout time.Duration, proxies bool, allowed func(*http.Request) Reach) *Transport {
	base.TLSClientConfig = g.TLS()
	t := &Transport{Allowed: allowed, proxies: proxies}
	for set := range t.direct {
		one := base.Clone()
		one.Proxy = nil
		one.DialContext = g.Dialer(timeout, tenure.Egress(set)).DialContext
		t.direct[set] = one
		one = one.Clone()
		one.DisableKeepAlives = true
		t.once[set] = one
	}
	if proxies {
		one := base.Clone()
		one.Proxy = http.ProxyFromEnvironment
		one.DialContext = (&net.Dialer{Timeout: timeout, KeepAlive: keepAlive}).DialContext
		t.proxied = one
	}
	return t
}

const keepAlive = 30 * time.Second

// Dialer makes a dialer that judges what it connects to.
func (g *Guard) Dialer(timeout time.Duration, allowed tenure.Egress) *net.Dialer {
	return &net.Dialer{Timeout: timeout, KeepAlive: keepAlive, Control: g.Control(allowed)}
}

// TLS is how certificates are verified.
func (g *Guard) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: g.Roots}
}

// Client makes a client that follows no redirect, with the same allowed for
// whatever it asks.
func (g *Guard) Client(base *http.Transport, timeout time.Duration, proxies bool, allowed tenure.Egress) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     g.NewTransport(base, timeout, proxies, func(*http.Request) Reach { return Reach{Egress: allowed} }),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	reach := t.Allowed(r)
	allowed := reach.Egress & tenure.EgressAll
	if t.proxies {
		proxy, err := http.ProxyFromEnvironment(r)
		if err == nil && proxy != nil {
			err = JudgeHost(r.URL.Hostname(), allowed) // it resolves names; what is no name is known
		}
		if err != nil {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			return nil, err
		}
		if proxy != nil {
			return t.proxied.RoundTrip(r)
		}
	}
	if reach.Once {
		return t.once[allowed].RoundTrip(r)
	}
	return t.direct[allowed].RoundTrip(r)
}

// AsRefused finds the *Refused in an error of connecting, or gives nil.
func AsRefused(err error) *Refused {
	var r *Refused
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// Hint says what would have to be done for an address to be reached, for whoever
// administers tenant.
func (r *Refused) Hint(tenant tenure.TenantID) string {
	if r.Host != "" {
		return "write it as 192.0.2.1 is written, or as a name"
	}
	if r.Needs == 0 {
		return "name an address that is none of a machine's own link, of a cloud's metadata or of Tenure itself"
	}
	return "an address of the public internet, or allow it: tenure policy set --tenant " + cmp.Or(string(tenant), string(tenure.DefaultTenant)) + " provider_networks='" + r.Needs.String() + "', or for one provider an exception of the rule provider_network"
}
