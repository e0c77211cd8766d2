package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/vault"
	"github.com/tenure-gateway/tenure/internal/web"
)

// ProviderKey is a version of a key of a provider as it is shown: never the key.
type ProviderKey struct {
	ID          string     `json:"id"`
	Name        string     `json:"name" doc:"Of the key: its versions have the same"`
	Version     int64      `json:"version"`
	State       string     `json:"state" enum:"staged,active,overlap,retired" doc:"staged: stored and not used; active: used; overlap: a last resort until retire_at; retired: what was sealed is destroyed"`
	Position    int        `json:"position" doc:"Keys with lower ones are used first"`
	Weight      int        `json:"weight" doc:"Its share among the keys of the same position"`
	KeyLast4    string     `json:"key_last4,omitempty"`
	Reference   string     `json:"key_reference,omitempty" doc:"Address of where the key is kept; absent: it is sealed here"`
	Fingerprint string     `json:"fingerprint,omitempty" doc:"The same for the same key in this installation; says nothing of it elsewhere"`
	CreatedAt   time.Time  `json:"created_at"`
	CreatedBy   string     `json:"created_by,omitempty"`
	ActivatedAt *time.Time `json:"activated_at"`
	CheckedAt   *time.Time `json:"checked_at"`
	Check       string     `json:"check,omitempty" enum:"passed,refused,failed,unreachable" doc:"How the last check went"`
	CheckError  string     `json:"check_error,omitempty"`
	RetireAt    *time.Time `json:"retire_at"`
	RetiredAt   *time.Time `json:"retired_at"`
	RotateEvery int        `json:"rotate_every_days,omitempty"`
	Use         *KeyUse    `json:"use,omitempty" doc:"How it was used; in the list of a provider's keys alone"`
}

// KeyUse is how a version of a key was used: last of all, and in the last 30 days.
type KeyUse struct {
	LastUsedAt         *time.Time `json:"last_used_at" doc:"When a model last answered a request with it, to the second; null: never"`
	LastUsedBy         string     `json:"last_used_by,omitempty" doc:"The name of the person or service account whose request that was; empty: not there any more, or the root token's"`
	LastUser           string     `json:"last_user,omitempty" doc:"Id of that person"`
	LastServiceAccount string     `json:"last_service_account,omitempty" doc:"Id of that service account"`
	LastToken          string     `json:"last_token,omitempty" doc:"Id of the token"`
	LastTokenName      string     `json:"last_token_name,omitempty"`
	Requests           int64      `json:"requests" doc:"That a model answered with it in the last 30 days"`
	InputTokens        int64      `json:"input_tokens" doc:"Of these requests"`
	CacheReadTokens    int64      `json:"cache_read_tokens" doc:"Of the input"`
	CacheWriteTokens   int64      `json:"cache_write_tokens" doc:"Of the input"`
	OutputTokens       int64      `json:"output_tokens"`
	Spend              *int64     `json:"spend" doc:"In millionths of the currency, of the requests that have a price; null: none has"`
	Unpriced           int64      `json:"unpriced_requests"`
	Currency           string     `json:"currency" doc:"Of spend: a code of ISO 4217, the installation's"`
}

// ShowKeyUse gives the use of a key in the form in which the API and the command line
// tell it.
func ShowKeyUse(u tenure.KeyUse, currency string) *KeyUse {
	out := &KeyUse{
		when(u.LastAt), u.Who, string(u.User), string(u.Account), string(u.Token), u.TokenName,
		u.Requests, u.Input, u.CacheReads, u.CacheWrites, u.Output, nil, u.Unpriced, currency,
	}
	if u.Unpriced < u.Requests {
		out.Spend = &u.Spend
	}
	return out
}

// usedKeys are the versions of a provider's keys, with their use where the asker may
// know it.
func (a *API) usedKeys(ctx context.Context, id tenure.ProviderID) ([]ProviderKey, error) {
	by := web.Principal(ctx)
	rows, err := a.Vault.ProviderKeys(ctx, by, id)
	if err != nil {
		return nil, err
	}
	uses := map[tenure.KeyID]*KeyUse{}
	if access.Check(by, tenure.ReadUsage) == nil {
		used, err := a.Directory.KeyUses(ctx, by, id)
		if err != nil {
			return nil, err
		}
		currency, err := a.Prices.Currency(ctx)
		if err != nil {
			return nil, err
		}
		for _, u := range used {
			uses[u.Key] = ShowKeyUse(u, currency)
		}
	}
	out := make([]ProviderKey, 0, len(rows))
	for _, k := range rows {
		shown := showProviderKey(k)
		shown.Use = uses[k.ID]
		out = append(out, shown)
	}
	return out, nil
}

