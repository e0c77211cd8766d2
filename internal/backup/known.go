package backup

import (
	"context"
	"slices"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A list of audit events tells what has ended since the backup only if it has them all.
// That it has is seen where the two meet: the newest events before the backup must be in
// it, and of each tenant none may be missing between the oldest of them and the backup.
// So a list that was cut off, begins too late or was filtered vouches for nothing.

// margin is how long before the backup a list is heeded, too: what was being committed
// while the backup began, and clocks that differ.
const margin = 5 * time.Minute

// meeting is how many events before the backup are compared.
const meeting = 200

// eventID is an event, to be found again in the log.
type eventID struct {
	id string
	at time.Time
}

// covers gives the tenants of whose ends since the backup a list knows all.
func (l *list) covers(ctx context.Context, tx *store.Tx, in Header) ([]tenure.TenantID, error) {
	before := slices.Clone(l.ids)
	before = slices.DeleteFunc(before, func(e eventID) bool { return e.id == "" || e.at.After(in.At) })
	slices.SortFunc(before, func(a, b eventID) int { return b.at.Compare(a.at) })
	ids := make([]string, min(len(before), meeting))
	for i := range ids {
		ids[i] = before[i].id
	}
	places, err := tx.AuditPlaces(ctx, ids)
	if err != nil {
		return nil, err
	}
	has := make(map[string]bool, len(l.ids))
	for _, e := range l.ids {
		has[e.id] = true
	}
	oldest := map[tenure.TenantID]int64{}
	for _, p := range places {
		if seq, ok := oldest[p.Tenant]; p.Seq <= in.Audit && (!ok || p.Seq < seq) {
			oldest[p.Tenant] = p.Seq
		}
	}
	var out []tenure.TenantID
	for tenant, from := range oldest {
		all, err := tx.AuditIDs(ctx, tenant, from, in.Audit)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(id string) bool { return !has[id] }) {
			out = append(out, tenant)
		}
	}
	slices.Sort(out)
	return out, nil
}

// until is up to when everything that ended is on a list: of each tenant the latest list
// counts, and of these the earliest. Of one that is on none nothing is known.
func (e Ends) until(ctx context.Context, tx *store.Tx, in Header, told []Told) (time.Time, error) {
	tenants, err := tx.Tenants(ctx)
	if err != nil {
		return in.At, err
	}
	var all time.Time // of everybody: a replica's memory is of all tenants
	by := map[tenure.TenantID]time.Time{}
	for i, l := range e.lists {
		if l.install != "" && l.since(in.At) && l.until.After(all) {
			all = l.until
		}
		for _, tenant := range told[i].Tenants {
			if l.until.After(by[tenant]) {
				by[tenant] = l.until
			}
		}
	}
	var out time.Time
	for i, t := range tenants {
		at := all
		if by[t.ID].After(at) {
			at = by[t.ID]
		}
		if i == 0 || at.Before(out) {
			out = at
		}
	}
	if out.Before(in.At) {
		return in.At, nil
	}
	return out, nil
}

// since reports whether a replica's memory reaches back to an instant: it remembers an
// end before that.
func (l *list) since(at time.Time) bool {
	return slices.ContainsFunc(l.ends, func(e store.Ending) bool { return !e.At.After(at) })
}
