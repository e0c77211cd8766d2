// Package keys is the key-encryption keys (KEKs) that TENURE_KEY_URL may name: a
// file, or a key of a key service (Vault and OpenBao transit, AWS KMS, Google Cloud
// KMS, Azure Key Vault). It owns how each of them is opened and asked, how long that
// may take, and what is said when it fails.
//
// A KEK wraps keys and nothing else. What those keys are for, and what is done while
// a KEK cannot be had, is not decided here: internal/vault does.
package keys

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A KEK wraps keys of 32 bytes. It is safe for use by many goroutines.
type KEK interface {
	// Wrap encrypts a key and tells by what: the KEK's ID and, where the service has
	// versions that it tells of, "#" and the version. The file binds the result to
	// bound; a service takes no such context.
	Wrap(ctx context.Context, key, bound []byte) (wrapped []byte, by string, err error)
	// Unwrap decrypts what Wrap made, bound to the same.
	Unwrap(ctx context.Context, wrapped, bound []byte) ([]byte, error)
	// About tells what it is.
	About() About
}

// About is what a KEK is, without a secret.
type About struct {
	// ID names the KEK in the database, with all that makes it another one: where its
	// service is, the engine, region or algorithm. Two KEKs never have the same one.
	ID string
	// Name is the part of the ID before the "?". Of an ID that has nothing behind it,
	// or something else, the KEK may be the same all the same: it was moved, or was
	// noted before IDs said so much. Whether it is shows when it unwraps.
	Name string
	// Label names it for people.
	Label string
	// Algorithm is what it wraps with, as far as Tenure is told.
	Algorithm string
}

// Made reports whether by, as Wrap gave it, names this KEK for sure, or perhaps.
func (a About) Made(by string) (sure, perhaps bool) {
	id, _, _ := strings.Cut(by, "#")
	name, _, _ := strings.Cut(id, "?")
	return id == a.ID, name == a.Name
}

// Options are what Open may be told.
type Options struct {
	// Transport carries the requests to key services; nil is the usual one of each.
	Transport http.RoundTripper
	// Timeout bounds one call of a key service, with what is tried again of it; 0 is
	// five seconds.
	Timeout time.Duration
}

const usualTimeout = 5 * time.Second

// The schemes of TENURE_KEY_URL.
const (
	schemeFile  = "file"
	schemeVault = "hashivault"
	schemeAWS   = "awskms"
	schemeGCP   = "gcpkms"
	schemeAzure = "azurekeyvault"
)

// Schemes are the key services whose keys may be named, with an example each.
const Schemes = "file:FILE, hashivault://KEY, awskms://KEY, gcpkms://projects/…/cryptoKeys/KEY or azurekeyvault://NAME.vault.azure.net/keys/KEY/VERSION"

// Check says what is wrong with a URL, without opening anything.
func Check(raw string) error {
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok || rest == "" {
		return fmt.Errorf("it is none of %s", Schemes)
	}
	if scheme == schemeFile {
		if FileOf(raw) == "" {
			return fmt.Errorf("it names no file")
		}
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("it is not a URL")
	}
	if u.User != nil {
		return errors.New("it must hold no user or password: key services take their own credentials from the environment")
	}
	return checkService(u)
}

// FileOf gives the path of a file: URL, or "".
func FileOf(raw string) string {
	path, ok := strings.CutPrefix(raw, schemeFile+":")
	if !ok {
		return ""
	}
	return strings.TrimPrefix(path, "//")
}

// Open opens a KEK. Of a file it reads the key; a key service is first asked when
// something is to be wrapped or unwrapped. What it answers is an *Error.
func Open(ctx context.Context, raw string, o Options) (KEK, error) {
	if err := Check(raw); err != nil {
		return nil, &Error{Label: shown(raw), Problem: Wrong, Do: "set TENURE_KEY_URL to one that is", Err: err}
	}
	if path := FileOf(raw); path != "" {
		return openFile(path)
	}
	if o.Timeout == 0 {
		o.Timeout = usualTimeout
	}
	return openService(ctx, raw, o)
}

// shown is a URL without what may be nobody's business: its query.
func shown(raw string) string {
	before, _, _ := strings.Cut(raw, "?")
	return before
}

// Problem is the kind of an Error: what it means for whoever asked.
type Problem uint8

// The problems with a KEK.
const (
	Away    Problem = iota + 1 // it does not answer now
	Denied                     // it answers, and refuses us
	Missing                    // there is no such key
	Wrong                      // what was given is not of this key, or was changed
	Exposed                    // a file that others may read
	Busy                       // it answers, and asks to be asked less often
)

// Error says which KEK failed, how, and what to do. It holds no secret.
type Error struct {
	Label   string
	Problem Problem
	Do      string // what to do about it
	Err     error  // what it said
}

// Error implements error.
func (e *Error) Error() string {
	said := map[Problem]string{
		Away: "cannot be reached", Denied: "refuses Tenure", Missing: "is missing",
		Wrong: "does not open what was given to it", Exposed: "can be read by others",
		Busy: "is asked too often",
	}[e.Problem]
	text := fmt.Sprintf("the key-encryption key %s %s", e.Label, said)
	if e.Err != nil {
		text += " (" + oneLine(e.Err.Error()) + ")"
	}
	return text + ": " + e.Do
}

// Unwrap gives what the KEK said.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether err is a problem of that kind with a KEK.
func Is(err error, problem Problem) bool {
	var e *Error
	return errors.As(err, &e) && e.Problem == problem
}

// oneLine is a text of a service in one line of bounded length.
func oneLine(text string) string {
	const most = 300
	words := slices.DeleteFunc(strings.Fields(text), func(word string) bool { return strings.Trim(word, "-") == "" }) // Azure rules off its parts
	text = strings.Join(words, " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
