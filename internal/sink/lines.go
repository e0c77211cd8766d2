package sink

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/tenure-gateway/tenure/internal/audit"
)

// A line is what is read back of a line of the file: of an event's, or of a mark's.
type line struct {
	Schema int    `json:"schema"`
	Action string `json:"action"`
	Place  *int64 `json:"place"`
	ID     string `json:"id"`
	Places int64  `json:"places"`
	After  string `json:"after"`
}

// position is where the log goes on behind the line. Of a line of nothing, that is at its
// beginning.
func (l line) position() position {
	switch {
	case l.Place != nil: // a checkpoint that ends with it comes behind it
		return position{next: *l.Place + 1, signed: *l.Place, last: l.ID}
	case l.Action == audit.MarkCheckpoint:
		return position{next: l.Places, signed: l.Places, last: l.After}
	}
	return position{next: l.Places, signed: max(l.Places-1, 0), last: l.After}
}

// parse reads a line. false: it is none of ours, or not whole.
func parse(text []byte) (line, bool) {
	var l line
	err := json.Unmarshal(text, &l)
	return l, err == nil && l.Schema > 0 && (l.Place != nil || l.Action == audit.MarkCheckpoint || l.Action == audit.MarkWentBack)
}

// errForeign is the answer where a file is not ours: nothing of it is cut off.
var errForeign = errors.New("the file holds something else than audit events")

// lastLine finds the last whole line of a file, and where it ends: what is behind that
// was torn by whatever ended the process. A file of nothing, or of the beginning of one
// line, ends at 0.
func lastLine(f *os.File) (line, int64, error) {
	info, err := f.Stat()
	if err != nil {
		return line{}, 0, err
	}
	if !info.Mode().IsRegular() {
		return line{}, 0, errForeign
	}
	size := info.Size()
	for n := int64(64 << 10); ; n *= 4 {
		n = min(n, size)
		tail := make([]byte, n)
		if _, err := f.ReadAt(tail, size-n); err != nil && !errors.Is(err, io.EOF) {
			return line{}, 0, err
		}
		for end := len(tail); ; {
			end = bytes.LastIndexByte(tail[:end], '\n')
			if end < 0 {
				break
			}
			begin := bytes.LastIndexByte(tail[:end], '\n') + 1
			if begin == 0 && n < size {
				break // its beginning is further in front
			}
			if l, ok := parse(tail[begin:end]); ok {
				return l, size - n + int64(end) + 1, nil
			}
		}
		if n == size {
			const first = `{"schema":`
			if rest := bytes.TrimRight(tail, "\x00"); !bytes.HasPrefix(rest, []byte(first)[:min(len(first), len(rest))]) {
				return line{}, 0, errForeign
			}
			return line{}, 0, nil
		}
	}
}

// lastAside is the last line of the newest file that was put aside.
func (f *File) lastAside() (line, error) {
	names, err := f.aside()
	if err != nil || len(names) == 0 {
		return line{}, err
	}
	aside, err := os.Open(names[len(names)-1])
	if err != nil {
		return line{}, err
	}
	l, _, err := lastLine(aside)
	return l, errors.Join(err, aside.Close())
}

// common is where the log and what the files have part: behind the last event that both
// have in the same place.
func (f *File) common(ctx context.Context) (position, error) {
	names, err := f.aside()
	if err != nil {
		return position{}, err
	}
	names = append(names, f.Path)
	for i := len(names) - 1; i >= 0; i-- {
		at, err := f.commonIn(ctx, names[i])
		if err != nil || at.next > 0 {
			return at, err
		}
	}
	return position{}, nil
}

func (f *File) commonIn(ctx context.Context, name string) (best position, err error) {
	file, err := os.Open(name)
	if err != nil {
		return best, err
	}
	defer func() { err = cmp.Or(err, file.Close()) }()
	in := bufio.NewReaderSize(file, 1<<20)
	ids, from := map[int64]string{}, int64(-1) // what the log has in the places from there on
	for {
		text, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return best, nil
		}
		if err != nil {
			return best, err
		}
		l, ok := parse(text)
		if !ok || l.Place == nil {
			continue
		}
		place := *l.Place
		if from < 0 || place < from || place >= from+page {
			rows, err := f.DB.PlacedOf(ctx, "", place, place+page, page)
			if err != nil {
				return best, err
			}
			clear(ids)
			from = place
			for _, r := range rows {
				ids[r.Place] = r.Event.ID
			}
		}
		if ids[place] == l.ID && place >= best.next {
			best = l.position()
		}
	}
}
