package directory

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

type (
	// PersonFilter chooses people to look through.
	PersonFilter = store.PersonFilter
	// PersonRow is a person with what they have now.
	PersonRow = store.PersonRow
)

// People lists people of the asker's tenant in the order of their userNames, the
// deleted ones among them where they are asked for, and the cursor of the next
// page, "" when there is none. NotFound: the cursor is nobody's.
func (d *Directory) People(ctx context.Context, by tenure.Principal, f PersonFilter) ([]PersonRow, tenure.UserID, error) {
	if err := access.Check(by, tenure.ListUsers); err != nil {
		return nil, "", err
	}
	f.Tenant = by.Tenant()
	limit := f.Limit
	f.Limit++ // one more tells whether there is a next page
	rows, err := d.DB.People(ctx, f, d.DB.Now())
	if err != nil || len(rows) <= limit {
		return rows, "", err
	}
	return rows[:limit], rows[limit-1].ID, nil
}
