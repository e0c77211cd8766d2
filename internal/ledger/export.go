package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// exportVersion is the form of an export.
const exportVersion = 1

// An exportHead is the first line of an export.
type exportHead struct {
	Version int       `json:"tenure_audit_export"`
	At      time.Time `json:"at"`
	Places  int64     `json:"places"`  // that follow
	Signed  int64     `json:"signed"`  // that the last checkpoint is over
	Waiting int64     `json:"waiting"` // events that have no place yet, and are not in it
	Keys    []string  `json:"keys"`    // public ones, the newest first
}

// An exportLine is each other line: a place with its event, or the checkpoint of all
// places before it.
type exportLine struct {
	Place      *int64 `json:"place,omitempty"`
	Seq        int64  `json:"seq,omitempty"`
	Leaf       []byte `json:"leaf,omitempty"`
	ToldBy     string `json:"told_by,omitempty"` // which event tells why there is none
	Event      *Event `json:"event,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Export writes the whole log, of all tenants, with its tree: a line of JSON for each
// place and each checkpoint, as VerifyExport reads them. tell is told how many of how
// many places are written. Conflict: events were erased or removed meanwhile, and what tells
// of it has a place behind the export, or none yet.
func (l *Ledger) Export(ctx context.Context, by tenure.Principal, w io.Writer, tell func(done, all int64)) (int64, error) {
	if err := access.Check(by, tenure.ExportAudit); err != nil {
		return 0, err
	}
	ctx = tenure.Everywhere(ctx)
	head, err := l.head(ctx)
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(w, 1<<20)
	enc := json.NewEncoder(out)
	if err := enc.Encode(head); err != nil {
		return 0, err
	}
	notes, done, seen := checkpoints{db: l.DB, until: head.Signed}, int64(0), &verifier{}
	for from := int64(0); from < head.Places; {
		places, err := l.DB.PlacedEvents(ctx, from, page)
		if err != nil {
			return done, err
		}
		if len(places) == 0 {
			break // whoever verifies it is told
		}
		for _, p := range places {
			if from = p.Place + 1; p.Place >= head.Places {
				break
			}
			line := exportLine{Place: &p.Place, Seq: p.Seq, Leaf: p.Hash, ToldBy: p.ToldBy}
			if p.Event != nil {
				e := showEvent(*p.Event)
				line.Event = &e
			}
			seen.notes(p)
			if err := enc.Encode(line); err != nil {
				return done, err
			}
			done++
			var failed error
			err := notes.upTo(ctx, from, func(c store.Checkpoint) { failed = errors.Join(failed, enc.Encode(exportLine{Checkpoint: c.Note})) })
			if err := errors.Join(err, failed); err != nil {
				return done, err
			}
		}
		tell(done, head.Places)
	}
	if err := seen.whole(ctx, l.DB, head.Places); err != nil {
		return done, err
	}
	return done, out.Flush()
}

// whole is why what was read does not tell by itself of all that is missing in it, though
// the log does; nil: it does, or nothing tells.
func (v *verifier) whole(ctx context.Context, db *store.DB, size int64) error {
	if !v.waits() {
		return nil
	}
	tellers, err := db.Tellers(ctx, size)
	for i := range tellers {
		before := len(v.Told)
		if err := v.toldSince(ctx, db, &tellers[i]); err != nil {
			return err
		}
		if len(v.Told) > before {
			return &tenure.Error{
				Kind: tenure.Conflict, Code: "audit_changed_meanwhile", RetryAfter: 5 * time.Second,
				Msg: "events were erased or removed, and the event that tells of it is not in the export: export again once it has its place, in some seconds",
			}
		}
	}
	return err
}

func (l *Ledger) head(ctx context.Context) (exportHead, error) {
	h := exportHead{Version: exportVersion, At: l.DB.Now().UTC(), Keys: []string{}}
	last, err := l.DB.LastCheckpoint(ctx)
	if err != nil && !tenure.IsKind(err, tenure.NotFound) {
		return h, err
	}
	h.Signed = last.Size
	tree, err := l.DB.Tree(ctx)
	if err != nil {
		return h, err
	}
	h.Places = tree.Size
	if h.Waiting, err = l.DB.CountUnplaced(ctx, h.Places); err != nil {
		return h, err
	}
	rows, err := l.DB.AuditKeys(ctx)
	for _, row := range rows {
		h.Keys = append(h.Keys, row.Public)
	}
	return h, err
}

// VerifyExport verifies an export as Verify does a database, and needs none. Without keys
// in the question those that the export names are believed. Invalid: it is no export.
func VerifyExport(r io.Reader, q Question) (Answer, error) {
	in := &exportLines{from: bufio.NewReaderSize(r, 1<<20)}
	var head exportHead
	if err := in.next(&head); err != nil || head.Version != exportVersion {
		return Answer{}, tenure.InvalidField("file", "that is no export of \"tenure audit export\"")
	}
	v, err := newVerifier(head.Keys, q)
	if err != nil {
		return Answer{}, err
	}
	v.Waiting = head.Waiting
	for v.Fault == nil || v.waits() {
		var line exportLine
		err := in.next(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if v.Fault == nil {
				v.fault(v.tree.Size, "", "the line of the export cannot be read: %v", err)
			}
			break
		}
		if v.Fault != nil { // what comes may tell of something that is missing before it
			if line.Place != nil {
				v.behind(line.placed())
			}
			continue
		}
		v.line(line)
		if q.Tell != nil && v.tree.Size%page == 0 {
			q.Tell(v.tree.Size, head.Places)
		}
	}
	v.end(head.Places, head.Signed)
	return v.Answer, nil
}

// exportLines reads an export line by line.
type exportLines struct {
	from *bufio.Reader
	line []byte
	back bytes.Buffer
}

// errOtherwise is why a line is refused that says what nobody verifies.
var errOtherwise = errors.New("it is not as \"tenure audit export\" writes it")

// next reads a line. What the line says is what is verified, and no more: a field that is
// unknown, or there twice, or written otherwise, is refused. io.EOF: there is none, or one
// that is cut off.
func (e *exportLines) next(to any) error {
	e.line = e.line[:0]
	for {
		part, err := e.from.ReadSlice('\n')
		e.line = append(e.line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	if err := json.Unmarshal(e.line, to); err != nil {
		return err
	}
	e.back.Reset()
	if err := json.NewEncoder(&e.back).Encode(to); err != nil {
		return err
	}
	if !bytes.Equal(e.back.Bytes(), e.line) {
		return errOtherwise
	}
	return nil
}

// placed is the place of a line.
func (line exportLine) placed() store.Placed {
	p := store.Placed{Place: *line.Place, Seq: line.Seq, Hash: line.Leaf, ToldBy: line.ToldBy}
	if line.Event != nil {
		e := eventOf(*line.Event)
		p.Event = &e
	}
	return p
}

func (v *verifier) line(line exportLine) {
	if line.Place == nil {
		c, err := parse(line.Checkpoint)
		if err != nil {
			v.fault(v.tree.Size, "", "the line behind the place before it is no checkpoint: %v", err)
			return
		}
		v.checkpoint(store.Checkpoint{Size: c.size, Note: line.Checkpoint})
		return
	}
	v.place(line.placed())
}
