package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/store"
)

// AnthropicVersion is the version of its interface that Anthropic is asked for where a
// client names none.
const AnthropicVersion = "2023-06-01"

const askLimit = 10 * time.Second // for a provider's list of models

// Ask asks a provider for its models, which harms nothing, with a key and the headers
// that it gets, and gives the status of its answer. What it says is not read.
func Ask(ctx context.Context, client *http.Client, p tenure.Provider, key tenure.Secret, headers []Header) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	req, err := ListModels(ctx, p, headers)
	if err != nil {
		return 0, err
	}
	if p.Kind == tenure.Anthropic {
		req.Header.Set("X-Api-Key", key.Reveal())
	} else {
		req.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, res.Body.Close()
}

// ListModels makes the request for a provider's list of models, but for the key.
func ListModels(ctx context.Context, p tenure.Provider, headers []Header) (*http.Request, error) {
	path := "/models"
	if p.Kind == tenure.Anthropic {
		path = "/v1/models?limit=1000"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.BaseURL+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	if p.Kind == tenure.Anthropic {
		req.Header.Set("Anthropic-Version", AnthropicVersion)
	}
	Put(req.Header, headers)
	return req, nil
}

// try asks a provider with a key, and says how that went.
func (v *Vault) try(ctx context.Context, p tenure.Provider, key tenure.Secret) (tenure.KeyCheck, string, error) {
	allowed, err := v.Reach(ctx, p)
	if err != nil {
		return tenure.CheckNone, "", err
	}
	headers, _ := v.Sends(p)
	status, err := Ask(ctx, v.Client(allowed), p, key, headers)
	var wrapped *url.Error
	switch {
	case ctx.Err() != nil:
		return tenure.CheckNone, "", context.Cause(ctx)
	case egress.AsRefused(err) != nil:
		return tenure.CheckUnreachable, egress.AsRefused(err).Error(), nil
	case errors.As(err, &wrapped):
		return tenure.CheckUnreachable, "it could not be reached: " + wrapped.Err.Error(), nil
	case err != nil:
		return tenure.CheckUnreachable, "it could not be reached: " + err.Error(), nil
	case status == http.StatusOK:
		return tenure.CheckPassed, "", nil
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return tenure.CheckRefused, fmt.Sprintf("it does not accept the key (%d)", status), nil
	}
	return tenure.CheckFailed, fmt.Sprintf("it answered %d when it was asked for its models", status), nil
}

// errCheck says that a key was not brought into use, and why.
func errCheck(k tenure.ProviderKey) error {
	code := map[tenure.KeyCheck]string{tenure.CheckRefused: "key_refused", tenure.CheckUnreachable: "provider_unreachable"}[k.Check]
	if code == "" {
		code = "key_check_failed"
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: code, Field: "key",
		Msg: "the provider was asked with the key, and " + k.CheckError + "; nothing was changed. Who knows better may use the key unchecked",
	}
}

// CheckKey asks the provider with a version of its key, and notes how that went. The
// answer, not the error, says whether it is good. Conflict: the version has ended.
func (v *Vault) CheckKey(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, id tenure.KeyID) (tenure.ProviderKey, error) {
	p, row, err := v.changing(ctx, by, provider, id)
	if err != nil {
		return tenure.ProviderKey{}, err
	}
	if row.State == tenure.KeyRetired {
		return tenure.ProviderKey{}, errEnded(row.ProviderKey)
	}
	secret, _, err := v.resolve(ctx, row)
	if err != nil {
		return tenure.ProviderKey{}, err
	}
	k := row.ProviderKey
	if k.Check, k.CheckError, err = v.try(ctx, p, secret); err != nil {
		return k, err
	}
	err = v.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		k.CheckedAt = tx.Now()
		if err := tx.NoteCheck(ctx, k.ID, k.Check, k.CheckError); err != nil {
			return err
		}
		return tx.Append(ctx, audit.ProviderKeyChecked(by, p, k))
	})
	return k, err
}

// changing reads a provider and a version of its key for whoever may change them.
func (v *Vault) changing(ctx context.Context, by tenure.Principal, provider tenure.ProviderID, id tenure.KeyID) (tenure.Provider, store.ProviderKeyRow, error) {
	if err := access.Check(by, tenure.ChangeProvider); err != nil {
		return tenure.Provider{}, store.ProviderKeyRow{}, err
	}
	p, err := v.DB.Provider(ctx, by.Tenant(), provider)
	if err != nil {
		return p, store.ProviderKeyRow{}, err
	}
	row, err := v.DB.ProviderKey(ctx, by.Tenant(), provider, id)
	return p, row, err
}

func errEnded(k tenure.ProviderKey) error {
	return &tenure.Error{Kind: tenure.Conflict, Code: "key_retired", Msg: fmt.Sprintf("version %d of the key %q is retired: what was sealed is destroyed", k.Version, k.Name)}
}
