package notice

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// sinkTime is how long one attempt may take, the answer included.
const sinkTime = 10 * time.Second

// NewClient makes the client of the webhook: it follows no redirect, uses no
// proxy, and connects to nothing by which a cloud's machine learns its own
// credentials. That is judged by the address that is dialled, so no name hides it.
func NewClient() *http.Client { return newClient(allowed) }

// NewPublicClient is NewClient for tenants beside the installation's own: it
// connects to addresses of the public internet alone.
func NewPublicClient() *http.Client { return newClient(public) }

func newClient(allowed func(address string) error) *http.Client {
	dialer := &net.Dialer{Timeout: sinkTime, Control: func(_, address string, _ syscall.RawConn) error { return allowed(address) }}
	return &http.Client{
		Timeout:       sinkTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: sinkTime, ResponseHeaderTimeout: sinkTime,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// metadata are addresses of clouds' metadata services that are not link-local.
// Nobody modifies it.
var metadata = [...]netip.Addr{
	netip.AddrFrom4([4]byte{100, 100, 100, 200}),                           // Alibaba
	netip.AddrFrom4([4]byte{168, 63, 129, 16}),                             // Azure
	netip.AddrFrom4([4]byte{192, 0, 0, 192}),                               // Oracle
	netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 14: 0x02, 15: 0x54}), // AWS: fd00:ec2::254
}

// allowed answers an error for an address that no sink has.
func allowed(address string) error {
	a, err := dialled(address)
	if err != nil {
		return err
	}
	bad := a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	for _, m := range metadata {
		bad = bad || a == m
	}
	if bad {
		return refused(a)
	}
	return nil
}

// public answers an error for an address that is not of the public internet too
// (the registries of RFC 6890).
func public(address string) error {
	if err := allowed(address); err != nil {
		return err
	}
	a, err := dialled(address)
	if err != nil {
		return err
	}
	bad := a.IsLoopback() || a.IsPrivate()
	for _, text := range [...]string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
	} {
		bad = bad || netip.MustParsePrefix(text).Contains(a)
	}
	if bad {
		return refused(a)
	}
	return nil
}

// dialled reads the address that is dialled; of one that stands for an IPv4
// address behind a translator (RFC 6052 §2.1), that one.
func dialled(address string) (netip.Addr, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s is no address", address)
	}
	a := ap.Addr().WithZone("").Unmap()
	if b := a.As16(); netip.MustParsePrefix("64:ff9b::/96").Contains(a) {
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return a, nil
}

func refused(a netip.Addr) error {
	return fmt.Errorf("%s is an address that webhooks may not reach", a)
}
