package keys

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"gocloud.dev/secrets"
)

// A service is the KEK that a key service keeps: it wraps by asking.
type service struct {
	keeper  *secrets.Keeper
	about   About
	timeout time.Duration
	// version tells which version of the key made a ciphertext; "": nobody knows.
	version func(wrapped []byte) string
	// problem tells what an error of the service means, and what to do.
	problem func(error) (Problem, string)
}

var (
	vaultKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	gcpKey   = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$`)
	azureKey = regexp.MustCompile(`^[A-Za-z0-9-]+\.vault\.[a-z0-9.-]+/keys/[A-Za-z0-9-]+/[0-9a-zA-Z]+$`)
)

// checkService says what is wrong with the URL of a key service.
func checkService(u *url.URL) error {
	name := nameOf(u)
	known := map[string][]string{schemeVault: {"engine", "token_file"}, schemeAWS: {"region"}, schemeGCP: {"endpoint"}, schemeAzure: {"algorithm"}}
	may, ok := known[u.Scheme]
	if !ok {
		return fmt.Errorf("it is none of %s", Schemes)
	}
	for param := range u.Query() {
		if !contains(may, param) {
			return fmt.Errorf("%s:// knows no parameter %q, only %s", u.Scheme, param, strings.Join(may, ", "))
		}
	}
	switch {
	case u.Scheme == schemeVault && !vaultKey.MatchString(name):
		return errors.New("it names no transit key, as hashivault://tenure does")
	case u.Scheme == schemeAWS && name == "":
		return errors.New("it names no key, as awskms:///arn:aws:kms:eu-central-1:111122223333:key/… or awskms://alias/tenure?region=eu-central-1 do")
	case u.Scheme == schemeGCP && !gcpKey.MatchString(name):
		return errors.New("it names no key, as gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K does")
	case u.Scheme == schemeAzure && !azureKey.MatchString(name):
		return errors.New("it names no version of a key, as azurekeyvault://NAME.vault.azure.net/keys/KEY/VERSION does: without the version, a rotation there would lock Tenure out")
	}
	return nil
}

// nameOf is what a URL calls the key.
func nameOf(u *url.URL) string { return strings.TrimPrefix(path.Join(u.Host, u.Path), "/") }

func contains(all []string, one string) bool {
	for _, s := range all {
		if s == one {
			return true
		}
	}
	return false
}

// openService makes the client of a key service, within the timeout: some look for
// their credentials in the network.
func openService(ctx context.Context, raw string, o Options) (KEK, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	name := shown(raw)
	s := &service{about: About{ID: name, Name: name, Label: name}, timeout: o.Timeout, version: func([]byte) string { return "" }}
	open := map[string]func(context.Context, *service, *url.URL, Options) error{
		schemeVault: openVault, schemeAWS: openAWS, schemeGCP: openGCP, schemeAzure: openAzure,
	}[u.Scheme]
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err = s.within(ctx, func(ctx context.Context) error { return open(ctx, s, u, o) })
	if err != nil {
		return nil, &Error{Label: name, Problem: Away, Do: "see that its credentials are in the environment of this process, and right", Err: err}
	}
	return s, nil
}

// by adds to the ID what makes another key of the same name another one: name and
// value in turn. What is empty is left out.
func (s *service) by(pairs ...string) {
	sep := "?"
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		// As people write it, but for what has a meaning in an ID.
		value := strings.NewReplacer("%2F", "/", "%3A", ":").Replace(url.QueryEscape(pairs[i+1]))
		s.about.ID += sep + pairs[i] + "=" + value
		sep = "&"
	}
}

// About implements KEK.
func (s *service) About() About { return s.about }

// Wrap implements KEK.
func (s *service) Wrap(ctx context.Context, key, _ []byte) ([]byte, string, error) {
	var wrapped []byte
	err := s.ask(ctx, func(ctx context.Context) error {
		answer, err := s.keeper.Encrypt(ctx, key)
		if err == nil && len(answer) == 0 {
			err = errNonsense
		}
		wrapped = answer
		return err
	})
	if err != nil {
		return nil, "", err
	}
	by := s.about.ID
	if version := s.version(wrapped); version != "" {
		by += "#" + version
	}
	return wrapped, by, nil
}

// Unwrap implements KEK.
func (s *service) Unwrap(ctx context.Context, wrapped, _ []byte) ([]byte, error) {
	var key []byte
	err := s.ask(ctx, func(ctx context.Context) error {
		answer, err := s.keeper.Decrypt(ctx, wrapped)
		if err == nil && len(answer) != Size {
			err = errNonsense
		}
		key = answer
		return err
	})
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Pauses before a call is tried again, the first and the longest. The clients
// themselves try nothing again: of what they did a time-out would tell only that it
// ended.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Second
)

// ask asks the service, all in all within the timeout: again and again, ever more
// rarely, where it asks for patience, and once more where it did not answer.
func (s *service) ask(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pause, before := firstPause, error(nil)
	for first := true; ; first = false {
		err := s.within(ctx, call)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil && before != nil {
			return before // which says more than that the time is over
		}
		before = s.failed(err)
		if !Is(before, Busy) && (!first || !Is(before, Away)) {
			return before
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // so that who were refused together do not come again together
		case <-ctx.Done():
			return before
		}
		pause = min(2*pause, lastPause)
	}
}

// errNonsense is an answer of a key service that holds no key.
var errNonsense = errors.New("its answer holds no key")

// within bounds a call. Not every client heeds a context, and some trip over an
// answer that is not what they expect: neither may end this process, or hold it up.
func (s *service) within(ctx context.Context, call func(context.Context) error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- errNonsense
			}
		}()
		done <- call(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %s: %w", s.timeout, ctx.Err())
	}
}

// failed says what an error means.
func (s *service) failed(err error) error {
	e := &Error{Label: s.about.Label, Problem: Away, Do: "see that it runs and that this machine reaches it; Tenure tries again by itself", Err: err}
	if problem, do := s.problem(err); problem != 0 {
		e.Problem, e.Do = problem, do
	}
	return e
}
