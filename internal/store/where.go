package store

import (
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// where gathers conditions and their arguments.
type where struct {
	conds []string
	args  []any
}

// and adds a condition; each "?" in it stands for the next of args.
func (w *where) and(cond string, args ...any) {
	var b strings.Builder
	for _, r := range cond {
		if r != '?' {
			b.WriteRune(r)
			continue
		}
		w.args = append(w.args, args[0])
		args = args[1:]
		b.WriteString("$" + strconv.Itoa(len(w.args)))
	}
	w.conds = append(w.conds, b.String())
}

// part chooses rows of which one of the columns has part in it, without regard to
// the case of its letters.
func (w *where) part(part string, columns ...string) {
	like := w.arg("%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(tenure.FoldUserName(part)) + "%")
	conds := make([]string, len(columns))
	for i, column := range columns {
		conds[i] = `LOWER(` + column + `) LIKE ` + like + ` ESCAPE '!'`
	}
	w.conds = append(w.conds, `(`+strings.Join(conds, ` OR `)+`)`)
}

// lives is tokenLives at now.
func (w *where) lives(now time.Time) string {
	return tokenLives(w.arg(stamp(now)), w.arg(longestBefore(now)))
}

// String is the WHERE clause, or nothing.
func (w *where) String() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

// arg adds an argument and gives its placeholder.
func (w *where) arg(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}
