package governance

import (
	"bytes"
	"encoding/csv"
	"strings"
	"time"
)

// CSV writes the report as RFC 4180 has it: a header, the person, then one line
// an item. A cell that a spreadsheet would take for a formula begins with an
// apostrophe.
func (r Report) CSV() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = plain(cells[i])
		}
		_ = w.Write(cells) // a buffer takes all
	}
	row("kind", "id", "name", "workspace", "state", "about", "of", "created_at", "expires_at", "ended_at", "ended_by", "reason", "remaining", "rotate")
	verdict := "not complete"
	if r.Complete {
		verdict = "complete"
	}
	ended := r.DeactivatedAt
	if ended.IsZero() {
		ended = r.DeletedAt
	}
	why := ""
	for _, i := range r.Items {
		if i.Kind == KindPerson {
			why = i.Remaining
		}
	}
	row(KindPerson, string(r.ID), r.UserName, "", r.State(), verdict, "", stamp(r.CreatedAt), "", stamp(ended), "", "", why, "")
	for _, i := range r.Items {
		if i.Kind != KindPerson {
			row(i.Kind, i.ID, i.Name, i.WorkspaceName, i.State, i.About, i.Of, stamp(i.CreatedAt), stamp(i.ExpiresAt), stamp(i.EndedAt), i.EndedBy, i.Reason, i.Remaining, i.Rotate)
		}
	}
	w.Flush()
	return b.Bytes()
}

// plain keeps a cell from being a formula, where a person who chose their name
// may have meant one to be.
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
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
