package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/tenure-gateway/tenure"
)

// Lock is what a backup is encrypted to: a passphrase, or recipients of age.
type Lock struct {
	Passphrase tenure.Secret
	Recipients []string // age1…
}

// Unlock is what a backup is decrypted with.
type Unlock struct {
	Passphrase tenure.Secret
	Identities []string // AGE-SECRET-KEY-1…, a line each
}

// minPassphrase is the least length of a passphrase.
const minPassphrase = 12

// workFactor makes whoever guesses a passphrase pay about a second and 128 MiB for
// each; and whoever knows it once.
const workFactor = 17

// Kind tells a passphrase from recipients.
func (l Lock) Kind() string {
	if l.Passphrase.IsZero() {
		return "recipients"
	}
	return "passphrase"
}

// recipients are those of age. With them comes an identity that opens what is written
// now, so that it can be read back: it is in memory, and forgotten.
func (l Lock) recipients() ([]age.Recipient, age.Identity, error) {
	switch {
	case l.Passphrase.IsZero() == (len(l.Recipients) == 0):
		return nil, nil, tenure.InvalidField("recipients", "a backup is encrypted either with a passphrase, or to recipients")
	case !l.Passphrase.IsZero() && len(l.Passphrase.Reveal()) < minPassphrase:
		return nil, nil, tenure.InvalidField("passphrase", "the passphrase must have at least %d characters", minPassphrase)
	case !l.Passphrase.IsZero():
		r, err := age.NewScryptRecipient(l.Passphrase.Reveal())
		if err != nil {
			return nil, nil, err
		}
		r.SetWorkFactor(workFactor)
		i, err := age.NewScryptIdentity(l.Passphrase.Reveal())
		return []age.Recipient{r}, i, err
	}
	out, err := age.ParseRecipients(strings.NewReader(strings.Join(l.Recipients, "\n")))
	if err != nil {
		return nil, nil, tenure.InvalidField("recipients", "a recipient is a public key of age, which begins with age1: %s", err)
	}
	// All of a file's recipients are of one kind (age.Encrypt).
	if _, ok := out[0].(*age.HybridRecipient); ok {
		own, err := age.GenerateHybridIdentity()
		if err != nil {
			return nil, nil, err
		}
		return append(out, own.Recipient()), own, nil
	}
	own, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, nil, err
	}
	return append(out, own.Recipient()), own, nil
}

func (u Unlock) identities() ([]age.Identity, error) {
	if u.Passphrase.IsZero() == (len(u.Identities) == 0) {
		return nil, tenure.InvalidField("passphrase", "a backup is opened either with its passphrase, or with an identity")
	}
	if u.Passphrase.IsZero() {
		out, err := age.ParseIdentities(strings.NewReader(strings.Join(u.Identities, "\n")))
		if err != nil {
			return nil, tenure.InvalidField("identity", "an identity is a secret key of age, which begins with AGE-SECRET-KEY-: it could not be read")
		}
		return out, nil
	}
	i, err := age.NewScryptIdentity(u.Passphrase.Reveal())
	if err != nil {
		return nil, err
	}
	i.SetMaxWorkFactor(workFactor + 1)
	return []age.Identity{i}, nil
}

// broken says that a file is no whole backup.
func broken(err error) error {
	return &tenure.Error{Kind: tenure.Invalid, Code: "backup_broken", Msg: fmt.Sprintf("this is no whole backup: it was cut short or changed (%s)", err), Err: err}
}

// open decrypts a file. Invalid: it is not age's, or was locked otherwise.
func open(r io.Reader, ids []age.Identity) (io.Reader, error) {
	out, err := age.Decrypt(r, ids...)
	var no *age.NoIdentityMatchError
	switch {
	case err == nil:
		return out, nil
	case errors.As(err, &no):
		return nil, &tenure.Error{Kind: tenure.Invalid, Code: "backup_locked", Msg: "the backup does not open: the passphrase or the identity is not the one that it was made for", Err: err}
	}
	return nil, broken(err)
}

// ParseKeys takes the keys out of a file of age: one a line, with comments.
func ParseKeys(text []byte) []string {
	var out []string
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			out = append(out, string(line))
		}
	}
	return out
}
