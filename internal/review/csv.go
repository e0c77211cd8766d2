package review

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// csvHead are the columns of the CSV of a review.
var csvHead = [...]string{
	"item", "kind", "subject_id", "subject", "person_id", "workspace_id", "workspace", "grant", "source", "granted_at", "granted_by", "last_used_at", "expires_at",
	"flags", "state", "decision", "reason", "change", "change_owner", "change_due_at", "decided_at", "decided_by", "decided_together", "ended_at", "took_ms", "failure", "gone_at", "gone_why",
}

// csvLine is an item in one line of CSV (RFC 4180).
func csvLine(i tenure.ReviewItem) string {
	took := ""
	if !i.EndedAt.IsZero() {
		took = strconv.FormatFloat(float64(i.Took.Microseconds())/1000, 'f', 3, 64)
	}
	fields := []string{
		strconv.FormatInt(i.N, 10), string(i.Kind), i.Subject, i.Name, string(i.Person), string(i.Workspace), i.WorkspaceName, i.Grant, i.Source,
		instant(i.GrantedAt), i.GrantedBy, instant(i.LastUsedAt), instant(i.ExpiresAt), i.Flags, i.State(), string(i.Decision), i.Reason, i.Change, i.ChangeOwner,
		instant(i.ChangeDue), instant(i.DecidedAt), i.DecidedBy, strconv.FormatInt(i.Together, 10), instant(i.EndedAt), took, i.Failure, instant(i.GoneAt), i.GoneWhy,
	}
	for n, f := range fields {
		if f != "" && strings.ContainsAny(f[:1], "=+-@\t\r") { // no program is to take it for a formula
			fields[n] = "'" + f
		}
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // into memory, which cannot fail
	w.Flush()
	return b.String()
}

// WriteCSV writes the items of a review that the asker may see, a line each.
func (r *Reviews) WriteCSV(ctx context.Context, by tenure.Principal, id tenure.ReviewID, w io.Writer) error {
	if _, err := io.WriteString(w, strings.Join(csvHead[:], ",")+"\n"); err != nil {
		return err
	}
	return r.Each(ctx, by, id, ItemFilter{}, func(i tenure.ReviewItem) error {
		_, err := io.WriteString(w, csvLine(i))
		return err
	})
}

func hasFlag(i tenure.ReviewItem, word string) bool {
	return slices.Contains(strings.Fields(i.Flags), word)
}

// CheckCSV answers an error unless what is read are the items of the report, as WriteCSV
// writes them.
func CheckCSV(out Report, r io.Reader) error {
	in := bufio.NewReader(r)
	head, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if head != strings.Join(csvHead[:], ",")+"\n" { // which the digest is not over
		return errors.New("the first line does not name the columns of the items of a review: it was changed")
	}
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != out.Digest {
		return errors.New("these are not the items of the report: they were changed, or are those of another moment")
	}
	return nil
}

// States are the words for where an item stands.
func States() []string {
	return []string{"kept", "revoked", "changed", "finding", "gone", "revoking", "failed", "abstained", "undecided"}
}
