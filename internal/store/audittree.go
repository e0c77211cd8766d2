package store

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// TreeHash is a stored hash of the audit log's tree: the root over the leaves from
// N*256^Level on, 256^Level of them. At level 0 it is a leaf.
type TreeHash struct {
	Level int
	N     int64
	Hash  [32]byte
}

// Placed is an event with its place in the tree.
type Placed struct {
	Place int64
	Seq   int64 // of the event that was given the place
	Hash  []byte
	Event *tenure.AuditEvent // nil: it is not there any more
	// ToldBy is the id of the event that is said to tell why it is not; "": none is.
	ToldBy string
}

// metaTree has the tree that there is, which is taken by whoever adds to it.
const metaTree = "audit.tree"

// Tree is how far the tree goes.
type Tree struct {
	Size int64  // leaves
	Root string // over them, in base64; "" where nobody noted it
	// Epoch is what the tree's checkpoints tell after the installation: since when its
	// history is another than that which was signed before, by a restore or because it
	// was begun anew. "": the first.
	Epoch string
}

// text is the tree as it is stored; of a version before, its size alone.
func (t Tree) text() string {
	if t.Root == "" && t.Epoch == "" {
		return strconv.FormatInt(t.Size, 10)
	}
	return strings.TrimSuffix(strconv.FormatInt(t.Size, 10)+" "+cmp.Or(t.Root, unnoted)+" "+t.Epoch, " ")
}

// unnoted stands for a root that nobody noted.
const unnoted = "-"

// Tree reads how far the tree goes.
func (r reads) Tree(ctx context.Context) (Tree, error) {
	text, err := r.Meta(ctx, metaTree)
	if err != nil || text == "" {
		return Tree{}, err
	}
	parts := append(strings.Split(text, " "), "", "")
	n, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return Tree{}, fmt.Errorf("what is noted of the audit log's tree is no number: %w", err)
	}
	return Tree{n, strings.TrimPrefix(parts[1], unnoted), parts[2]}, nil
}

// TreeSize is how many leaves the tree has.
func (r reads) TreeSize(ctx context.Context) (int64, error) {
	t, err := r.Tree(ctx)
	return t.Size, err
}

// TakeTree lets the transaction add to the tree, from what it was to what it is then.
// Conflict: another one has added to it.
func (tx *Tx) TakeTree(ctx context.Context, from, to Tree) error {
	if _, err := tx.FirstMeta(ctx, metaTree, Tree{}.text()); err != nil {
		return err
	}
	taken, err := tx.SwapMeta(ctx, metaTree, from.text(), to.text())
	if err == nil && !taken {
		err = &tenure.Error{Kind: tenure.Conflict, Code: "audit_tree_taken", Msg: "another replica has added to the tree of the audit log"}
	}
	return err
}

// epochForm is an epoch: the instant when it began. A later one sorts behind.
const epochForm = "20060102T150405.000000Z"

// EpochAfter reports whether an epoch is one, and later than another.
func EpochAfter(epoch, before string) bool {
	_, err := time.Parse(epochForm, epoch)
	return err == nil && epoch > before
}

// NewEpoch says that the tree's history is another from now on than what may have been
// signed before, and gives the epoch. The event that tells why has it in its detail. It is
// later than any that the tree had, and that an event of the given actions tells of,
// whatever the clock says.
func (tx *Tx) NewEpoch(ctx context.Context, tellers ...string) (string, error) {
	t, err := tx.Tree(ctx)
	if err != nil {
		return "", err
	}
	known := []string{t.Epoch}
	for _, action := range tellers {
		events, err := tx.AuditEvents(ctx, AuditFilter{Tenant: tenure.DefaultTenant, Action: action, Limit: tellersRead})
		if err != nil {
			return "", err
		}
		for _, e := range events {
			known = append(known, e.Detail["epoch"])
		}
	}
	at := tx.now.UTC()
	for _, epoch := range known { // what is none was never accepted
		if other, err := time.Parse(epochForm, epoch); err == nil && at.Truncate(time.Microsecond).Compare(other) <= 0 {
			at = other.Add(time.Microsecond)
		}
	}
	t.Epoch = at.Format(epochForm)
	return t.Epoch, tx.SetMeta(ctx, metaTree, t.text())
}

// tellersRead is how many events that tell of an epoch are read, the newest first.
const tellersRead = 1000

