package backup

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"
)

// maxLine is the longest row that is read, in bytes.
const maxLine = 64 << 20

// reader reads a backup line by line.
type reader struct {
	Header
	lines *bufio.Scanner
	sum   hash.Hash
	rows  int64
	tell  Progress

	digest string
}

// read opens a backup and reads its header.
func read(r io.Reader, ids []age.Identity, tell Progress) (*reader, error) {
	plainText, err := open(bufio.NewReaderSize(r, 64<<10), ids)
	if err != nil {
		return nil, err
	}
	unpacked, err := gzip.NewReader(plainText)
	if err != nil {
		return nil, broken(err)
	}
	out := &reader{lines: bufio.NewScanner(unpacked), sum: sha256.New(), tell: tell}
	out.lines.Buffer(make([]byte, 64<<10), maxLine)
	line, err := out.next()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &out.Header); err != nil || out.Format == 0 {
		return nil, broken(errors.New("it does not begin as one"))
	}
	if out.Format > format {
		return nil, newer(fmt.Sprintf("its format is %d", out.Format), out.Version)
	}
	return out, nil
}

// next reads a line, and counts it in.
func (r *reader) next() ([]byte, error) {
	if !r.lines.Scan() {
		err := r.lines.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return nil, broken(err)
	}
	line := r.lines.Bytes()
	if !bytes.HasPrefix(line, []byte(`{"end":`)) {
		r.sum.Write(line)
		r.sum.Write([]byte{'\n'})
	}
	return line, nil
}

// each gives the tables in the order of the file, and their rows; then it sees that
// the end is the end.
func (r *reader) each(ctx context.Context, table func(name string, columns []string, next func() ([]any, error)) error) error {
	for _, t := range r.Tables {
		line, err := r.next()
		if err != nil {
			return err
		}
		var begins tableLine
		if json.Unmarshal(line, &begins) != nil || begins.Table != t.Name {
			return broken(fmt.Errorf("where %s should begin", t.Name))
		}
		var n int64
		if err := table(t.Name, t.Columns, func() ([]any, error) {
			if n == t.Rows {
				return nil, io.EOF
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			n++
			return r.row(t)
		}); err != nil {
			return err
		}
	}
	return r.end()
}

// row reads a row of a table.
func (r *reader) row(t Table) ([]any, error) {
	line, err := r.next()
	if err != nil {
		return nil, err
	}
	row, err := parseRow(line, len(t.Columns))
	if err != nil {
		return nil, broken(fmt.Errorf("a row of %s: %w", t.Name, err))
	}
	if r.rows++; r.tell != nil && r.rows%1000 == 0 {
		r.tell(r.rows, r.Rows())
	}
	return row, nil
}

func parseRow(line []byte, columns int) ([]any, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.UseNumber()
	row := make([]any, 0, columns)
	if err := dec.Decode(&row); err != nil {
		return nil, err
	}
	if len(row) != columns {
		return nil, fmt.Errorf("%d values for %d columns", len(row), columns)
	}
	return row, nil
}

// end reads the last line, and that nothing follows.
func (r *reader) end() error {
	digest := hex.EncodeToString(r.sum.Sum(nil))
	line, err := r.next()
	if err != nil {
		return err
	}
	var end endLine
	if json.Unmarshal(line, &end) != nil || !end.End || end.Rows != r.rows || end.Digest != digest {
		return broken(errors.New("its rows do not add up to its digest"))
	}
	if r.lines.Scan() || r.lines.Err() != nil {
		return broken(errors.New("something follows its end"))
	}
	if r.tell != nil {
		r.tell(r.rows, r.Rows())
	}
	r.digest = digest
	return nil
}

// Verify reads a backup to its end, and tells what it is. Invalid: it does not open,
// or is not whole.
func Verify(ctx context.Context, r io.Reader, with Unlock, tell Progress) (Summary, error) {
	ids, err := with.identities()
	if err != nil {
		return Summary{}, err
	}
	return verify(ctx, r, ids, tell)
}

func verify(ctx context.Context, r io.Reader, ids []age.Identity, tell Progress) (Summary, error) {
	in, err := read(r, ids, tell)
	if err != nil {
		return Summary{}, err
	}
	err = in.each(ctx, func(_ string, _ []string, next func() ([]any, error)) error {
		for {
			if _, err := next(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
	return Summary{in.Header, in.digest}, err
}

// Inspect reads what a backup says of itself, and no further.
func Inspect(r io.Reader, with Unlock) (Header, error) {
	ids, err := with.identities()
	if err != nil {
		return Header{}, err
	}
	in, err := read(r, ids, nil)
	if err != nil {
		return Header{}, err
	}
	return in.Header, nil
}
