// Package egress judges the addresses that Tenure connects to on behalf of
// somebody who chose them: providers, webhooks, OpenID providers. It owns which
// addresses are never reached, which only where that is allowed, and the transport
// that holds to it.
//
// An address is judged when it is dialled, after its name was resolved, so that no
// name hides one and a name that changes meanwhile changes nothing. It decides
// nothing about who may choose an address.
package egress

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/net/idna"

	"github.com/tenure-gateway/tenure"
)

// Guard judges addresses for one process. Roots is set before first use.
type Guard struct {
	// Roots are whose certificates are believed; nil: those of the system.
	Roots *x509.CertPool

	own atomic.Pointer[netip.AddrPort]
}

// Refused is an address that was not connected to.
type Refused struct {
	Addr  netip.Addr
	Host  string        // how it was written, where it is no address to us but may be one to others
	What  string        // what kind of address it is, with its article
	Needs tenure.Egress // what would have to be allowed; 0: nothing allows it
}

// Error implements error.
func (r *Refused) Error() string {
	if r.Host != "" {
		return fmt.Sprintf("%s is %s, which is never connected to", r.Host, r.What)
	}
	if r.Needs == 0 {
		return fmt.Sprintf("%s is %s, which is never connected to", r.Addr, r.What)
	}
	return fmt.Sprintf("%s is %s, which is not allowed here", r.Addr, r.What)
}

// Serves tells on which address this process listens: nothing connects to that.
func (g *Guard) Serves(at net.Addr) {
	if ap, err := netip.ParseAddrPort(at.String()); err == nil {
		g.own.Store(&ap)
	}
}

// Control is what a net.Dialer asks about each address before it connects.
func (g *Guard) Control(allowed tenure.Egress) func(network, address string, c syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%s is no address", address)
		}
		if err := Judge(ap.Addr(), allowed); err != nil {
			return err
		}
		if g.isOwn(ap) {
			return &Refused{Addr: ap.Addr(), What: "the address on port " + strconv.Itoa(int(ap.Port())) + " that Tenure itself listens on"}
		}
		return nil
	}
}

// isOwn reports whether this process listens there.
func (g *Guard) isOwn(ap netip.AddrPort) bool {
	own := g.own.Load()
	if own == nil || own.Port() != ap.Port() {
		return false
	}
	a := ap.Addr().WithZone("").Unmap()
	if !own.Addr().IsUnspecified() {
		return own.Addr().WithZone("").Unmap() == a
	}
	if a.IsLoopback() {
		return true
	}
	ours, err := net.InterfaceAddrs()
	if err != nil {
		return true // cannot tell
	}
	for _, one := range ours {
		if p, err := netip.ParsePrefix(one.String()); err == nil && p.Addr().Unmap() == a {
			return true
		}
	}
	return false
}

// JudgeHost judges what a URL says by itself: an address, or the name of this
// machine. Of any other name nothing is known before it is dialled.
func JudgeHost(host string, allowed tenure.Egress) error {
	name := FoldHost(host)
	if a, err := netip.ParseAddr(name); err == nil {
		return Judge(a, allowed)
	}
	switch {
	case endsInNumber(name):
		return &Refused{Host: host, What: "an address that is not written as four numbers"}
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		return Judge(netip.AddrFrom4([4]byte{127, 0, 0, 1}), allowed)
	case name == "metadata.google.internal":
		return Judge(netip.AddrFrom4([4]byte{169, 254, 169, 254}), allowed)
	}
	return nil
}

// FoldHost gives the host of a URL as net/http asks for it, in lower case and without
// the dot at its end: what is equal in this form is the same host.
func FoldHost(host string) string {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii // digits and dots of other scripts are digits and dots
	}
	return strings.TrimRight(strings.ToLower(host), ".")
}

// endsInNumber reports whether others may read a host as an IPv4 address: 127.1,
// 0177.0.0.1 and 2130706433 are 127.0.0.1 to whoever resolves by getaddrinfo, a proxy
// for example (URL Standard §3.5, "ends in a number").
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits, hex := strings.CutPrefix(last, "0x")
	if hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// Judge answers a *Refused for an address that is never connected to, or only where