// BeginTree empties the tree. Its checkpoints are kept apart, under the epoch in which
// they were made. It gives the new epoch, as NewEpoch does. Forbidden: the database's role may only add.
func (tx *Tx) BeginTree(ctx context.Context, tellers ...string) (string, error) {
	was, err := tx.Tree(ctx)
	if err != nil {
		return "", err
	}
	if err := tx.SetMeta(ctx, metaTree, Tree{Epoch: was.Epoch}.text()); err != nil { // whoever adds to it now waits
		return "", err
	}
	if _, err := tx.exec(ctx, `INSERT INTO audit_checkpoints_before (epoch, size, at, note) SELECT $1, size, at, note FROM audit_checkpoints WHERE true
		ON CONFLICT (epoch, size) DO NOTHING`, was.Epoch); err != nil {
		return "", ownersAct(err)
	}
	for _, table := range []string{"audit_checkpoints", "audit_subtrees", "audit_leaves"} {
		if _, err := tx.exec(ctx, `DELETE FROM `+table); err != nil {
			return "", ownersAct(err)
		}
	}
	// Places are given anew, and other events may have those that were sent: all is sent again.
	if _, err := tx.exec(ctx, `UPDATE audit_sinks SET cursor = 0, signed = 0, holder = '', lease_ends_at = NULL`); err != nil {
		return "", err
	}
	return tx.NewEpoch(ctx, tellers...)
}

