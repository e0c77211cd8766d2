package vault

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// DefaultOverlap is for how long the version before is a last resort.
const DefaultOverlap = time.Hour

// The bounds of what a key may have.
const (
	maxPosition    = 1000
	maxWeight      = 1000
	maxRotateEvery = 3650 // days
)

// NewKey is a version of a key that is to be stored.
type NewKey struct {
	Name   string // of the key; "": the usual one
	Secret tenure.Secret
	// Reference is the address of where the key is kept, in the place of the key.
	Reference string
	// Added: there is no key of this name yet that is not retired. None is replaced.
	Added bool
	Arrangement
}

// Arrangement is how a key is used, beside the others of its provider; what is nil stays
// as it is, and is 1, 1 and 0 for a new key.
type Arrangement struct {
	Position    *int // lower ones are used first
	Weight      *int // its share among those of the same position
	RotateEvery *int // in days, whoever looks after it is reminded; 0: never
}

// Taking is how a version comes into use.
type Taking struct {
	Overlap   time.Duration // for which the version before is a last resort; 0: it is retired at once
	Unchecked bool          // though no check has passed
}

// ParseOverlap reads for how long the version before is to be a last resort: "0",
// "90m", "7d"; "" is DefaultOverlap. Invalid: it is no length of time.
func ParseOverlap(text string) (time.Duration, error) {
	if text == "" {
		return DefaultOverlap, nil
	}
	d, err := tenure.ParseLifetime(text)
	if err != nil {
		return 0, tenure.InvalidField("overlap", "overlap: %v", err)
	}
	return d, nil
}

func (t Taking) validate() error {
	if t.Overlap < 0 || t.Overlap > tenure.MaxOverlap {
		return tenure.InvalidField("overlap", "the overlap must be 0 to 7d, for example \"1h\"")
	}
	return nil
}

func (a Arrangement) validate() error {
	for _, c := range []struct {
		value      *int
		field      string
		least, max int
	}{
		{a.Position, "position", 1, maxPosition}, {a.Weight, "weight", 1, maxWeight}, {a.RotateEvery, "rotate_every_days", 0, maxRotateEvery},
	} {
		if c.value != nil && (*c.value < c.least || *c.value > c.max) {
			return tenure.InvalidField(c.field, "%s must be %d to %d", c.field, c.least, c.max)
		}
	}
	return nil
}

// apply gives a key its arrangement.
func (a Arrangement) apply(k *tenure.ProviderKey) {
	k.Position, k.Weight = given(a.Position, cmp.Or(k.Position, 1)), given(a.Weight, cmp.Or(k.Weight, 1))
	k.RotateEvery = given(a.RotateEvery, k.RotateEvery)
}

// given is a number that was given, or another.
func given(n *int, or int) int {
	if n != nil {
		return *n
	}
	return or
}

// ProviderKeys lists every version of every key of a provider, without the keys.
func (v *Vault) ProviderKeys(ctx context.Context, by tenure.Principal, provider tenure.ProviderID) ([]tenure.ProviderKey, error) {
	if err := access.Check(by, tenure.ListProviders); err != nil {
		return nil, err
	}
	rows, err := v.DB.ProviderKeys(ctx, by.Tenant(), provider)
	if err == nil && len(rows) == 0 {
		_, err = v.DB.Provider(ctx, by.Tenant(), provider)
	}
	keys := make([]tenure.ProviderKey, len(rows))
	for i, row := range rows {
		keys[i] = row.ProviderKey
	}
	return keys, err
}

// Rotate checks a key with its provider and puts it in the place of the version that is
// in use, or, if the provider has none of this name, beside the others; all in one
// transaction. A check that fails changes nothing but that it is audited. Conflict: it
// failed (key_refused, provider_unreachable, key_check_failed), the key is in use, or it
// was to be added and there is one of its name (key_exists).
func (v *Vault) Rotate(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, n NewKey, t Taking) (tenure.ProviderKey, error) {
	if err := t.validate(); err != nil {
		return tenure.ProviderKey{}, err
	}
	return v.store(ctx, by, provider, n, &t)
}

// Stage stores a version of a key and does not use it. One that was staged before, of
// the same name, is retired.
func (v *Vault) Stage(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, n NewKey) (tenure.ProviderKey, error) {
	return v.store(ctx, by, provider, n, nil)
}

