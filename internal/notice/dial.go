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
func NewClient() *http.Client {
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
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%s is no address", address)
	}
	a := ap.Addr().WithZone("").Unmap()
	bad := a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	for _, m := range metadata {
		bad = bad || a == m
	}
	if bad {
		return fmt.Errorf("%s is an address that webhooks may not reach", a)
	}
	return nil
}
