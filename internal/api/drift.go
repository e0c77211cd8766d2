package api

import (
	"context"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/directory"
	"github.com/tenure-gateway/tenure/internal/web"
)

// UserDrift is how what a person signs in as and what SCIM provisions diverge.
type UserDrift struct {
	Kind         string `json:"kind" enum:"leaver,lookalike,unprovisioned,never_signed_in"`
	ActiveTokens int    `json:"active_tokens"`
	Like         []Like `json:"like" doc:"Whom they may be on the other side"`
	Advice       string `json:"advice" doc:"What it means and what to do"`
}

// Like is a person of the other side whose name is nearly the same.
type Like struct {
	ID           string   `json:"id"`
	UserName     string   `json:"user_name"`
	Active       bool     `json:"active"`
	Differs      []string `json:"differs" doc:"domain, dots, tag, case"`
	ActiveTokens int      `json:"active_tokens"`
}

// usersInDrift lists the people whose names diverge, in the order of their making.
func (a *API) usersInDrift(ctx context.Context, in *usersIn) (*list[User], error) {
	by, out := web.Principal(ctx), &list[User]{}
	report, err := a.Directory.Drift(ctx, by)
	if err != nil {
		return nil, err
	}
	out.Body.Items = []User{}
	for _, p := range report.People {
		if string(p.ID) <= in.Cursor || in.UserName != "" && !strings.EqualFold(in.UserName, p.UserName) {
			continue
		}
		if len(out.Body.Items) == in.Limit {
			out.Body.Next = out.Body.Items[in.Limit-1].ID
			break
		}
		u, err := a.Directory.User(ctx, by, p.ID)
		if tenure.IsKind(err, tenure.NotFound) {
			continue // gone since
		}
		if err != nil {
			return nil, err
		}
		row := showUser(u)
		row.Drift = showDrift(p)
		out.Body.Items = append(out.Body.Items, row)
	}
	return out, nil
}

func showDrift(p directory.Drifter) *UserDrift {
	d := &UserDrift{Kind: string(p.Kind), ActiveTokens: p.Tokens, Like: []Like{}, Advice: p.Kind.Advice()}
	for _, l := range p.Like {
		d.Like = append(d.Like, Like{string(l.ID), l.UserName, l.Active, l.Differs, l.Tokens})
	}
	return d
}
