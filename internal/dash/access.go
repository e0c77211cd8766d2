package dash

import (
	"net/http"

	"github.com/tenure-gateway/tenure/internal/access"
)

// An accessPage shows the table of who may do what.
type accessPage struct {
	frame
	Tables []access.Table
}

func (d *Dash) access(w http.ResponseWriter, r *http.Request) error {
	if err := d.Establish(w, r); err != nil {
		return err
	}
	return d.show(w, http.StatusOK, "access", accessPage{frame: d.frame(r, "Access"), Tables: access.Tables()})
}
