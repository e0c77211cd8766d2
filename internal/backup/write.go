package backup

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"strconv"

	"filippo.io/age"

	"github.com/tenure-gateway/tenure/internal/store"
)

// A backup is lines of JSON, compressed by gzip, encrypted by age: the header; then
// for each table a line with its name, and each of its rows as an array; and at the
// end how many rows there were, and the digest of all that stands before.

// format is the version of that.
const format = 1

// tableLine begins a table.
type tableLine struct {
	Table string `json:"table"`
}

// endLine is the last line.
type endLine struct {
	End    bool   `json:"end"`
	Rows   int64  `json:"rows"`
	Digest string `json:"sha256"`
}

// lineWriter writes lines, and their digest.
type lineWriter struct {
	out io.Writer
	sum hash.Hash
	buf []byte
}

func (w *lineWriter) line(text []byte) error {
	text = append(text, '\n')
	w.sum.Write(text)
	_, err := w.out.Write(text)
	return err
}

func (w *lineWriter) value(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.line(text)
}

func headerOf(snap *store.Snapshot, version string) Header {
	h := Header{
		Format: format, Version: version, Schema: snap.Schema, Install: snap.Install, Database: snap.Kind,
		At: snap.At, Feed: snap.Feed, Audit: snap.Audit,
	}
	for _, t := range snap.Tables {
		h.Tables = append(h.Tables, Table{Name: t.Name, Columns: t.Names(), Rows: t.Rows})
	}
	return h
}

// write writes a snapshot, and closes what encrypts it.
func (b *Backups) write(ctx context.Context, snap *store.Snapshot, w io.Writer, lock Lock, tell Progress) (Summary, error) {
	to, _, err := lock.recipients()
	if err != nil {
		return Summary{}, err
	}
	return writeTo(ctx, snap, b.Version, w, to, tell)
}

func writeTo(ctx context.Context, snap *store.Snapshot, version string, w io.Writer, to []age.Recipient, tell Progress) (Summary, error) {
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return Summary{}, err
	}
	packed, err := gzip.NewWriterLevel(sealed, gzip.BestSpeed)
	if err != nil {
		return Summary{}, err
	}
	buffered := bufio.NewWriterSize(packed, 64<<10)
	sum, err := writeLines(ctx, snap, version, buffered, tell)
	for _, end := range []func() error{buffered.Flush, packed.Close, sealed.Close} {
		if err == nil {
			err = end()
		}
	}
	return sum, err
}

func writeLines(ctx context.Context, snap *store.Snapshot, version string, out io.Writer, tell Progress) (Summary, error) {
	h := headerOf(snap, version)
	w := &lineWriter{out: out, sum: sha256.New()}
	if err := w.value(h); err != nil {
		return Summary{}, err
	}
	var done int64
	of := h.Rows()
	for _, t := range snap.Tables {
		if err := w.value(tableLine{t.Name}); err != nil {
			return Summary{}, err
		}
		if err := snap.Each(ctx, t, func(row []any) error {
			if done++; tell != nil && done%1000 == 0 {
				tell(done, of)
			}
			var err error
			if w.buf, err = appendRow(w.buf[:0], row); err != nil {
				return err
			}
			return w.line(w.buf)
		}); err != nil {
			return Summary{}, err
		}
	}
	if tell != nil {
		tell(done, of)
	}
	digest := hex.EncodeToString(w.sum.Sum(nil))
	return Summary{Header: h, Digest: digest}, w.value(endLine{true, done, digest})
}

// appendRow writes a row as an array of JSON. What is plain, as almost everything is,
// is copied.
func appendRow(b []byte, row []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range row {
		if i > 0 {
			b = append(b, ',')
		}
		switch v := v.(type) {
		case nil:
			b = append(b, "null"...)
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case []byte:
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, v)
			b = append(b, '"')
		case string:
			if plain(v) {
				b = append(b, '"')
				b = append(b, v...)
				b = append(b, '"')
				continue
			}
			text, err := json.Marshal(v)
			if err != nil {
				return b, err
			}
			b = append(b, text...)
		default:
			text, err := json.Marshal(v)
			if err != nil {
				return b, err
			}
			b = append(b, text...)
		}
	}
	return append(b, ']'), nil
}

// plain reports whether a text stands for itself in JSON.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
