package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Keys is what is known of the key-encryption keys.
type Keys struct {
	SealedSince *time.Time   `json:"sealed_since,omitempty" doc:"Since when stored secrets cannot be opened"`
	Keys        []KeyNamed   `json:"keys" doc:"Those that the settings name; the first wraps"`
	RootBy      string       `json:"root_kek,omitempty" doc:"What wrapped the root key of the installation"`
	RootAt      *time.Time   `json:"root_created_at,omitempty" doc:"When the root key was made"`
	RootWrapped *time.Time   `json:"root_wrapped_at,omitempty" doc:"When it was wrapped by that"`
	Wrapped     []KeyWrapped `json:"wrapped" doc:"How many secrets were wrapped by what, in all tenants"`
	Problems    []string     `json:"problems" doc:"What is wrong, and what to do"`
}

// KeyNamed is a key-encryption key of the settings.
type KeyNamed struct {
	ID        string `json:"id,omitempty" doc:"What the database knows it by; none, if it is not at hand"`
	Label     string `json:"label" doc:"For people"`
	Algorithm string `json:"algorithm,omitempty" doc:"What it wraps with, as far as is known"`
	Wraps     bool   `json:"wraps" doc:"Whether it wraps what is sealed now; the others only open"`
	Absent    string `json:"absent,omitempty" doc:"Why it is not at hand"`
}

// KeyWrapped counts the secrets of a table that were wrapped in the same way.
type KeyWrapped struct {
	Table string `json:"table"`
	KEK   string `json:"kek" doc:"Empty: a file, in the form of before there were other keys"`
	Form  int    `json:"form"`
	Count int    `json:"count"`
	Opens bool   `json:"opens" doc:"Whether the key that wrapped them is at hand"`
	Old   bool   `json:"old" doc:"Whether they are to be wrapped anew: tenure vault rewrap"`
}

// ShowKeys is a status as the API and the command line show it.
func ShowKeys(s vault.Status) Keys {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	k := Keys{
		SealedSince: at(s.SealedSince), RootBy: s.RootBy, RootAt: at(s.RootAt), RootWrapped: at(s.RootWrapped),
		Keys: []KeyNamed{}, Wrapped: []KeyWrapped{}, Problems: append([]string{}, s.Problems...),
	}
	for _, one := range s.Keys {
		k.Keys = append(k.Keys, KeyNamed{one.ID, one.Label, one.Algorithm, one.Wraps, one.Absent})
	}
	for _, w := range s.Wrapped {
		k.Wrapped = append(k.Wrapped, KeyWrapped{w.Table, w.KEK, w.Form, w.Count, w.Opens, w.Old})
	}
	return k
}

func (a *API) mountKeys(m *mounting) {
	operation(m, tenure.ReadHealth, huma.Operation{OperationID: "keys", Method: http.MethodGet, Path: "/api/v1/admin/keys", Summary: "Key-encryption keys, and what they have wrapped", Tags: []string{"Administration"}},
		func(ctx context.Context, _ *struct{}) (*body[Keys], error) {
			s, err := a.Vault.Status(ctx, web.Principal(ctx))
			return &body[Keys]{ShowKeys(s)}, err
		})
}
