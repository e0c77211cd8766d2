package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Ends are lists of what has ended, by whoever knows better than a backup.
type Ends struct{ lists []list }

// list is one of them.
type list struct {
	name    string
	install string // "": it does not say
	ends    []store.Ending
	until   time.Time // up to when it knows; zero: it does not say
	ids     []eventID // of audit events
	backups []string  // digests of those that were made
	vague   int       // events that say how many have left a group, and not who
	// exceptions are the events that tell of them, in which the renewals are.
	exceptions []event
}

// of answers Invalid when a list is of another installation.
func (e Ends) of(install string) error {
	for _, l := range e.lists {
		if l.install != "" && l.install != install {
			return tenure.InvalidField("seen", "%s is of another installation than the backup", l.name)
		}
	}
	return nil
}

// apply ends what the lists tell. What carried anything has it end by the database's
// own triggers.
func (e Ends) apply(ctx context.Context, tx *store.Tx, in Header) ([]Told, error) {
	out, renewed := make([]Told, 0, len(e.lists)), e.renewals()
	for _, l := range e.lists {
		t := Told{Name: l.name, Events: len(l.ids), Vague: l.vague}
		for _, end := range l.ends {
			if end.From != (time.Time{}) && end.From.Before(in.At.Add(-margin)) {
				continue // the backup knows
			}
			t.Entries++
			ended, known, err := tx.End(ctx, renewed.judge(end, tx.Now()))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.name, err)
			}
			if ended {
				t.Ended++
			}
			if !known {
				t.Unknown++
			}
		}
		var err error
		if t.Tenants, err = l.covers(ctx, tx, in); err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// AddSeen adds a replica's memory: the file seen.json of its home.
func (e *Ends) AddSeen(name string, r io.Reader) error {
	var file struct {
		Seen  store.Mark     `json:"seen"`
		Ended []store.Change `json:"ended"`
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil || file.Seen.Install == "" {
		return tenure.InvalidField("seen", "%s is no seen.json of a replica's home", name)
	}
	l := list{name: name, install: file.Seen.Install, until: file.Seen.At}
	for _, c := range file.Ended {
		l.ends = append(l.ends, store.Ending{Change: c})
	}
	e.lists = append(e.lists, l)
	return nil
}

// maxEntry is the longest line of a list, in bytes.
const maxEntry = 4 << 20

// AddList adds a list of revocations: lines with an id, the SHA-256 or the first nine
// characters of a token; or the audit log as JSON, an event a line or one array.
// Invalid: a line is none of these. A whole token is taken by its digest.
func (e *Ends) AddList(name string, r io.Reader) error {
	l := list{name: name}
	in := bufio.NewReader(r)
	if first, _ := in.Peek(1); bytes.Equal(first, []byte("[")) {
		var events []event
		if err := json.NewDecoder(in).Decode(&events); err != nil {
			return tenure.InvalidField("revocations", "%s is no JSON array of audit events", name)
		}
		l.addEvents(events)
		e.lists = append(e.lists, l)
		return nil
	}
	var events []event
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxEntry)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		if text[0] == '{' {
			var one event
			if err := json.Unmarshal([]byte(text), &one); err != nil || one.Action == "" {
				return tenure.InvalidField("revocations", "%s, line %d: no audit event", name, n)
			}
			events = append(events, one)
			continue
		}
		end, err := entry(text)
		if err != nil {
			return tenure.InvalidField("revocations", "%s, line %d: neither an id, nor the SHA-256 or the first %d characters of a token", name, n, tenure.TokenPrefixLength)
		}
		l.ends = append(l.ends, end)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	l.addEvents(events)
	e.lists = append(e.lists, l)
	return nil
}

var (
	anID     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	aDigest  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	aPrefix  = regexp.MustCompile(`^t(pat|svc|scim|root)_[0-9A-Za-z]{3,4}$`)
	errEntry = errors.New("no entry")
)

// entry reads a line of a list.
func entry(text string) (store.Ending, error) {
	if _, ok := tenure.ParseToken(text); ok {
		return store.Ending{Hash: tenure.DigestOf(text).String()}, nil
	}
	switch {
	case anID.MatchString(text):
		return store.Ending{Change: store.Change{ID: text, Ended: true}}, nil
	case aDigest.MatchString(text):
		return store.Ending{Hash: text}, nil
	case aPrefix.MatchString(text) && len(text) == tenure.TokenPrefixLength:
		return store.Ending{Prefix: text}, nil
	}
	return store.Ending{}, errEntry
}
