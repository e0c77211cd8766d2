package store

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// insertEmails writes the rows by which a person is found by e-mail address. A
// profile that cannot be read has none.
func (tx *Tx) insertEmails(ctx context.Context, u tenure.User) error {
	var p struct {
		Emails []any `json:"emails"`
	}
	if json.Unmarshal(u.Profile, &p) != nil {
		return nil
	}
	for n, v := range p.Emails {
		entry, ok := v.(map[string]any)
		if !ok {
			continue
		}
		kind, _ := entry["type"].(string)
		value, _ := entry["value"].(string)
		if err := tx.later(ctx, nil, `INSERT INTO user_emails (user_id, n, type_fold, value_fold) VALUES ($1, $2, $3, $4)`,
			u.ID, n, strings.ToLower(kind), strings.ToLower(value)); err != nil {
			return err
		}
	}
	return nil
}
