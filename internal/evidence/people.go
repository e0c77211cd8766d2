package evidence

import (
	"context"
	"strconv"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// leaving is one end of a person's access.
type leaving struct {
	user     tenure.UserID
	name     string
	how      string // deactivated, deleted; "" where no event tells
	by, kind string
	reason   string
	received time.Time
	tokens   string // how many ended, as the event says
	sessions string
	event    string // id
	streams  string // how many were cut
	tookMS   float64
	told     bool // when the last stream was told to end
	last     bool // the person's last leaving
	before   bool // whoever was deleted had left before, and nothing ended
	back     bool // they were reactivated after it
	deleted  bool // they were deleted after it
	source   tenure.Source

	// What the rows say when all this is collected.
	active     bool
	livingTok  int
	livingSess int
	endedAt    time.Time // when the last of their credentials was ended
}

// slack is how long after the period what belongs to it may be told.
const slack = time.Minute

// promised is how long the end of access may take at the most.
const promised = 1000.0 // ms

// leavings are those of the period, in the order of the log.
func (x *export) leavings(ctx context.Context) ([]*leaving, error) {
	var all []*leaving
	last := map[tenure.UserID]*leaving{}
	of := map[tenure.UserID][]*leaving{}
	f := store.EventsOf{Tenant: x.tenant.ID, From: x.query.From, To: x.query.To.Add(slack), Actions: []string{"user.deactivated", "user.deleted", "user.reactivated", "user.access_ended"}}
	err := x.EachEvent(ctx, f, func(e tenure.AuditEvent) error {
		if len(e.Erased) > 0 { // of whom it tells is not there any more
			return nil
		}
		id := tenure.UserID(e.ObjectID)
		before := last[id]
		if e.Action == "user.access_ended" {
			if before != nil && !before.told {
				before.tookMS, _ = strconv.ParseFloat(e.Detail["took_ms"], 64)
				before.streams, before.told = e.Detail["streams"], true
			}
			return nil
		}
		switch {
		case !e.At.Before(x.query.To):
			return nil
		case e.Action == "user.reactivated":
			if before != nil {
				before.back = true
			}
			return nil
		case e.Action == "user.deleted" && before != nil && !before.back: // who was deleted after they had left did not leave again
			before.deleted = true
			return nil
		}
		l := &leaving{
			user: id, name: e.Object, how: e.Action[len("user."):], by: e.Actor, kind: e.ActorKind, reason: e.Reason, received: e.At,
			tokens: e.Detail["tokens"], sessions: e.Detail["sessions"], event: e.ID, last: true,
		}
		if before != nil {
			before.last = false
		}
		last[id] = l
		of[id] = append(of[id], l)
		all = append(all, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = x.EachPerson(ctx, x.tenant.ID, func(p store.PersonHeld) error {
		x.bundle.row("people")
		l := last[p.ID]
		gone := p.DeactivatedAt
		if gone.IsZero() {
			gone = p.DeletedAt
		}
		if l == nil && x.within(gone) { // a hand in the database
			l = &leaving{user: p.ID, name: p.UserName, received: gone, last: true}
			all = append(all, l)
			of[p.ID] = append(of[p.ID], l)
		}
		for _, l := range of[p.ID] {
			l.active = p.Active && p.DeletedAt.IsZero()
			l.livingTok, l.livingSess, l.endedAt, l.source = p.Tokens, p.Sessions, p.EndedAt, p.Source
			l.before = l.how == "deleted" && !l.told && !p.DeactivatedAt.IsZero() && p.DeactivatedAt.Before(l.received)
		}
		return nil
	})
	return all, err
}

func (x *export) within(t time.Time) bool {
	return !t.IsZero() && !t.Before(x.query.From) && t.Before(x.query.To)
}

// credentialsMS is how long after the news the last credential was ended; -1: none was.
func (l *leaving) credentialsMS() float64 {
	switch {
	case l.last && !l.active && !l.endedAt.Before(l.received):
		return float64(l.endedAt.Sub(l.received).Microseconds()) / 1000
	case l.tokens != "0" && l.tokens != "" || l.sessions != "0" && l.sessions != "":
		return 0 // in the transaction of the event
	}
	return -1
}

// lastMS is how long all of it took; false: nobody knows.
func (l *leaving) lastMS() (float64, bool) { return max(l.credentialsMS(), l.tookMS, 0), l.told }

// all is lastMS as a value of a column.
func (l *leaving) all() any {
	if ms, known := l.lastMS(); known {
		return ms
	}
	return nil
}

// living says what of somebody who left lives; "": nothing.
func (l *leaving) living() string {
	if l.active || l.livingTok+l.livingSess == 0 {
		return ""
	}
	return strconv.Itoa(l.livingTok) + " tokens live, " + strconv.Itoa(l.livingSess) + " sessions are open"
}

// people writes who is there, who came and who left.
func (x *export) people(ctx context.Context) error {
	if err := x.populate(ctx, population{
		name: "people", title: "People",
		columns: []string{"user_id", "user_name", "display_name", "state", "role", "source", "created_at", "last_seen_at", "deactivated_at", "deleted_at", "living_tokens", "open_sessions", "service_accounts"},
		shows:   []string{"user_name", "state", "role", "source", "created_at", "last_seen_at", "deactivated_at", "deleted_at", "living_tokens", "open_sessions"},
		each: func(ctx context.Context, give func(...any) error) error {
			return x.EachPerson(ctx, x.tenant.ID, func(p store.PersonHeld) error {
				state := "active"
				switch {
				case !p.DeletedAt.IsZero():
					state = "deleted"
				case !p.Active:
					state = "deactivated"
				}
				return give(string(p.ID), p.UserName, p.DisplayName, state, string(p.Role), string(p.Source), p.CreatedAt, p.LastSeenAt, p.DeactivatedAt, p.DeletedAt,
					int64(p.Tokens), int64(p.Sessions), int64(p.Accounts))
			})
		},
	}); err != nil {
		return err
	}
	if err := x.joiners(ctx); err != nil {
		return err
	}
	return x.leavers(ctx)
}

func (x *export) leavers(ctx context.Context) error {
	all, err := x.leavings(ctx)
	if err != nil {
		return err
	}
	var living, late, recorded tally
	times := &histogram{}
	for _, l := range all {
		x.found.drawn = append(x.found.drawn, pick{"leaver", string(l.user), l.name})
		item := l.name + " (" + string(l.user) + ")"
		if l.last && !l.active {
			living.item(item, l.living())
		}
		why := ""
		if l.how == "" {
			why = "no event tells of it: it was typed into the database"
		}
		recorded.item(item, why)
		if l.how == "" || l.before {
			continue
		}
		took, known := l.lastMS()
		if !known {
			late.untold()
			times.unknown++
			continue
		}
		times.add(took)
		why = ""
		if took > promised {
			why = strconv.FormatFloat(took, 'f', 3, 64) + " ms"
		}
		late.item(item, why)
	}
	err = x.populate(ctx, population{
		name: "leavers", title: "Leavers of the period",
		columns: []string{"user_id", "user_name", "source", "how", "by", "by_kind", "reason", "received_at", "last_credential_ended_ms", "last_stream_cut_ms", "streams_cut", "all_ended_ms", "tokens_ended", "sessions_ended", "left_before", "deleted_after", "came_back", "living_tokens", "open_sessions", "event"},
		shows:   []string{"user_name", "source", "how", "by", "received_at", "last_credential_ended_ms", "last_stream_cut_ms", "all_ended_ms", "came_back", "living_tokens"},
		each: func(_ context.Context, give func(...any) error) error {
			for _, l := range all {
				var credentials, streams any
				if ms := l.credentialsMS(); ms >= 0 {
					credentials = ms
				}
				if l.told {
					streams = l.tookMS
				}
				if err := give(string(l.user), l.name, string(l.source), l.how, l.by, l.kind, l.reason, l.received, credentials, streams, l.streams, l.all(),
					l.tokens, l.sessions, l.before, l.deleted, l.active, int64(l.livingTok), int64(l.livingSess), l.event); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	x.judge("leavers.no_living_credentials", living, "", "leavers.csv")
	x.judge("leavers.within_a_second", late, times.String(), "leavers.csv")
	x.judge("leavers.recorded", recorded, "", "leavers.csv")
	return nil
}

// joiners writes who came in the period, and by what.
func (x *export) joiners(ctx context.Context) error {
	type origin struct{ by, kind, event string }
	told, erased := map[tenure.UserID]origin{}, false
	f := store.EventsOf{Tenant: x.tenant.ID, From: x.query.From.Add(-slack), To: x.query.To.Add(slack), Actions: []string{"user.provisioned"}}
	err := x.EachEvent(ctx, f, func(e tenure.AuditEvent) error {
		if len(e.Erased) > 0 { // perhaps theirs of whom no other tells
			erased = true
			return nil
		}
		told[tenure.UserID(e.ObjectID)] = origin{e.Actor, e.ActorKind, e.ID}
		return nil
	})
	if err != nil {
		return err
	}
	var recorded tally
	err = x.EachPerson(ctx, x.tenant.ID, func(p store.PersonHeld) error {
		if !x.within(p.CreatedAt) {
			return nil
		}
		x.found.drawn = append(x.found.drawn, pick{"joiner", string(p.ID), p.UserName})
		why := ""
		if told[p.ID].event == "" {
			if erased {
				return nil
			}
			why = "no event tells of it: it was typed into the database"
		}
		recorded.item(p.UserName+" ("+string(p.ID)+")", why)
		return nil
	})
	if err != nil {
		return err
	}
	err = x.populate(ctx, population{
		name: "joiners", title: "Joiners of the period",
		columns: []string{"user_id", "user_name", "source", "created_at", "by", "by_kind", "role", "event"},
		each: func(ctx context.Context, give func(...any) error) error {
			return x.EachPerson(ctx, x.tenant.ID, func(p store.PersonHeld) error {
				if !x.within(p.CreatedAt) {
					return nil
				}
				o := told[p.ID]
				return give(string(p.ID), p.UserName, string(p.Source), p.CreatedAt, o.by, o.kind, string(p.Role), o.event)
			})
		},
	})
	x.judge("joiners.recorded", recorded, "", "joiners.csv")
	return err
}
