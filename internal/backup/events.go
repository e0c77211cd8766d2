package backup

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure/internal/store"
)

// event is what a list takes of an audit event.
type event struct {
	ID       string            `json:"id"`
	Action   string            `json:"action"`
	ObjectID string            `json:"object_id"`
	Object   string            `json:"object"`
	At       time.Time         `json:"at"`
	Outcome  string            `json:"outcome"`
	In       string            `json:"workspace"`
	Detail   map[string]string `json:"detail"`
}

// endingActions are the audit events that tell of an end by themselves, and of what.
func endingActions() map[string]string {
	return map[string]string{
		"token.revoked": "token", "token.leaked": "token", "token.rotated": "token", "session.ended": "session",
		"user.deactivated": "user", "user.deleted": "user", "user.all_revoked": "carried",
		"service_account.ended": "service_account", "service_account.orphaned": "orphan",
		"connector.deleted": "connector", "connector.rotated": "connector_tokens", "root_token.rotated": "root_tokens",
		"workspace.deleted": "workspace", "membership.removed": "membership",
		"group.deleted": "group", "group_mapping.removed": "mapping",
		"oidc_connection.deleted": "oidc_connection", "user.unlinked": "oidc_subject",
		"token_request.rejected": "token_request", "token_request.withdrawn": "token_request", "token_request.collected": "token_request",
		"exception.revoked": "exception", "exception.remediated": "exception", "exception.renewed": "exception_renewed",
		"exception.rejected": "exception_declined", "exception.withdrawn": "exception_declined",
		"beliefs.erased": "beliefs", "belief.deleted": "belief",
		"provider_key.retired": "provider_key", "provider_key.activated": "provider_key_before",
	}
}

// stateActions are those that tell what something is from then on. Only the last of a
// thing counts; it ends something where that is less than what the backup has.
func stateActions() map[string]string {
	return map[string]string{
		"user.role_granted": "role", "membership.set": "membership_role", "group_mapping.set": "mapping_role",
		"tenant.suspended": "tenant", "tenant.resumed": "tenant",
	}
}

// undone gives the kind of end that counts no more after an event; "": none.
func (e event) undone() string {
	switch e.Action {
	case "user.reactivated":
		return "user"
	case "membership.set":
		return "membership"
	case "group_mapping.set":
		return "mapping"
	case "user.linked":
		return "oidc_subject"
	case "service_account.updated":
		if _, owner := e.Detail["owner_before"]; owner { // and not only its description or its end
			return "orphan"
		}
	}
	return ""
}

// addEvents adds what events tell of ends, and takes back what a later one has given
// again: their order in the file does not matter.
func (l *list) addEvents(events []event) {
	slices.SortStableFunc(events, func(a, b event) int { return a.At.Compare(b.At) })
	type thing struct{ kind, id, in string }
	last := map[thing]event{} // by what it is the last of
	ends, states := endingActions(), stateActions()
	for _, ev := range events {
		l.ids = append(l.ids, eventID{ev.ID, ev.At})
		if strings.HasPrefix(ev.Action, "exception.") && ev.succeeded() {
			l.exceptions = append(l.exceptions, ev)
		}
		l.until = ev.At
		for _, kind := range []string{states[ev.Action], ev.undone()} {
			if kind != "" && ev.succeeded() {
				last[thing{kind, ev.ObjectID, ev.within(kind)}] = ev
			}
		}
		if ev.Action == backupCreated {
			l.backups = append(l.backups, ev.Detail["sha256"])
		}
		if ev.Action == "group.updated" && cmp.Or(ev.Detail["members_removed"], "0") != "0" {
			l.vague++
		}
	}
	for _, ev := range events {
		kind, ok := ends[ev.Action]
		if !ok || ev.ObjectID == "" || !ev.succeeded() || kind == "provider_key_before" && ev.Detail["overlap_seconds"] != "0" {
			continue
		}
		if last[thing{kind, ev.ObjectID, ev.within(kind)}].At.After(ev.At) {
			if kind = ev.carried(kind); kind == "" {
				continue
			}
		}
		l.end(kind, ev)
		if ev.Action == "user.deleted" {
			l.end("beliefs", ev)
		}
		for with := range strings.FieldsSeq(ev.Detail["with"]) { // of kind belief
			ev.ObjectID = with
			l.end(kind, ev)
		}
	}
	for t, ev := range last {
		if states[ev.Action] == t.kind && ev.Action != "tenant.resumed" {
			l.end(t.kind, ev)
		}
	}
}

// within is what beside its id tells a thing of a kind from others: the workspace that
// it is of, or the subject at an identity provider.
func (e event) within(kind string) string {
	switch kind {
	case "membership", "membership_role", "mapping", "mapping_role":
		return e.In
	case "oidc_subject":
		return e.Detail["issuer"] + "\x00" + e.Detail["subject"]
	}
	return ""
}

// carried is what stays ended of a thing of a kind that came back: what it carried did
// not. "": nothing does.
func (e event) carried(kind string) string {
	switch {
	case kind == "user":
		return "carried"
	case (kind == "membership" || kind == "mapping") && e.Detail["tokens"] != "0": // so many ended with it
		return kind + "_tokens"
	}
	return ""
}

// succeeded reports that what an event tells has happened. A token of the settings that
// has leaked is refused: only the operator ends it.
func (e event) succeeded() bool { return e.Outcome == "" || e.Outcome == "success" }

func (l *list) end(kind string, ev event) {
	e := store.Ending{Change: store.Change{Kind: kind, ID: ev.ObjectID, Ended: true, At: ev.At}, From: ev.At, In: ev.In, Less: ev.Detail["role"]}
	switch kind {
	case "oidc_subject":
		e.In, e.Less = ev.Detail["issuer"], ev.Detail["subject"]
	case "provider_key_before": // without an overlap, the versions before are retired with it
		e.ID, e.In, e.Less = ev.Object[strings.LastIndexByte(ev.Object, '/')+1:], ev.Detail["provider"], ev.Detail["version"]
	case "token_request":
		e.Less = ev.Action[len("token_request."):]
	case "exception_declined":
		e.Less = ev.Action[len("exception."):]
	case "belief":
		e.Less = ev.Detail["line"]
	case "exception_renewed": // it is told of the one that took its place
		e.ID, e.Less = ev.Detail["renews"], ev.ObjectID
	}
	l.ends = append(l.ends, e)
}
