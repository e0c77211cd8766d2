package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// Bounds of asking providers.
const (
	reachLimit  = 4 * time.Second // one provider
	mostReached = 20              // of them are looked at
	atOnce      = 8
)

// providers looks at whether the providers can be reached: their names, and their
// ports. With AskProviders each is asked for its models, which shows that the key
// is good too.
func (d *Doctor) providers(ctx context.Context) findings {
	const area = "providers"
	var f findings
	var all []tenure.Provider
	if _, err := d.eachProvider(ctx, func(p tenure.Provider) error { all = append(all, p); return nil }); err != nil {
		f.fail(area, "list", cause(err), "see what the database says.")
		return f
	}
	if len(all) == 0 {
		f.warn(area, "list", "there is none: no model can be asked", "add one: tenure provider add openai")
		return f
	}
	if len(all) > mostReached {
		f.skip(area, "list", fmt.Sprintf("only the first %d of %d are looked at", mostReached, len(all)))
		all = all[:mostReached]
	}
	results := make([]Finding, len(all))
	places := make(chan struct{}, atOnce)
	done := make(chan struct{})
	for i, p := range all {
		go func() {
			places <- struct{}{}
			results[i] = d.reach(ctx, p)
			<-places
			done <- struct{}{}
		}()
	}
	for range all {
		<-done
	}
	for _, one := range results {
		f.add(one)
	}
	return f
}

// reach looks at one provider.
func (d *Doctor) reach(ctx context.Context, p tenure.Provider) Finding {
	const area = "providers"
	name := fmt.Sprintf("%s (%s)", p.Name, p.Workspace)
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	guard, allowed, err := d.guard(ctx, p)
	if err != nil {
		return Finding{area, name, Fail, cause(err), "see what \"settings\" and \"database\" say."}
	}
	if _, wrong := d.outside().Sends(p); len(wrong) > 0 {
		return Finding{area, name, Warn, errors.Join(wrong...).Error() + "; it is not sent", "set those that it is to get: tenure provider set " + p.Name + " --header NAME=VALUE"}
	}
	at, err := dial(ctx, guard, allowed, p.BaseURL)
	if refused := egress.AsRefused(err); refused != nil {
		return Finding{area, name, Fail, p.BaseURL + ": " + refused.Error(), refused.Hint(p.Tenant)}
	}
	if err != nil {
		return Finding{area, name, Fail, p.BaseURL + ": " + err.Error(), "see that this machine may reach it; with HTTPS_PROXY or HTTP_PROXY, that proxy."}
	}
	if !d.AskProviders {
		return Finding{area, name, OK, p.BaseURL + " is reached at " + at + "; its key was not tried (--providers does)", ""}
	}
	status, err := d.ask(ctx, guard, allowed, p)
	switch {
	case err != nil:
		return Finding{area, name, Fail, err.Error(), "see that this machine may reach it, and that the key opens."}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return Finding{area, name, Fail, fmt.Sprintf("it refuses the key (%d)", status), "make a new key there, then remove the provider and add it anew."}
	case status != http.StatusOK:
		return Finding{area, name, Warn, fmt.Sprintf("asked for its models, it answers %d", status), "see that the base URL is right: with /v1 for openai, without it for anthropic."}
	}
	return Finding{area, name, OK, "it takes the key, and lists its models", ""}
}

// guard gives what judges addresses, and where a provider may be.
func (d *Doctor) guard(ctx context.Context, p tenure.Provider) (*egress.Guard, tenure.Egress, error) {
	roots, err := egress.RootsWith(d.cfg.CAFile)
	if err != nil {
		return nil, 0, err
	}
	policy, err := d.db.Policy(ctx, p.Tenant)
	guard := &egress.Guard{Roots: roots}
	if own, err := netip.ParseAddrPort(d.cfg.Listen); err == nil {
		guard.Serves(net.TCPAddrFromAddrPort(own))
	}
	return guard, p.Egress(policy.Egress, d.db.Now()), err
}

// outside are the headers that no provider gets here.
func (d *Doctor) outside() vault.Outside { return vault.Outside{Asserted: d.cfg.Asserted()} }

// dial reaches the host of a base URL, or the proxy that stands before it, and gives
// the address.
func dial(ctx context.Context, guard *egress.Guard, allowed tenure.Egress, base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	dialer := guard.Dialer(reachLimit, allowed)
	if via, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil {
		return "", err
	} else if via != nil {
		if err := egress.JudgeHost(u.Hostname(), allowed); err != nil {
			return "", err
		}
		u, dialer = via, &net.Dialer{}
	}
	port := cmp.Or(u.Port(), map[bool]string{true: "443", false: "80"}[u.Scheme == "https"])
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if u.Scheme == "https" {
		config := guard.TLS()
		config.ServerName = u.Hostname()
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return "", err
		}
	}
	return conn.RemoteAddr().String(), nil
}

// ask asks a provider for its models with its key.
func (d *Doctor) ask(ctx context.Context, guard *egress.Guard, allowed tenure.Egress, p tenure.Provider) (int, error) {
	rows, err := d.db.UsableKeys(ctx, p.Tenant, p.ID)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		return 0, errors.New("it has no key that is in use")
	}
	secret, err := d.open(ctx, rows[0])
	if err != nil {
		return 0, err
	}
	client := guard.Client(&http.Transport{DisableKeepAlives: true}, reachLimit, true, allowed)
	headers, _ := d.outside().Sends(p)
	return vault.Ask(ctx, client, p, secret, headers)
}

// open gives a key itself.
func (d *Doctor) open(ctx context.Context, row store.ProviderKeyRow) (tenure.Secret, error) {
	if row.Reference != "" {
		secret, err := d.elsewhere(ctx, row)
		if err != nil {
			err = errors.New("its key cannot be had: see \"secrets\"")
		}
		return secret, err
	}
	key, err := d.masterKey(ctx)
	if err == nil {
		var secret tenure.Secret
		if secret, err = key.OpenProvider(ctx, row); err == nil {
			return secret, nil
		}
	}
	return tenure.Secret{}, errors.New("its key does not open: see \"key\"")
}
