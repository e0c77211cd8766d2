package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/vault"
)

// ask gets a provider's list of models.
func (c *catalogue) ask(ctx context.Context, p tenure.Provider, say rules) offer {
	o := offer{provider: p, rules: say}
	var wrong []error
	if o.headers, wrong = c.vault.Sends(p); len(wrong) > 0 {
		c.log.Warn("a header of a provider is not sent", "provider", p.Name, "error", errors.Join(wrong...))
	}
	o.base, o.err = url.Parse(p.BaseURL)
	if o.err == nil {
		o.models, o.err = c.fetchModels(ctx, p, say.way(p, o.base, time.Now()), o.headers)
	}
	if o.err != nil {
		c.log.Warn("list of models", "provider", p.Name, "error", o.err)
		c.refusals.tell(ctx, p, o.err)
	}
	return o
}

// fetchModels speaks GET /v1/models of either kind of provider.
func (c *catalogue) fetchModels(ctx context.Context, p tenure.Provider, way egress.Reach, headers []vault.Header) ([]Model, error) {
	keys, err := c.vault.Keys(ctx, p.Tenant, p.ID)
	if err != nil {
		return nil, err
	}
	pr := &openAI
	if p.Kind == tenure.Anthropic {
		pr = &anthropic
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	req, err := vault.ListModels(context.WithValue(ctx, reachKey{}, way), p, headers)
	if err != nil {
		return nil, err
	}
	res, of, err := c.rota.send(req, pr, p, keys)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode) // its words are the provider's
	}
	var list struct {
		Data []struct {
			ID          string    `json:"id"`
			DisplayName string    `json:"display_name"`
			Created     int64     `json:"created"`
			CreatedAt   time.Time `json:"created_at"`
		} `json:"data"`
	}
	body := newConcealer(res.Body, of.key.Secret.Forms())
	if err := json.NewDecoder(io.LimitReader(&body, maxList)).Decode(&list); err != nil {
		return nil, err
	}
	models := make([]Model, 0, len(list.Data))
	for _, m := range list.Data {
		if m.Created != 0 {
			m.CreatedAt = time.Unix(m.Created, 0)
		}
		models = append(models, Model{ID: m.ID, DisplayName: m.DisplayName, Created: m.CreatedAt, Provider: p.Name})
	}
	return models, nil
}
