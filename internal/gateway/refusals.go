package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
)

// How often it is told that a provider's address was refused.
const (
	tellEvery   = time.Hour // of one provider
	mostRefused = 1000      // providers; beyond them all are told of anew
	tellWithin  = 10 * time.Second
)

// refusals tell that a provider was not connected to, because of its address: each
// provider's once an hour, however many ask for it.
type refusals struct {
	note func(context.Context, tenure.Provider, *egress.Refused) error // nil: nobody is told

	mu   sync.Mutex
	told map[tenure.ProviderID]time.Time
}

// OnRefused sets who is told of a provider that was not connected to because of its
// address: beside the request, which does not wait, and again with the next one where
// note fails. It is called before the gateway serves.
func (g *Gateway) OnRefused(note func(context.Context, tenure.Provider, *egress.Refused) error) {
	g.catalogue.refusals.note = note
}

// tell tells of an error, if it is that of a refused address.
func (r *refusals) tell(ctx context.Context, p tenure.Provider, err error) {
	refused := egress.AsRefused(err)
	if r == nil || r.note == nil || refused == nil {
		return
	}
	now := time.Now()
	r.mu.Lock()
	at, again := r.told[p.ID]
	again = again && now.Sub(at) < tellEvery
	if !again {
		if r.told == nil || len(r.told) >= mostRefused {
			r.told = make(map[tenure.ProviderID]time.Time)
		}
		r.told[p.ID] = now
	}
	r.mu.Unlock()
	if !again {
		go r.record(context.WithoutCancel(ctx), p, refused)
	}
}

func (r *refusals) record(ctx context.Context, p tenure.Provider, why *egress.Refused) {
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	if r.note(ctx, p, why) != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.told, p.ID)
	}
}

// errAddress is the answer where a provider's address is refused. Whoever asks is not
// told which address that is.
func errAddress(err error) *tenure.Error {
	why := "is one that this gateway never connects to"
	if egress.AsRefused(err).Needs != 0 {
		why = "is not of the public internet, and the policy provider_networks does not allow that"
	}
	return &tenure.Error{
		Kind: tenure.BadGateway, Code: "provider_address_refused",
		Msg: "the provider's address " + why + "; an administrator finds more in the audit log", Err: err,
	}
}
