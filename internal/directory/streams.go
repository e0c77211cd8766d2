package directory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// StreamFilter chooses streams.
type StreamFilter struct {
	Text  string // in the name of who asks, of the token or of the model; in any case
	After string // the id after which the list goes on
	Limit int    // 0: they are only counted
}

// StreamPage is a part of a list of streams, the newest first.
type StreamPage struct {
	Streams []tenure.Stream
	Next    string // where the next page begins, or ""
	Total   int    // of all that the filter finds
}

// Streams lists the requests in flight of the asker's tenant, of this process.
func (d *Directory) Streams(ctx context.Context, by tenure.Principal, f StreamFilter) (StreamPage, error) {
	if err := access.Check(by, tenure.ListStreams); err != nil {
		return StreamPage{}, err
	}
	text := strings.ToLower(strings.TrimSpace(f.Text))
	var all []tenure.Stream
	for _, flight := range d.Live.Flights(live.Tenant(by.Tenant())) {
		if flight.Listens {
			continue
		}
		if s := streamOf(flight); text == "" || mentions(s, text) {
			all = append(all, s)
		}
	}
	page := StreamPage{Total: len(all)}
	slices.SortFunc(all, func(a, b tenure.Stream) int { return strings.Compare(b.ID, a.ID) })
	if f.After != "" {
		all = slices.DeleteFunc(all, func(s tenure.Stream) bool { return s.ID >= f.After })
	}
	if f.Limit <= 0 {
		return page, nil
	}
	if len(all) > f.Limit {
		all = all[:f.Limit]
		page.Next = all[f.Limit-1].ID
	}
	page.Streams = all
	return page, d.nameSpaces(ctx, by.Tenant(), all)
}

// nameSpaces fills in what the workspaces are called.
func (d *Directory) nameSpaces(ctx context.Context, tenant tenure.TenantID, all []tenure.Stream) error {
	names := map[tenure.WorkspaceID]string{}
	for i := range all {
		id := all[i].Workspace
		name, known := names[id]
		if !known {
			w, err := d.DB.Workspace(ctx, tenant, string(id))
			if err != nil && !tenure.IsKind(err, tenure.NotFound) {
				return err
			}
			name = cmp.Or(w.Name, string(id))
			names[id] = name
		}
		all[i].WorkspaceName = name
	}
	return nil
}

func streamOf(f *live.Flight) tenure.Stream {
	s := f.Principal.Standing()
	asked := f.Asked()
	out := tenure.Stream{
		ID: f.ID, Who: s.UserName, User: s.User, ServiceAccount: s.ServiceAccount, Token: s.Token, TokenName: s.Name,
		Workspace: s.Workspace, Provider: asked.Provider, Model: asked.Name, Action: f.Action, Started: f.Started,
	}
	switch s.Kind {
	case tenure.ServiceToken:
		out.Who, out.TokenName, _ = strings.Cut(s.Name, "/") // see store.standingRow
	case tenure.RootToken:
		out.Who = "root token"
	default:
		out.Who = cmp.Or(out.Who, f.Principal.Label())
	}
	return out
}

// mentions looks for a text in small letters.
func mentions(s tenure.Stream, text string) bool {
	for _, in := range [...]string{s.Who, s.TokenName, s.Model, s.ID} {
		if strings.Contains(strings.ToLower(in), text) {
			return true
		}
	}
	return false
}

// Stream finds one request in flight. NotFound: it is over, or was never there.
func (d *Directory) Stream(ctx context.Context, by tenure.Principal, id string) (tenure.Stream, error) {
	if err := access.Check(by, tenure.ListStreams); err != nil {
		return tenure.Stream{}, err
	}
	f, err := d.flight(by, id)
	if err != nil {
		return tenure.Stream{}, err
	}
	one := []tenure.Stream{streamOf(f)}
	return one[0], d.nameSpaces(ctx, by.Tenant(), one)
}

func (d *Directory) flight(by tenure.Principal, id string) (*live.Flight, error) {
	for _, f := range d.Live.Flights(live.Tenant(by.Tenant())) {
		if f.ID == id && id != "" && !f.Listens {
			return f, nil
		}
	}
	return nil, &tenure.Error{Kind: tenure.NotFound, Code: "stream_not_found", Msg: "there is no such request in flight: it is over, or it never was"}
}

// CutStream ends one request in flight. Its token stays good. NotFound: it is over.
func (d *Directory) CutStream(ctx context.Context, by tenure.Principal, id string) (tenure.Stream, tenure.Ended, error) {
	start := time.Now()
	if err := access.Check(by, tenure.CutStream); err != nil {
		return tenure.Stream{}, tenure.Ended{}, err
	}
	f, err := d.flight(by, id)
	if err != nil {
		return tenure.Stream{}, tenure.Ended{}, err
	}
	s := streamOf(f)
	err = d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Append(ctx, audit.StreamCut(by, f.Principal.Standing(), id, s.Model, tx.Now().Sub(s.Started)))
	})
	if err != nil {
		return tenure.Stream{}, tenure.Ended{}, fmt.Errorf("cut stream %s: %w", id, err)
	}
	ended := tenure.Ended{}
	if d.Live.CutOne(f, tenure.ErrCut) {
		ended.Streams = 1
	}
	ended.Took = time.Since(start)
	d.Live.Ended(by.Tenant(), tenure.Revocation{What: tenure.RevokedStream, ObjectID: id, Object: s.Who, Actor: by.Label(), Ended: ended})
	return s, ended, nil
}
