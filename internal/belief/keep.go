package belief

import (
	"context"
	"errors"
	"slices"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Record keeps a belief that its person states. What they stated before under the same name
// merges where it says the same, and else is superseded. Invalid: the draft is none, and
// how. Conflict: they have too many.
func (s *Beliefs) Record(ctx context.Context, by tenure.Principal, d Draft) (Kept, error) {
	of, err := whose(by, tenure.ChangeBeliefs)
	if err != nil {
		return Kept{}, err
	}
	if err := d.check(); err != nil {
		return Kept{}, err
	}
	if d.Workspace, err = s.place(ctx, of, d.Workspace); err != nil {
		return Kept{}, err
	}
	from := tenure.BeliefSource{Request: tenure.OriginOf(ctx).RequestID, Token: by.Token()}
	kept, err := s.keep(ctx, of, from, []said{{d, true}}, func(ctx context.Context, tx *store.Tx, all []Kept) error {
		return tx.Append(ctx, audit.BeliefRecorded(by, all[0].Belief, all[0].How))
	})
	if err != nil {
		return Kept{}, wrap("record a belief", err)
	}
	return kept[0], nil
}

// said is a draft that was checked.
type said struct {
	Draft
	replaces bool // what says otherwise, where there is such
}

// keep stores drafts, all or none, in one transaction with what after does.
func (s *Beliefs) keep(ctx context.Context, of store.BeliefFilter, from tenure.BeliefSource, drafts []said, after func(context.Context, *store.Tx, []Kept) error) ([]Kept, error) {
	k, err := s.Ring.make(ctx, of.Tenant, of.User)
	if err != nil {
		return nil, err
	}
	var kept []Kept
	err = s.write(ctx, k, of, from, func(ctx context.Context, w *writer) error {
		kept = kept[:0]
		for _, d := range drafts {
			one, err := w.keep(ctx, d)
			if err != nil {
				return err
			}
			kept = append(kept, one)
		}
		return after(ctx, w.tx, kept)
	})
	return kept, err
}

// writer writes beliefs of one person in one transaction: nobody else writes them meanwhile.
type writer struct {
	tx   *store.Tx
	k    *key
	of   store.BeliefFilter
	from tenure.BeliefSource
	room int // how many more they may have
}

func (s *Beliefs) write(ctx context.Context, k *key, of store.BeliefFilter, from tenure.BeliefSource, fn func(context.Context, *writer) error) error {
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.HoldBeliefKey(ctx, k.row); err != nil {
			return gone(err)
		}
		n, err := tx.CountBeliefs(ctx, of.Tenant, of.User)
		if err != nil {
			return err
		}
		return fn(ctx, &writer{tx, k, of, from, MaxBeliefs - n.All})
	})
}

// errFull is the answer to one belief too many.
var errFull = &tenure.Error{
	Kind: tenure.Conflict, Code: "too_many_beliefs",
	Msg: "you have as many beliefs as one person may: delete what does not matter any more",
}

// gone makes of a key that is not there any more what it means.
func gone(err error) error {
	if tenure.IsKind(err, tenure.NotFound) {
		return &tenure.Error{Kind: tenure.Conflict, Code: "beliefs_erased", Msg: "your beliefs were erased meanwhile: try again", Err: err}
	}
	return err
}

// keep keeps a draft beside what is there under its name.
func (w *writer) keep(ctx context.Context, d said) (Kept, error) {
	fresh := store.BeliefRow{Belief: tenure.Belief{
		ID: tenure.BeliefID(tenure.NewID(w.tx.Now())), Tenant: w.of.Tenant, User: w.of.User, Workspace: d.Workspace, Scope: d.Scope, Type: d.Type, Status: d.Status,
		BeliefText: d.BeliefText, Confidence: *d.Confidence, From: w.from, Version: 1, CreatedAt: w.tx.Now(), UpdatedAt: w.tx.Now(),
	}}
	fresh.Line = fresh.ID
	there, err := w.named(ctx, fresh.Belief)
	if err != nil {
		return Kept{}, err
	}
	if i := slices.IndexFunc(there, func(b store.BeliefRow) bool { return fold(b.Content) == fold(d.Content) }); i >= 0 && (len(there) == 1 || !d.replaces) {
		return w.merge(ctx, there[i], d.Draft)
	}
	how, before := Created, tenure.BeliefID("")
	switch {
	case len(there) > 0 && d.replaces:
		// All that were said under the name are settled by what is said now: the newest
		// one's line goes on, and theirs in it.
		how, before = Superseding, there[0].ID
		fresh.Line, fresh.Supersedes = there[0].Line, there[0].ID
		if err := w.supersede(ctx, there, fresh.ID, fresh.Line); err != nil {
			return Kept{}, err
		}
	case len(there) > 0:
		how, before, fresh.Contradicts = Contradicted, there[0].ID, there[0].ID
	}
	return Kept{fresh.Belief, how, before}, w.insert(ctx, &fresh)
}