// store is both: take is nil for a version that is only staged.
func (v *Vault) store(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, n NewKey, take *Taking) (tenure.ProviderKey, error) {
	var k tenure.ProviderKey
	if err := access.Check(by, tenure.ChangeProvider); err != nil {
		return k, err
	}
	if err := n.validate(); err != nil {
		return k, err
	}
	p, err := v.DB.Provider(ctx, by.Tenant(), provider)
	if err != nil {
		return k, err
	}
	made, err := v.prepare(ctx, p.Tenant, n.Secret, n.Reference)
	if err != nil {
		return k, err
	}
	k = tenure.ProviderKey{
		Tenant: p.Tenant, Workspace: p.Workspace, Provider: p.ID, Name: n.Name, State: tenure.KeyStaged, Reference: made.reference, Last4: made.last4, Fingerprint: made.fingerprint,
		MadeBy: by.User(), CreatedBy: maker(by),
	}
	if take != nil && !take.Unchecked {
		if err := v.checkFirst(ctx, by, p, &k, made.key); err != nil {
			return k, err
		}
	}
	err = v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.HoldProvider(ctx, p.Tenant, p.ID); err != nil {
			return err
		}
		if err := v.next(ctx, tx, by, p, &k, n); err != nil {
			return err
		}
		sealed, err := made.sealed(k)
		if err != nil {
			return err
		}
		if err := tx.InsertProviderKey(ctx, k, sealed); err != nil {
			return err
		}
		if err := tx.ArrangeKey(ctx, k); err != nil {
			return err
		}
		if err := tx.Append(ctx, audit.ProviderKeyChanged(by, p, k, "staged")); err != nil || take == nil {
			return err
		}
		return activate(ctx, tx, by, p, &k, *take)
	})
	if err != nil {
		return k, fmt.Errorf("key of provider %s: %w", p.ID, err)
	}
	v.Live.Changed(ctx, store.Change{Kind: "provider", ID: string(p.ID)})
	return k, nil
}

func (n *NewKey) validate() error {
	n.Name = cmp.Or(n.Name, tenure.DefaultKeyName)
	if !providerName.MatchString(n.Name) {
		return tenure.InvalidField("name", "a key's name has 1 to 63 lower-case letters, digits, dots, dashes and underscores, for example \"spare\"")
	}
	return n.Arrangement.validate()
}

// checkFirst asks the provider with a key that is not stored yet.
func (v *Vault) checkFirst(ctx context.Context, by tenure.Principal, p tenure.Provider, k *tenure.ProviderKey, secret tenure.Secret) error {
	var err error
	if k.Check, k.CheckError, err = v.try(ctx, p, secret); err != nil {
		return err
	}
	k.CheckedAt = v.DB.Now()
	if k.Check == tenure.CheckPassed {
		return nil
	}
	// The request itself was not carried out, and may be repeated.
	err = v.DB.Tx(tenure.WithOnce(ctx, nil), func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.ProviderKeyChecked(by, p, *k))
	})
	if err != nil {
		return err
	}
	return errCheck(*k)
}

// next completes a version by those of its key that there are, and retires one that was
// staged before.
func (v *Vault) next(ctx context.Context, tx *store.Tx, by tenure.Principal, p tenure.Provider, k *tenure.ProviderKey, n NewKey) error {
	rows, err := tx.ProviderKeys(ctx, p.Tenant, p.ID)
	if err != nil {
		return err
	}
	k.ID, k.CreatedAt, k.State, k.Version = tenure.KeyID(tenure.NewID(tx.Now())), tx.Now(), tenure.KeyStaged, 0
	k.Position, k.Weight, k.RotateEvery = 0, 0, 0
	for _, before := range rows {
		if before.State == tenure.KeyActive && before.Fingerprint == k.Fingerprint && before.Reference == k.Reference {
			return &tenure.Error{Kind: tenure.Conflict, Code: "key_in_use", Field: "key", Msg: fmt.Sprintf("this is the key %q, which is in use: make a new one at the provider", before.Name)}
		}
		if before.Name != k.Name {
			continue
		}
		if n.Added && before.State != tenure.KeyRetired {
			return &tenure.Error{Kind: tenure.Conflict, Code: "key_exists", Field: "name", Msg: fmt.Sprintf("there is a key of the name %q: rotate it, or choose another name", k.Name)}
		}
		if before.Version > k.Version { // the newest comes first
			k.Version, k.Position, k.Weight, k.RotateEvery = before.Version, before.Position, before.Weight, before.RotateEvery
		}
		if before.State == tenure.KeyStaged {
			if err := retire(ctx, tx, by, p, before.ProviderKey); err != nil {
				return err
			}
		}
	}
	k.Version++
	n.apply(k)
	return nil
}

