package ledger

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Key is a key that signs, or has signed, the log's checkpoints.
type Key struct {
	ID          string
	Public      string // as C2SP signed notes are verified with
	Name        string // of it in notes, with its number
	CreatedAt   time.Time
	CreatedBy   string    // "": Tenure, at its first start
	RetiredAt   time.Time // when another took its place; zero: it signs
	Checkpoints int64     // that it has signed
}

// Keys lists the keys of the log, the newest first.
func (l *Ledger) Keys(ctx context.Context, by tenure.Principal) ([]Key, error) {
	if err := access.Check(by, tenure.ReadHealth); err != nil {
		return nil, err
	}
	rows, err := l.DB.AuditKeys(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Key, 0, len(rows))
	for _, row := range rows {
		all = append(all, Key{
			ID: row.ID, Public: row.Public, Name: nameOf(row.Public), CreatedAt: row.CreatedAt, CreatedBy: row.CreatedBy,
			RetiredAt: row.RetiredAt, Checkpoints: row.Checkpoints,
		})
	}
	return all, nil
}

// RotateKey replaces the signing key: the next checkpoint is signed by both, so that who
// trusts the one before can come to trust it, and then the secret of the one before is
// destroyed. It gives the new key. Unavailable: the vault is sealed.
func (l *Ledger) RotateKey(ctx context.Context, by tenure.Principal) (Key, error) {
	if err := access.Check(by, tenure.RotateAuditKey); err != nil {
		return Key{}, err
	}
	if _, err := l.Place(ctx); err != nil { // there is a key to hand over
		return Key{}, err
	}
	k, err := l.generate(ctx, by.Label())
	if err != nil {
		return Key{}, err
	}
	err = l.DB.Tx(tenure.Everywhere(ctx), func(ctx context.Context, tx *store.Tx) error {
		if err := tx.PutAuditKey(ctx, k); err != nil {
			return err
		}
		return tx.Append(ctx, audit.KeyRotated(by, k.ID, nameOf(k.Public)))
	})
	if err != nil {
		return Key{}, fmt.Errorf("rotate the audit signing key: %w", err)
	}
	if _, err := l.Place(ctx); err != nil {
		return Key{}, err
	}
	return Key{ID: k.ID, Public: k.Public, Name: nameOf(k.Public), CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, Checkpoints: 1}, nil
}

// Begin makes the first signing key, if there is none, and looks whether the tree is the
// one that was signed last. Unavailable: the vault is sealed; it is made when that is
// over.
func (l *Ledger) Begin(ctx context.Context) error {
	done, err := l.turn.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	ctx = tenure.Everywhere(ctx)
	if _, err = l.keys(ctx); err == nil {
		err = l.resume(ctx)
	}
	l.note(err)
	return err
}

// signing is a key that signs. Its public half is that of its secret: the one of its row can
// be changed by whoever can write to the database.
type signing struct {
	note.Signer
	id       string
	public   string
	verifier note.Verifier
}

// newSigning reads the secret of a key, as note.GenerateKey makes it.
func newSigning(id string, secret tenure.Secret) (signing, error) {
	s := signing{id: id}
	var err error
	if s.Signer, err = note.NewSigner(secret.Reveal()); err != nil {
		return s, err
	}
	parts := strings.SplitN(secret.Reveal(), "+", 5) // PRIVATE+KEY+name+number+key, which may have more of them
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize { // the first byte is the kind of key
		return s, errors.New("the signing key of the audit log is none of Ed25519")
	}
	public, _ := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if s.public, err = note.NewEd25519VerifierKey(s.Name(), public); err == nil {
		s.verifier, err = note.NewVerifier(s.public)
	}
	return s, err
}

// keys gives the keys that sign, the newest first: one, or two after a rotation. One is
// made when there is none: at the first start, and where the vault was begun anew.
func (l *Ledger) keys(ctx context.Context) ([]signing, error) {
	rows, err := l.DB.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		if rows, err = l.first(ctx); err != nil {
			return nil, err
		}
	}
	var all []signing
	known := make(map[string]signing)
	for _, row := range rows {
		s, ok := l.signers[row.ID]
		if !ok {
			secret, err := l.Open(ctx, row.SealedKey, store.BoundAuditKey(row.ID))
			if err != nil {
				return nil, err
			}
			if s, err = newSigning(row.ID, secret); err != nil {
				return nil, err
			}
		}
		known[row.ID] = s
		all = append(all, s)
	}
	l.signers = known
	return all, nil
}

// first makes a key where none signs. Of replicas that start at once each may make one:
// then the next checkpoint hands over from one to the other.
func (l *Ledger) first(ctx context.Context) ([]store.AuditKey, error) {
	k, err := l.generate(ctx, "")
	if err != nil {
		return nil, err
	}
	err = l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if rows, err := tx.SigningKeys(ctx); err != nil || len(rows) > 0 {
			return err
		}
		if err := tx.PutAuditKey(ctx, k); err != nil {
			return err
		}
		return tx.Append(ctx, audit.KeyMade(k.ID, nameOf(k.Public)))
	})
	if err != nil {
		return nil, err
	}
	return l.DB.SigningKeys(ctx)
}

func (l *Ledger) generate(ctx context.Context, maker string) (store.AuditKey, error) {
	install, err := l.DB.Meta(ctx, "install.id")
	if err != nil {
		return store.AuditKey{}, err
	}
	private, public, err := note.GenerateKey(rand.Reader, keyName(install))
	if err != nil {
		return store.AuditKey{}, err
	}
	seal, err := l.Sealer(ctx)
	if err != nil {
		return store.AuditKey{}, err
	}
	now := l.DB.Now()
	rows, err := l.DB.AuditKeys(ctx)
	if err != nil {
		return store.AuditKey{}, err
	}
	if len(rows) > 0 && !now.After(rows[0].CreatedAt) { // by a clock that was ahead: the newest is the one that signs
		now = rows[0].CreatedAt.Add(time.Millisecond)
	}
	k := store.AuditKey{ID: tenure.NewID(now), Public: public, CreatedAt: now, CreatedBy: maker}
	k.SealedKey, err = seal(tenure.NewSecret(private), store.BoundAuditKey(k.ID))
	return k, err
}

// nameOf is the name and the number of a public key, as notes tell it.
func nameOf(public string) string {
	name, rest, _ := strings.Cut(public, "+")
	number, _, _ := strings.Cut(rest, "+")
	return name + "+" + number
}