// named reads the current beliefs of the name of one, the newest first, and opens them.
// Internal: a row of another place was given its hash by hand.
func (w *writer) named(ctx context.Context, b tenure.Belief) ([]store.BeliefRow, error) {
	rows, err := w.tx.BeliefsNamed(ctx, w.of.Tenant, w.of.User, w.k.name(b.Workspace, b.Scope, b.Type, b.Name))
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if rows[i].Workspace != b.Workspace || rows[i].Scope != b.Scope || rows[i].Type != b.Type {
			return nil, errTampered(rows[i].ID, errors.New("the hash is of another name"))
		}
		if err := w.k.open(&rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// insert stores a new belief, and flags those that it contradicts.
func (w *writer) insert(ctx context.Context, b *store.BeliefRow) error {
	if w.room--; w.room < 0 {
		return errFull
	}
	if err := w.k.seal(b); err != nil {
		return err
	}
	if err := w.tx.InsertBelief(ctx, *b); err != nil {
		return err
	}
	return w.settle(ctx, b.NameHash)
}

// settle flags the current beliefs of a name where there are several, each with another of
// them, and no other.
func (w *writer) settle(ctx context.Context, hash string) error {
	rows, err := w.tx.BeliefsNamed(ctx, w.of.Tenant, w.of.User, hash)
	if err != nil {
		return err
	}
	for i, b := range rows {
		with := tenure.BeliefID("")
		if len(rows) > 1 {
			with = rows[(i+1)%len(rows)].ID
			if slices.ContainsFunc(rows, func(o store.BeliefRow) bool { return o.ID == b.Contradicts && o.ID != b.ID }) {
				with = b.Contradicts
			}
		}
		if with == b.Contradicts {
			continue
		}
		if err := w.tx.Contradict(ctx, b, with); err != nil {
			return err
		}
	}
	return nil
}

// merge keeps a draft that says what a belief says: what is surer of both holds.
func (w *writer) merge(ctx context.Context, b store.BeliefRow, d Draft) (Kept, error) {
	b.Confidence = max(b.Confidence, *d.Confidence)
	if slices.Index(tenure.BeliefStatuses, d.Status) < slices.Index(tenure.BeliefStatuses, b.Status) {
		b.Status = d.Status
	}
	for _, alias := range d.Aliases {
		known := func(a string) bool { return fold(a) == fold(alias) }
		if len(b.Aliases) < tenure.MaxBeliefAliases && !known(b.Name) && !slices.ContainsFunc(b.Aliases, known) {
			b.Aliases = append(b.Aliases, alias)
		}
	}
	if b.Why == "" {
		b.Why = d.Why
	}
	err := w.change(ctx, &b)
	return Kept{b.Belief, Merged, ""}, err
}

// supersede ends beliefs whose place another takes, into its line; "": none does.
func (w *writer) supersede(ctx context.Context, all []store.BeliefRow, by, line tenure.BeliefID) error {
	for i := range all {
		b := &all[i]
		if line != "" && b.Line != line {
			if err := w.tx.JoinBeliefLines(ctx, *b, line); err != nil {
				return err
			}
			b.Line = line
		}
		b.Status, b.Superseded, b.Contradicts = tenure.BeliefSuperseded, by, ""
		if err := w.change(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// change stores what of a belief is another now.
func (w *writer) change(ctx context.Context, b *store.BeliefRow) error {
	b.Version++
	b.UpdatedAt = w.tx.Now()
	if err := w.k.seal(b); err != nil {
		return err
	}
	ok, err := w.tx.ChangeBelief(ctx, *b)
	if err == nil && !ok {
		err = errChanged
	}
	return err
}

// errChanged is the answer to whoever changes what is not as they read it.
var errChanged = &tenure.Error{
	Kind: tenure.Precondition, Code: "belief_changed", Field: "version",
	Msg: "the belief was changed meanwhile: read it again",
}

// Change is what of a belief is to be another; what is nil stays.
type Change struct {
	Version    int64 // that it was read at; 0: whichever
	Name       *string
	Type       *tenure.BeliefType
	Content    *string
	Why        *string
	Aliases    *[]string
	Status     *tenure.BeliefStatus // superseded: it holds no more, and nothing took its place
	Confidence *float64
}

// Patch changes a belief. What it says, and of what, stays as it was said: where that
// changes, another belief takes its place, and the line is kept. Its scope does not change.
// NotFound: they have no such. Precondition: it is of another version. Conflict: another
// took its place.
func (s *Beliefs) Patch(ctx context.Context, by tenure.Principal, id tenure.BeliefID, c Change) (Kept, error) {
	of, err := whose(by, tenure.ChangeBeliefs)
	if err != nil {
		return Kept{}, err
	}
	k, err := s.Ring.of(ctx, of.Tenant, of.User)
	if err != nil {
		return Kept{}, err
	}
	from := tenure.BeliefSource{Request: tenure.OriginOf(ctx).RequestID, Token: by.Token()}
	var kept Kept
	err = s.write(ctx, k, of, from, func(ctx context.Context, w *writer) error {
		b, err := read(ctx, w.tx, k, of, id)
		if err != nil {
			return err
		}
		if kept, err = w.patch(ctx, b, c); err != nil {
			return err
		}
		return w.tx.Append(ctx, audit.BeliefChanged(by, kept.Belief, kept.How))
	})
	return kept, wrap("change a belief", err)
}

func (w *writer) patch(ctx context.Context, b store.BeliefRow, c Change) (Kept, error) {
	if c.Version != 0 && c.Version != b.Version {
		return Kept{}, errChanged
	}
	if b.Status == tenure.BeliefSuperseded {
		return Kept{}, &tenure.Error{Kind: tenure.Conflict, Code: "belief_superseded", Msg: "the belief holds no more: record what holds now"}
	}
	if c.Status != nil && *c.Status == tenure.BeliefSuperseded {
		ended := []store.BeliefRow{b}
		if err := w.supersede(ctx, ended, "", ""); err != nil {
			return Kept{}, err
		}
		return Kept{ended[0].Belief, Superseding, ""}, w.settle(ctx, b.NameHash)
	}
	d := Draft{b.Workspace, b.Scope, b.Type, b.Status, &b.Confidence, b.BeliefText}
	set(&d.Name, c.Name)
	set(&d.Type, c.Type)
	set(&d.Content, c.Content)
	set(&d.Why, c.Why)
	set(&d.Aliases, c.Aliases)
	set(&d.Status, c.Status)
	if c.Confidence != nil {
		d.Confidence = c.Confidence
	}
	if err := d.check(); err != nil {
		return Kept{}, err
	}
	if d.Name == b.Name && d.Type == b.Type && d.Content == b.Content {
		b.BeliefText, b.Status, b.Confidence = d.BeliefText, d.Status, *d.Confidence
		err := w.change(ctx, &b)
		return Kept{b.Belief, Merged, ""}, err
	}
	fresh := store.BeliefRow{Belief: b.Belief}
	fresh.ID, fresh.Supersedes, fresh.Contradicts = tenure.BeliefID(tenure.NewID(w.tx.Now())), b.ID, ""
	fresh.Type, fresh.Status, fresh.BeliefText, fresh.Confidence = d.Type, d.Status, d.BeliefText, *d.Confidence
	fresh.From, fresh.Version, fresh.CreatedAt, fresh.UpdatedAt = w.from, 1, w.tx.Now(), w.tx.Now()
	fresh.Excerpt = "" // of what was said before
	// What else is said of the name is settled by what is said now.
	there, err := w.named(ctx, fresh.Belief)
	if err != nil {
		return Kept{}, err
	}
	there = append(slices.DeleteFunc(there, func(o store.BeliefRow) bool { return o.ID == b.ID }), b)
	if err := w.supersede(ctx, there, fresh.ID, b.Line); err != nil {
		return Kept{}, err
	}
	if err := w.insert(ctx, &fresh); err != nil {
		return Kept{}, err
	}
	return Kept{fresh.Belief, Superseding, b.ID}, w.settle(ctx, b.NameHash)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// Delete removes a belief, and those that it took the place of; of one that another took the
// place of, it alone. NotFound: they have no such.
func (s *Beliefs) Delete(ctx context.Context, by tenure.Principal, id tenure.BeliefID) error {
	of, err := whose(by, tenure.ChangeBeliefs)
	if err != nil {
		return err
	}
	k, err := s.Ring.of(ctx, of.Tenant, of.User)
	if err != nil {
		return err
	}
	err = s.write(ctx, k, of, tenure.BeliefSource{}, func(ctx context.Context, w *writer) error {
		b, err := w.tx.Belief(ctx, of.Tenant, of.User, id)
		if err != nil || of.Workspace != "" && b.Workspace != of.Workspace {
			return notFound(err)
		}
		var with []tenure.BeliefID
		if b.Superseded != "" {
			err = w.tx.DeleteBelief(ctx, b)
		} else if with, err = w.tx.DeleteBeliefLine(ctx, b); err == nil {
			err = w.settle(ctx, b.NameHash)
		}
		if err != nil {
			return err
		}
		return w.tx.Append(ctx, audit.BeliefDeleted(by, b.Belief, with))
	})
	return wrap("delete a belief", err)
}

func notFound(err error) error {
	if err == nil {
		return tenure.ErrNotFound
	}
	return err
}

// Erase destroys the key of a person's beliefs, and with it every one of them, in all
// workspaces, and in backups that are restored here. It gives how many there were.
func (s *Beliefs) Erase(ctx context.Context, by tenure.Principal) (int, error) {
	of, err := whose(by, tenure.EraseBeliefs)
	if err != nil {
		return 0, err
	}
	var n store.BeliefCount
	err = s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if n, err = tx.CountBeliefs(ctx, of.Tenant, of.User); err != nil {
			return err
		}
		if _, err := tx.DestroyBeliefKey(ctx, of.Tenant, of.User); err != nil {
			return err
		}
		return tx.Append(ctx, audit.BeliefsErased(by, n.All))
	})
	return n.All, wrap("erase beliefs", err)
}
