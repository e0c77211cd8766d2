package evidence

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A population is a table that is written twice, from one state: as CSV for spreadsheets
// and as JSON lines for programs.
type population struct {
	name    string // of its files, without the ending
	title   string
	columns []string
	// shows are the columns that the page has, where all would be too many for paper;
	// none: all.
	shows []string
	// each gives every row: values in the order of the columns, each a string, an int64,
	// a bool, a float64, a time.Time or nil. The slice is not kept.
	each func(ctx context.Context, give func(...any) error) error
}

// shownRows is how many rows of a population the page shows.
const shownRows = 50

// populate writes both files of a population, and keeps what the page shows of it.
func (x *export) populate(ctx context.Context, p population) error {
	shown := table{Name: p.name, Title: p.title, Columns: p.columns, All: len(p.shows) == 0}
	if !shown.All {
		shown.Columns = p.shows
	}
	err := x.bundle.file(p.name+".csv", func(w io.Writer) (int64, error) {
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write(p.columns); err != nil {
			return 0, err
		}
		cells := make([]string, len(p.columns))
		err := p.each(ctx, func(values ...any) error {
			for i, v := range values {
				cells[i] = plain(cell(v))
			}
			if shown.Rows++; len(shown.Shown) < shownRows {
				shown.Shown = append(shown.Shown, chosen(p.columns, cells, shown.Columns))
			}
			x.bundle.row(p.title)
			return out.Write(cells)
		})
		out.Flush()
		if err == nil {
			err = out.Error()
		}
		return shown.Rows, err
	})
	if err != nil {
		return err
	}
	x.found.tables = append(x.found.tables, shown)
	return x.bundle.file(p.name+".jsonl", func(w io.Writer) (rows int64, err error) {
		out := bufio.NewWriterSize(w, 64<<10)
		var b []byte
		err = p.each(ctx, func(values ...any) error {
			if b, err = appendObject(b[:0], p.columns, values); err != nil {
				return err
			}
			rows++
			x.bundle.row(p.title)
			_, err = out.Write(append(b, '\n'))
			return err
		})
		if err == nil {
			err = out.Flush()
		}
		return rows, err
	})
}

// chosen are the cells of some of the columns.
func chosen(columns, cells, of []string) []string {
	out := make([]string, 0, len(of))
	for _, name := range of {
		if i := slices.Index(columns, name); i >= 0 {
			out = append(out, cells[i])
		}
	}
	return out
}

// appendObject writes a row as JSON, its fields in the order of the columns.
func appendObject(b []byte, columns []string, values []any) ([]byte, error) {
	b = append(b, '{')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(strconv.AppendQuote(b, columns[i]), ':')
		if t, ok := v.(time.Time); ok {
			if v = nil; !t.IsZero() {
				v = stamp(t)
			}
		}
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		b = append(b, text...)
	}
	return append(b, '}'), nil
}

// cell is a value as CSV has it.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return stamp(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// plain keeps a cell from being a formula, where a person who chose their name may have
// meant one to be.
func plain(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}