func showProviderKey(k tenure.ProviderKey) ProviderKey {
	return ProviderKey{
		ID: string(k.ID), Name: k.Name, Version: k.Version, State: string(k.State), Position: k.Position, Weight: k.Weight, KeyLast4: k.Last4, Reference: k.Reference, Fingerprint: k.Fingerprint,
		CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy, ActivatedAt: when(k.ActivatedAt), CheckedAt: when(k.CheckedAt), Check: string(k.Check), CheckError: k.CheckError,
		RetireAt: when(k.RetireAt), RetiredAt: when(k.RetiredAt), RotateEvery: k.RotateEvery,
	}
}

type changeProviderIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		Name    *string            `json:"name,omitempty" example:"openai"`
		Headers *map[string]string `json:"headers,omitempty" doc:"All that the provider gets with every request beside its key: those that are not named are not sent any more"`
		By      *string            `json:"exception,omitempty" doc:"Id of the exception of the rule provider_network by which it is where the policy lets none be; empty: none"`
	}
}

// Arranging is how a key is used beside the others of its provider.
type Arranging struct {
	Position    *int `json:"position,omitempty" doc:"1 to 1000; keys with lower ones are used first"`
	Weight      *int `json:"weight,omitempty" doc:"1 to 1000; the share among the keys of the same position"`
	RotateEvery *int `json:"rotate_every_days,omitempty" doc:"Notices tell when it is to be rotated; 0: never"`
}

func (a Arranging) arrangement() vault.Arrangement { return vault.Arrangement(a) }

// GivenKey is a key as it is given: itself, or by its address.
type GivenKey struct {
	Arranging
	Name      string `json:"name,omitempty" minLength:"1" doc:"Of the key; \"default\" when left out" example:"default"`
	Key       string `json:"key,omitempty" doc:"Sealed at once and never given back" writeOnly:"true"`
	Reference string `json:"key_reference,omitempty" minLength:"1" example:"vault://secret/tenure/openai#api_key" doc:"Address of where the key is kept, in its place; the operator allows addresses to tenants"`
}

func (g GivenKey) given() vault.NewKey {
	return vault.NewKey{Name: g.Name, Secret: tenure.NewSecret(g.Key), Reference: g.Reference, Arrangement: g.arrangement()}
}

type newKeyIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		GivenKey
		Overlap   string `json:"overlap,omitempty" minLength:"1" doc:"How long the version before is a last resort: 0 to 7d, 1h when left out" example:"1h"`
		Unchecked bool   `json:"unchecked,omitempty" doc:"Use it though the provider was not asked with it"`
		Added     bool   `json:"added,omitempty" doc:"Only if there is no key of this name that is not retired: none is replaced (409 key_exists)"`
	}
}

type stageIn struct {
	ID   string `path:"id" maxLength:"200"`
	Body struct {
		GivenKey
	}
}

// KeyPath names a version of a key of a provider.
type KeyPath struct {
	ID  string `path:"id" maxLength:"200"`
	Key string `path:"key" maxLength:"200"`
}

type arrangeIn struct {
	KeyPath
	Body struct{ Arranging }
}

type activateIn struct {
	KeyPath
	Body *struct {
		Overlap   string `json:"overlap,omitempty" minLength:"1" doc:"How long the version before is a last resort: 0 to 7d, 1h when left out" example:"1h"`
		Unchecked bool   `json:"unchecked,omitempty" doc:"Use it though no check has passed"`
	}
}