// that is allowed. Of one that stands for an IPv4 address, that one is judged.
func Judge(a netip.Addr, allowed tenure.Egress) error {
	a = a.WithZone("").Unmap()
	if what := never(a); what != "" {
		return &Refused{Addr: a, What: what}
	}
	for _, within := range embedded(a) {
		if err := Judge(within, allowed); err != nil {
			return err
		}
	}
	switch {
	case a.IsLoopback():
		return unless(allowed, tenure.EgressLoopback, a, "an address of this machine")
	case a.IsPrivate() || in(a, notPublic[:]):
		return unless(allowed, tenure.EgressPrivate, a, "a private address")
	}
	return nil
}

func unless(allowed, needs tenure.Egress, a netip.Addr, what string) error {
	if allowed&needs != 0 {
		return nil
	}
	return &Refused{Addr: a, What: what, Needs: needs}
}

// never says what kind of address it is that nothing connects to, or "".
func never(a netip.Addr) string {
	switch {
	case !a.IsValid() || in(a, nowhere[:]):
		return "an address of nobody"
	case in(a, metadata[:]):
		return "an address of a cloud's metadata service"
	case a.IsLinkLocalUnicast():
		return "a link-local address"
	case a.IsMulticast():
		return "a multicast address"
	}
	return ""
}

// Networks that are judged by themselves (RFC 6890 and its registries). Nobody
// modifies them.
var (
	// metadata is where clouds tell their machines who they are, or more. Of
	// link-local addresses only what is well known is named, for the message.
	metadata = [...]netip.Prefix{
		netip.MustParsePrefix("169.254.169.254/32"),
		netip.MustParsePrefix("169.254.170.0/24"),       // AWS: tasks and pods
		netip.MustParsePrefix("100.100.100.200/32"),     // Alibaba
		netip.MustParsePrefix("168.63.129.16/32"),       // Azure
		netip.MustParsePrefix("192.0.0.192/32"),         // Oracle
		netip.MustParsePrefix("fd00:ec2::/32"),          // AWS
		netip.MustParsePrefix("fd20:ce::254/128"),       // Google
		netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // Oracle
		netip.MustParsePrefix("fd00:42::42/128"),        // Scaleway
		netip.MustParsePrefix("fd00:100::100:200/128"),  // Alibaba
		netip.MustParsePrefix("fd00:a9fe:a9fe::1/128"),  // Linode
	}
	// nowhere are addresses that no service has.
	nowhere = [...]netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("::/128"),
		netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"), // discard, Teredo, 6to4
	}
	// notPublic are those beside RFC 1918 and RFC 4193 that are not of the public internet.
	notPublic = [...]netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), // carriers' NAT
		netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("3fff::/20"),
		netip.MustParsePrefix("fec0::/10"), localNAT64, compatible, translated,
	}
	localNAT64  = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	publicNAT64 = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	compatible  = netip.MustParsePrefix("::/96")           // RFC 4291 §2.5.5.1
	translated  = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 7915, RFC 2765 §2.1
)

func in(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// embedded gives the IPv4 addresses that an IPv6 address may stand for behind a
// translator (RFC 6052 §2.2).
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() || a.IsLoopback() {
		return nil
	}
	b := a.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case publicNAT64.Contains(a), compatible.Contains(a), translated.Contains(a):
		return []netip.Addr{last}
	case localNAT64.Contains(a):
		// Whoever runs it chooses how long its prefix is: 48, 56, 64 or 96 bits. What
		// reads as an address of nobody in one place is part of another's.
		var out []netip.Addr
		for _, one := range [...][4]byte{{b[6], b[7], b[9], b[10]}, {b[7], b[9], b[10], b[11]}, {b[9], b[10], b[11], b[12]}, last.As4()} {
			if v4 := netip.AddrFrom4(one); !in(v4, nowhere[:]) {
				out = append(out, v4)
			}
		}
		return out
	}
	return nil
}
