package store

import (
	"fmt"
	"time"
)

// stampLayout is how times are written: RFC 3339 in UTC, to the microsecond.
const stampLayout = "2006-01-02T15:04:05.000000Z"

// stamp gives the stored form of t; the zero time is NULL.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(stampLayout)
}

// stampReader reads a time in any form that this product or an operator's
// hand may have written. NULL is the zero time. What is not NULL and cannot be
// read is the beginning of the Unix era: set, and long past; so a token with
// an unreadable end has ended.
type stampReader struct{ t *time.Time }

func into(t *time.Time) stampReader { return stampReader{t} }

// Scan implements sql.Scanner.
func (s stampReader) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s.t = time.Time{}
	case time.Time:
		*s.t = v.UTC()
	case int64:
		*s.t = time.Unix(v, 0).UTC()
	case []byte:
		*s.t = parseStamp(string(v))
	case string:
		*s.t = parseStamp(v)
	default:
		return fmt.Errorf("store: a time stored as %T", v)
	}
	return nil
}

func parseStamp(text string) time.Time {
	if t, ok := readStamp(text); ok {
		return t
	}
	return time.Unix(0, 0).UTC()
}

// readStamp reads a time; false: the text is none.
func readStamp(text string) (time.Time, bool) {
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