func (a *API) mountProviderKeys(m *mounting) {
	const path = "/api/v1/admin/providers/{id}"
	tags := []string{"Administration: providers"}
	operation(m, tenure.ChangeProvider, huma.Operation{OperationID: "change-provider", Method: http.MethodPatch, Path: path, Summary: "Give a model provider another name, other headers, or an exception of where it may be; its base URL stays", Tags: tags},
		func(ctx context.Context, in *changeProviderIn) (*body[Provider], error) {
			p, err := a.Vault.Change(ctx, web.Principal(ctx), tenure.ProviderID(in.ID), vault.ProviderChange{Name: in.Body.Name, Headers: in.Body.Headers, Exception: (*tenure.ExceptionID)(in.Body.By)})
			return &body[Provider]{showProvider(p)}, err
		})
	operation(m, tenure.ChangeProvider, huma.Operation{OperationID: "rotate-provider", Method: http.MethodPost, Path: path + "/rotate", Summary: "Check a new key with the provider, use it from now on, and keep the one before for the overlap; a name that is new adds a key", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *newKeyIn) (*body[ProviderKey], error) {
			overlap, err := vault.ParseOverlap(in.Body.Overlap)
			if err != nil {
				return nil, err
			}
			given := in.Body.given()
			given.Added = in.Body.Added
			k, err := a.Vault.Rotate(ctx, web.Principal(ctx), tenure.ProviderID(in.ID), given, vault.Taking{Overlap: overlap, Unchecked: in.Body.Unchecked})
			return &body[ProviderKey]{showProviderKey(k)}, err
		})
	operation(m, tenure.ListProviders, huma.Operation{OperationID: "list-provider-keys", Method: http.MethodGet, Path: path + "/keys", Summary: "Every version of every key of a provider and how it was used, without the keys", Tags: tags},
		func(ctx context.Context, in *idIn) (*list[ProviderKey], error) {
			rows, err := a.usedKeys(ctx, tenure.ProviderID(in.ID))
			out := &list[ProviderKey]{}
			out.Body.Items = rows
			return out, err
		})
	operation(m, tenure.ChangeProvider, huma.Operation{OperationID: "stage-provider-key", Method: http.MethodPost, Path: path + "/keys", Summary: "Store a version of a key without using it", Tags: tags, DefaultStatus: http.StatusCreated, Metadata: reveals()},
		func(ctx context.Context, in *stageIn) (*body[ProviderKey], error) {
			k, err := a.Vault.Stage(ctx, web.Principal(ctx), tenure.ProviderID(in.ID), in.Body.given())
			return &body[ProviderKey]{showProviderKey(k)}, err
		})
	operation(m, tenure.ChangeProvider, huma.Operation{OperationID: "arrange-provider-key", Method: http.MethodPatch, Path: path + "/keys/{key}", Summary: "Change the place of a key among the others, its share, and its reminders", Tags: tags},
		func(ctx context.Context, in *arrangeIn) (*body[ProviderKey], error) {
			k, err := a.Vault.Arrange(ctx, web.Principal(ctx), tenure.ProviderID(in.ID), tenure.KeyID(in.Key), in.Body.arrangement())
			return &body[ProviderKey]{showProviderKey(k)}, err
		})
	operation(m, tenure.ChangeProvider, huma.Operation{OperationID: "check-provider-key", Method: http.MethodPost, Path: path + "/keys/{key}/check", Summary: "Ask the provider for its models with a version of a key; the answer says how that went", Tags: tags},
		func(ctx context.Context, in *KeyPath) (*body[ProviderKey], error) {
			k, err := a.Vault.CheckKey(ctx, web.Principal(ctx), tenure.ProviderID(in.ID), tenure.KeyID(in.Key))
			return &body[ProviderKey]{showProviderKey(k)}, err
		})
	operation(m, tenure.ChangeProvider, huma.Operation{OperationID: "activate-provider-key", Method: http.MethodPost, Path: path + "/keys/{key}/activate", Summary: "Use a staged version that has passed its check", Tags: tags},
		func(ctx context.Context, in *activateIn) (*body[ProviderKey], error) {
			take := vault.Taking{Overlap: vault.DefaultOverlap}
			if in.Body != nil {
				overlap, err := vault.ParseOverlap(in.Body.Overlap)
				if err != nil {
					return nil, err
				}
				take = vault.Taking{Overlap: overlap, Unchecked: in.Body.Unchecked}
			}
			k, err := a.Vault.Activate(ctx, web.Principal(ctx), tenure.ProviderID(in.ID), tenure.KeyID(in.Key), take)
			return &body[ProviderKey]{showProviderKey(k)}, err
		})
	operation(m, tenure.ChangeProvider, huma.Operation{OperationID: "retire-provider-key", Method: http.MethodPost, Path: path + "/keys/{key}/retire", Summary: "End a version of a key now: what was sealed is destroyed", Tags: tags},
		func(ctx context.Context, in *KeyPath) (*body[ProviderKey], error) {
			k, err := a.Vault.Retire(ctx, web.Principal(ctx), tenure.ProviderID(in.ID), tenure.KeyID(in.Key))
			return &body[ProviderKey]{showProviderKey(k)}, err
		})
}
