package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/store"
)

// memory is what a process remembers of what was signed, where nobody who can write to
// the database alone can change it.
type memory struct {
	read bool // whether the file was
	note string
	signedRoot
	unkept bool // the file could not be written, and that was told
}

// keyName is how the keys of an installation are called, and how what they sign begins.
func keyName(install string) string { return "tenure/" + install }

// ours is the epoch of a checkpoint; false: it is another installation's. Keys have the name
// of theirs, whatever the database says that this one is called.
func (l *Ledger) ours(ctx context.Context, c signedRoot, keys []string) (string, bool, error) {
	install, err := l.DB.Meta(ctx, "install.id")
	if err != nil {
		return "", false, err
	}
	for _, name := range append(keys, keyName(install)) {
		if epoch, ok := epochUnder(name, c.origin); ok {
			return epoch, true, nil
		}
	}
	return "", false, nil
}

// epochUnder is what the origin of a checkpoint has behind the name of a log; false: it is
// another log's.
func epochUnder(name, origin string) (string, bool) {
	rest, ok := strings.CutPrefix(origin, name)
	if rest == "" {
		return "", ok
	}
	epoch, is := strings.CutPrefix(rest, "/")
	return epoch, ok && is
}

// remembered is what this process or one before it remembers; nothing where that is of
// size 0.
func (l *Ledger) remembered() memory {
	if m := &l.memory; !m.read {
		got, err := l.onFile()
		if err != nil {
			l.warn("what was signed last cannot be read, and is not compared", "error", err)
			return *m // another time perhaps
		}
		*m = got
	}
	return l.memory
}

// onFile reads what is remembered outside of the database. A file that holds no
// checkpoint counts as none.
func (l *Ledger) onFile() (memory, error) {
	if l.Kept == "" {
		return memory{read: true}, nil
	}
	text, err := os.ReadFile(l.Kept)
	if errors.Is(err, os.ErrNotExist) {
		return memory{read: true}, nil
	}
	if err != nil {
		return memory{}, err
	}
	c, err := parse(string(text))
	if err != nil {
		l.warn("what was signed last is not in its file, and is not compared", "file", l.Kept, "error", err)
		return memory{read: true}, nil
	}
	return memory{read: true, note: string(text), signedRoot: c}, nil
}

// remember keeps a checkpoint, outside of the database too. A file that cannot be written
// stops nothing: it is told, and tried again with the next one.
func (l *Ledger) remember(text string) {
	if text == "" || text == l.memory.note {
		return
	}
	c, err := parse(text)
	if err != nil {
		return
	}
	told := l.memory.unkept
	l.memory = memory{read: true, note: text, signedRoot: c}
	if l.Kept == "" {
		return
	}
	if err := keep(l.Kept, text); err != nil {
		l.memory.note, l.memory.unkept = "", true // else it would count as kept
		if !told {
			l.warn("what was signed last cannot be kept outside of the database: it is remembered until this process ends", "file", l.Kept, "error", err)
		}
	}
}

// learn remembers a checkpoint of the database, which another replica has signed: whoever
// can write there can put any text in its place. So a key must have signed it whose secret
// this process has, it must be of the history that the tree is of, and it must not lead back.
// What is not learned is remembered when this process signs itself.
func (l *Ledger) learn(text, epoch string) {
	if text == "" || !l.memory.read { // what could not be read is not written over
		return
	}
	n, err := note.Open([]byte(text), l.held())
	if err != nil {
		return
	}
	c, err := parse(n.Text)
	if err != nil || c.size < l.memory.size {
		return
	}
	if of, ok := epochUnder(n.Sigs[0].Name, c.origin); ok && of == epoch {
		l.remember(text)
	}
}

// held are the public halves of the keys whose secrets this process has.
func (l *Ledger) held() note.Verifiers {
	var all []note.Verifier
	for _, s := range l.signers {
		all = append(all, s.verifier)
	}
	return note.VerifierList(all...)
}

// forget drops what is remembered: a history of this database that goes on no more.
func (l *Ledger) forget() {
	l.memory = memory{read: true}
	if l.Kept == "" {
		return
	}
	if err := os.Remove(l.Kept); err != nil && !errors.Is(err, os.ErrNotExist) {
		l.warn("what was signed last cannot be removed", "file", l.Kept, "error", err)
	}
}

// keep writes a file whole or not at all.
func keep(file, text string) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (l *Ledger) warn(text string, args ...any) {
	if l.Log != nil {
		l.Log.Warn("audit log: "+text, args...)
	}
}

// recall holds the tree of the database against what is remembered. A history that is
// another is accepted where the database says that it is one since, by its epoch, and an
// event tells why: a restore, or a tree that was begun anew. Then an event tells of what
// is no longer there.
func (l *Ledger) recall(ctx context.Context, tree store.Tree) error {
	m, another, err := l.differs(ctx, tree)
	if err != nil || m.size == 0 {
		return err
	}
	var keys []string
	for _, k := range l.signers {
		keys = append(keys, k.Name())
	}
	epoch, ours, err := l.ours(ctx, m.signedRoot, keys)
	if err != nil {
		return err
	}
	if ours && (another || epoch != tree.Epoch) {
		if told, err := l.explained(ctx, epoch, tree.Epoch); err != nil {
			return err
		} else if !told && !another {
			return broken("it is of the history %q now, and no event tells why", tree.Epoch)
		} else if !told {
			return broken("it is not the one of which this server signed %d places", m.size)
		}
	}
	if ours && !another {
		return nil // it goes on from what was signed
	}
	return l.another(ctx, tree, m, ours)
}

// another tells that the history is another than what is remembered, which is forgotten.
func (l *Ledger) another(ctx context.Context, tree store.Tree, m memory, ours bool) error {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	err = l.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.HistoryIsAnother(host, map[string]string{
			"origin": m.origin, "size": strconv.FormatInt(m.size, 10), "root": m.root.String(), "epoch": tree.Epoch, "size_now": strconv.FormatInt(tree.Size, 10),
		}))
	})
	if err != nil {
		return err
	}
	why := "an event says that it was restored, or begun anew"
	if !ours {
		why = "it is another installation's"
	}
	l.warn("its history is not the one that was signed here before: "+why, "origin", m.origin, "signed", m.size, "root", m.root.String(), "epoch", tree.Epoch, "places", tree.Size)
	l.forget()
	return nil
}

// differs tells whether the tree is not one that goes on from what is remembered.
func (l *Ledger) differs(ctx context.Context, tree store.Tree) (memory, bool, error) {
	m := l.remembered()
	if m.size == 0 {
		return m, false, nil
	}
	if m.size > tree.Size {
		return m, true, nil
	}
	root, err := l.rootAt(ctx, m.size)
	return m, root != m.root, err
}

// explained tells whether the epoch of the database is later than what is remembered, and
// an event tells why. An earlier one is a copy from before.
func (l *Ledger) explained(ctx context.Context, before, epoch string) (bool, error) {
	if !store.EpochAfter(epoch, before) {
		return false, nil
	}
	for _, action := range audit.Tellers() {
		events, err := l.DB.AuditEvents(ctx, store.AuditFilter{Tenant: tenure.DefaultTenant, Action: action, Limit: page})
		if err != nil {
			return false, err
		}
		for _, e := range events {
			if e.Detail["epoch"] == epoch {
				return true, nil
			}
		}
	}
	return false, nil
}