// Unplaced lists events that have no leaf, in the order of writing, behind the event of
// number after.
func (r reads) Unplaced(ctx context.Context, after int64, limit int) ([]tenure.AuditEvent, error) {
	return many(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE seq > $1
		AND NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = audit_events.seq) ORDER BY seq LIMIT $2`, after, limit)
}

// LastEvent is the number of the newest event; 0 without one.
func (r reads) LastEvent(ctx context.Context) (int64, error) {
	return one(ctx, r.run, scalar[int64], `SELECT COALESCE(MAX(seq), 0) FROM audit_events`)
}

// CountUnplaced counts the events that have no place in a tree of a size.
func (r reads) CountUnplaced(ctx context.Context, size int64) (int64, error) {
	return one(ctx, r.run, scalar[int64], `SELECT count(*) FROM audit_events
		WHERE NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = audit_events.seq AND l.place >= 0 AND l.place < $1)`, size)
}

// FirstUnplaced is the event of the lowest number that has no place. NotFound: each has one.
func (r reads) FirstUnplaced(ctx context.Context) (tenure.AuditEvent, error) {
	return one(ctx, r.run, scanAudit, `SELECT `+auditColumns+`
		WHERE NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = audit_events.seq) ORDER BY seq LIMIT 1`)
}

// Overtaken is the first event written after an instant that has no place, though one of a
// higher number has. NotFound: there is none.
func (r reads) Overtaken(ctx context.Context, after time.Time) (tenure.AuditEvent, error) {
	return one(ctx, r.run, scanAudit, `SELECT `+auditColumns+` WHERE at > $1 AND seq < (SELECT COALESCE(MAX(seq), 0) FROM audit_leaves)
		AND NOT EXISTS (SELECT 1 FROM audit_leaves l WHERE l.seq = audit_events.seq) ORDER BY seq LIMIT 1`, stamp(after))
}

// PlacedBefore is the number of the last event under the newest checkpoint that was signed
// before an instant; 0: none was.
func (r reads) PlacedBefore(ctx context.Context, at time.Time) (int64, error) {
	return one(ctx, r.run, scalar[int64], `SELECT COALESCE((SELECT seq FROM audit_leaves
		WHERE place = (SELECT size - 1 FROM audit_checkpoints WHERE at < $1 ORDER BY size DESC LIMIT 1)), 0)`, stamp(at))
}

// metaSettled has up to which number every event has its place, and the epoch of which that
// is so.
const metaSettled = "audit.settled"

// Settled is up to which number every event has its place for good, in the history of a
// tree, as it was noted last; 0: it never was. It is never beyond the event that has the
// last place, whatever is noted: what is behind that waits.
func (r reads) Settled(ctx context.Context, t Tree) (int64, error) {
	text, err := r.Meta(ctx, metaSettled)
	if err != nil {
		return 0, err
	}
	number, of, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || of != t.Epoch {
		return 0, nil //nolint:nilerr // nothing is noted: all is looked at
	}
	last, err := one(ctx, r.run, scalar[int64], `SELECT COALESCE((SELECT seq FROM audit_leaves WHERE place = $1), 0)`, t.Size-1)
	return min(n, last), err
}

// NoteSettled notes up to which number every event has its place for good.
func (tx *Tx) NoteSettled(ctx context.Context, epoch string, upTo int64) error {
	return tx.SetMeta(ctx, metaSettled, strconv.FormatInt(upTo, 10)+" "+epoch)
}

// PutLeaf stores the leaf of an event.
func (tx *Tx) PutLeaf(ctx context.Context, place, seq int64, hash [32]byte) error {
	return tx.later(ctx, nil, `INSERT INTO audit_leaves (place, seq, hash) VALUES ($1, $2, $3)`, place, seq, hash[:])
}

// PutSubtree stores the root of a subtree.
func (tx *Tx) PutSubtree(ctx context.Context, t TreeHash) error {
	return tx.later(ctx, nil, `INSERT INTO audit_subtrees (level, n, hash) VALUES ($1, $2, $3)`, t.Level, t.N, t.Hash[:])
}

// TreeHashes reads stored hashes of a level, count of them from the n-th on. There are
// fewer where some are missing: those from the first missing one on are not read.
func (r reads) TreeHashes(ctx context.Context, level int, n int64, count int) ([][32]byte, error) {
	type row struct {
		n    int64
		hash []byte
	}
	query, args := `SELECT n, hash FROM audit_subtrees WHERE n >= $1 AND n < $2 AND level = $3 ORDER BY n`, []any{n, n + int64(count), level}
	if level == 0 {
		query, args = `SELECT place, hash FROM audit_leaves WHERE place >= $1 AND place < $2 ORDER BY place`, args[:2]
	}
	rows, err := many(ctx, r.run, func(s scanner) (row, error) {
		var one row
		err := s.Scan(&one.n, &one.hash)
		return one, err
	}, query, args...)
	out := make([][32]byte, 0, len(rows))
	for i, one := range rows {
		if one.n != n+int64(i) || len(one.hash) != 32 {
			break
		}
		out = append(out, [32]byte(one.hash))
	}
	return out, err
}

// PlacedEvents lists places of the tree from one on, in their order, with the events
// that were given them. Both are of one state: an event may be removed meanwhile.
func (r reads) PlacedEvents(ctx context.Context, from int64, limit int) ([]Placed, error) {
	return many(ctx, r.run, scanPlaced, placedColumns+` FROM (SELECT * FROM audit_leaves WHERE place >= $1 ORDER BY place LIMIT $2) l
		LEFT JOIN audit_events e ON e.seq = l.seq ORDER BY l.place`, from, limit)
}

const placedColumns = `SELECT l.place, l.seq, l.hash, COALESCE(l.told_by, ''), e.id, e.at, COALESCE(e.tenant_id, ''), COALESCE(e.workspace_id, ''), COALESCE(e.action, ''),
	COALESCE(e.actor_kind, ''), COALESCE(e.actor_id, ''), COALESCE(e.actor, ''), COALESCE(e.object_id, ''), COALESCE(e.object, ''), COALESCE(e.outcome, ''),
	COALESCE(e.reason, ''), COALESCE(e.request_id, ''), COALESCE(e.address, ''), e.detail, e.salt, e.erased`

// scanPlaced reads a place with its event, if that is there.
func scanPlaced(row scanner) (Placed, error) {
	var p Placed
	var e tenure.AuditEvent
	var detail []byte
	var id *string
	err := row.Scan(&p.Place, &p.Seq, &p.Hash, &p.ToldBy, &id, into(&e.At), &e.Tenant, &e.Workspace, &e.Action, &e.ActorKind, &e.ActorID, &e.Actor,
		&e.ObjectID, &e.Object, &e.Outcome, &e.Reason, &e.RequestID, &e.Address, &detail, &e.Salt, &e.Erased)
	if err == nil && id != nil {
		e.ID, e.Seq, p.Event = *id, p.Seq, &e
		e.Detail, err = detailOf(detail)
	}
	return p, err
}

// StrayLeaf gives the number of an event whose leaf is at no place of the tree; "": there
// is none.
func (r reads) StrayLeaf(ctx context.Context) (string, error) {
	for size := int64(-1); ; {
		tree, err := r.Tree(ctx)
		if err != nil {
			return "", err
		}
		stray, err := one(ctx, r.run, scalar[string], `SELECT COALESCE((SELECT 'number ' || seq FROM audit_leaves WHERE place < 0 ORDER BY place LIMIT 1),
			(SELECT 'number ' || seq FROM audit_leaves WHERE place >= $1 ORDER BY place LIMIT 1), '')`, tree.Size)
		if err != nil || stray == "" || tree.Size == size {
			return stray, err
		}
		size = tree.Size // it may have been given its place since that was read
	}
}

// PlaceOf is the place of an event, by its id. NotFound: it has none, or is not there.
func (r reads) PlaceOf(ctx context.Context, id string) (Placed, error) {
	place, err := one(ctx, r.run, scalar[int64], `SELECT l.place FROM audit_events e JOIN audit_leaves l ON l.seq = e.seq WHERE e.id = $1`, id)
	if err != nil {
		return Placed{}, err
	}
	all, err := r.PlacedEvents(ctx, place, 1)
	if err == nil && len(all) == 0 {
		err = tenure.ErrNotFound
	}
	if err != nil {
		return Placed{}, err
	}
	return all[0], nil
}

// Checkpoint is a signed root of the tree.
type Checkpoint struct {
	Size int64
	At   time.Time
	Note string
}

func scanCheckpoint(row scanner) (Checkpoint, error) {
	var c Checkpoint
	err := row.Scan(&c.Size, into(&c.At), &c.Note)
	return c, err
}

// PutCheckpoint stores a checkpoint.
func (tx *Tx) PutCheckpoint(ctx context.Context, c Checkpoint) error {
	_, err := tx.exec(ctx, `INSERT INTO audit_checkpoints (size, at, note) VALUES ($1, $2, $3)`, c.Size, stamp(c.At), c.Note)
	return err
}

// Checkpoints lists checkpoints of more leaves than after, the smallest first.
func (r reads) Checkpoints(ctx context.Context, after int64, limit int) ([]Checkpoint, error) {
	return many(ctx, r.run, scanCheckpoint, `SELECT size, at, note FROM audit_checkpoints WHERE size > $1 ORDER BY size LIMIT $2`, after, limit)
}

// LastCheckpoint is the newest checkpoint. NotFound: there is none yet.
func (r reads) LastCheckpoint(ctx context.Context) (Checkpoint, error) {
	return one(ctx, r.run, scanCheckpoint, `SELECT size, at, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1`)
}

// AuditKey is what checkpoints are signed with.
type AuditKey struct {
	ID          string
	Public      string // as notes are verified with
	CreatedAt   time.Time
	CreatedBy   string
	RetiredAt   time.Time // zero: it signs
	Checkpoints int64     // that it has signed
	SealedKey
}

func (r reads) auditKeys(ctx context.Context, which string) ([]AuditKey, error) {
	return many(ctx, r.run, func(row scanner) (AuditKey, error) {
		var k AuditKey
		err := row.Scan(&k.ID, &k.Public, into(&k.CreatedAt), &k.CreatedBy, into(&k.RetiredAt), &k.Checkpoints, &k.Sealed, &k.DataKey, &k.KEK, &k.Form)
		return k, err
	}, `SELECT id, public, created_at, created_by, retired_at, checkpoints, sealed, data_key, kek, form FROM audit_keys`+which+` ORDER BY created_at DESC, id DESC`)
}

// AuditKeys lists the signing keys, the newest first.
func (r reads) AuditKeys(ctx context.Context) ([]AuditKey, error) { return r.auditKeys(ctx, ``) }

// SigningKeys lists the signing keys that are not retired, the newest first.
func (r reads) SigningKeys(ctx context.Context) ([]AuditKey, error) {
	return r.auditKeys(ctx, ` WHERE retired_at IS NULL`)
}

// PutAuditKey stores a new signing key.
func (tx *Tx) PutAuditKey(ctx context.Context, k AuditKey) error {
	_, err := tx.exec(ctx, `INSERT INTO audit_keys (id, public, created_at, created_by, checkpoints, sealed, data_key, kek, form) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8)`,
		k.ID, k.Public, stamp(k.CreatedAt), k.CreatedBy, k.Sealed, k.DataKey, k.KEK, k.Form)
	return err
}

// CountCheckpoint counts one more checkpoint that a key has signed.
func (tx *Tx) CountCheckpoint(ctx context.Context, id string) error {
	return tx.later(ctx, nil, `UPDATE audit_keys SET checkpoints = checkpoints + 1 WHERE id = $1`, id)
}

// RetireAuditKey destroys a signing key. Its public half stays.
func (tx *Tx) RetireAuditKey(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, `UPDATE audit_keys SET retired_at = $1, sealed = $2, data_key = $2, kek = '', form = 0 WHERE id = $3 AND retired_at IS NULL`,
		stamp(tx.now), []byte{}, id)
	return err
}

// BoundAuditKey is what a signing key is bound to.
func BoundAuditKey(id string) Bound {
	return Bound{Tenant: tenure.DefaultTenant, Credential: id, Purpose: AuditSigningKey}
}