// Activate brings a staged version into use, in the place of the one that is. Conflict:
// it is not staged, or its last check has not passed.
func (v *Vault) Activate(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, id tenure.KeyID, t Taking) (tenure.ProviderKey, error) {
	var k tenure.ProviderKey
	if err := t.validate(); err != nil {
		return k, err
	}
	err := v.change(ctx, by, provider, id, func(ctx context.Context, tx *store.Tx, p tenure.Provider, row tenure.ProviderKey) error {
		k = row
		switch {
		case k.State != tenure.KeyStaged:
			return &tenure.Error{Kind: tenure.Conflict, Code: "key_not_staged", Msg: fmt.Sprintf("version %d of the key %q is not staged: it is %s", k.Version, k.Name, k.State)}
		case k.Check != tenure.CheckPassed && !t.Unchecked:
			return &tenure.Error{Kind: tenure.Conflict, Code: "key_unchecked", Msg: fmt.Sprintf("version %d of the key %q has not passed a check: check it first. Who knows better may use it unchecked", k.Version, k.Name)}
		}
		return activate(ctx, tx, by, p, &k, t)
	})
	return k, err
}

func activate(ctx context.Context, tx *store.Tx, by tenure.Principal, p tenure.Provider, k *tenure.ProviderKey, t Taking) error {
	until := time.Time{}
	if t.Overlap > 0 {
		until = tx.Now().Add(t.Overlap)
	}
	if err := tx.ReplaceKey(ctx, *k, until); err != nil {
		return err
	}
	if err := tx.ActivateKey(ctx, k.ID); err != nil {
		return err
	}
	k.State, k.ActivatedAt = tenure.KeyActive, tx.Now()
	return tx.Append(ctx, audit.ProviderKeyActivated(by, p, *k, t.Overlap))
}

// Retire ends a version now, whatever its state: what was sealed is destroyed, and the
// row stays as evidence.
func (v *Vault) Retire(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, id tenure.KeyID) (tenure.ProviderKey, error) {
	var k tenure.ProviderKey
	err := v.change(ctx, by, provider, id, func(ctx context.Context, tx *store.Tx, p tenure.Provider, row tenure.ProviderKey) error {
		k = row
		if k.State == tenure.KeyRetired {
			return nil
		}
		if err := retire(ctx, tx, by, p, k); err != nil {
			return err
		}
		k.State, k.RetiredAt, k.RetireAt = tenure.KeyRetired, tx.Now(), time.Time{}
		return nil
	})
	return k, err
}

func retire(ctx context.Context, tx *store.Tx, by tenure.Principal, p tenure.Provider, k tenure.ProviderKey) error {
	ended, err := tx.RetireKey(ctx, k)
	if err != nil || !ended {
		return err
	}
	return tx.Append(ctx, audit.ProviderKeyChanged(by, p, k, "retired"))
}

// Arrange changes the place of a key among the others, its share, and when whoever looks
// after it is reminded.
func (v *Vault) Arrange(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, id tenure.KeyID, a Arrangement) (tenure.ProviderKey, error) {
	var k tenure.ProviderKey
	if err := a.validate(); err != nil {
		return k, err
	}
	err := v.change(ctx, by, provider, id, func(ctx context.Context, tx *store.Tx, p tenure.Provider, row tenure.ProviderKey) error {
		k = row
		if k.State == tenure.KeyRetired {
			return errEnded(k)
		}
		a.apply(&k)
		if err := tx.ArrangeKey(ctx, k); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ProviderKeyChanged(by, p, k, "arranged"))
	})
	return k, err
}

// change runs one act on a version of a key, while nobody else changes its provider.
func (v *Vault) change(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, id tenure.KeyID,
	act func(context.Context, *store.Tx, tenure.Provider, tenure.ProviderKey) error,
) error {
	if err := access.Check(by, tenure.ChangeProvider); err != nil {
		return err
	}
	err := v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.HoldProvider(ctx, by.Tenant(), provider); err != nil {
			return err
		}
		p, err := tx.Provider(ctx, by.Tenant(), provider)
		if err != nil {
			return err
		}
		row, err := tx.ProviderKey(ctx, by.Tenant(), provider, id)
		if err != nil {
			return err
		}
		return act(ctx, tx, p, row.ProviderKey)
	})
	if err != nil {
		return fmt.Errorf("key %s of provider %s: %w", id, provider, err)
	}
	v.Live.Changed(ctx, store.Change{Kind: "provider", ID: string(provider)})
	return nil
}
