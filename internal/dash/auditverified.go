package dash

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/tenure-gateway/tenure/internal/ledger"
	"github.com/tenure-gateway/tenure/internal/web"
)

// A verifiedPart shows how far the audit log is verified.
type verifiedPart struct {
	frame
	V ledger.Verification
}

func (d *Dash) verifiedPart(r *http.Request) (*verifiedPart, error) {
	v, err := d.Ledger.Verification(r.Context(), web.Principal(r.Context()))
	return &verifiedPart{d.frame(r, "Audit"), v}, err
}

// Number is a number for people, with a space between thousands.
func (verifiedPart) Number(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// Progress says how far a verification is.
func (p verifiedPart) Progress() string {
	return fmt.Sprintf("%s of %s events", p.Number(p.V.Running.Done), p.Number(p.V.Running.All))
}

// verified answers with the part alone, for a page that waits for it.
func (d *Dash) verified(w http.ResponseWriter, r *http.Request) error {
	part, err := d.verifiedPart(r)
	if err != nil {
		return err
	}
	return d.part(w, "verified", part)
}

func (d *Dash) verifyAudit(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.Ledger.VerifyNow(r.Context(), web.Principal(r.Context())); err != nil {
		return err
	}
	return d.showAudit(w, r)
}
