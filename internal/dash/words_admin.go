package dash

import (
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/ledger"
)

// Why a thing ended, as its row and the audit log tell it.
const endedByAdmin = "ended by an administrator"

const (
	tokenInSearch = "that is a whole token; it is in this browser's history now: revoke it, and search by its name or its owner"
	noDay         = "write the day as 2026-01-31"
	atOnce        = "It ends at once, on every replica, with every request and stream that it carries at that moment."
	notBack       = "Nothing brings it back."
)

// roleWord is a role in words: "super admin".
func roleWord(r tenure.Role) string { return strings.ReplaceAll(string(r), "_", " ") }

// sourceWord says who made Tenure know a person.
func sourceWord(s tenure.Source) string {
	if s == tenure.SourceSCIM {
		return "SCIM"
	}
	return "Sign-in"
}

// deactivateWords are the button that ends somebody's access.
func deactivateWords(e tenure.Ended) string {
	return andEnd("Deactivate", e)
}

// revokeAllWords are the button that ends what somebody carries.
func revokeAllWords(e tenure.Ended) string {
	if what := list(e); what != "" {
		return "End " + what
	}
	return "End everything"
}

func andEnd(verb string, e tenure.Ended) string {
	if what := list(e); what != "" {
		return verb + " and end " + what
	}
	return verb
}

// list names what would end: "3 tokens, 1 session, 2 streams", or nothing.
func list(e tenure.Ended) string {
	var parts []string
	for _, c := range [...]struct {
		n   int
		one string
	}{{e.Tokens, "token"}, {e.Sessions, "session"}, {e.Streams, "stream"}} {
		if c.n > 0 {
			parts = append(parts, plural(c.n, c.one))
		}
	}
	return strings.Join(parts, ", ")
}

// willEnd are the sentences of what ends when somebody is deactivated, or loses
// everything and stays.
func willEnd(e tenure.Ended, leaves, oneself bool) []string {
	var out []string
	if what := list(e); what != "" {
		out = append(out, strings.ToUpper(what[:1])+what[1:]+" end at once, on every replica.", "Nothing brings them back.")
	}
	switch {
	case leaves:
		out = append(out, "They cannot sign in any more until somebody reactivates them.")
		if e.Orphans > 0 {
			out = append(out, plural(e.Orphans, "service account")+" will wait for a new owner.")
		}
	default:
		out = append(out, "They stay active: they may sign in again, and make new tokens.")
	}
	if oneself {
		out = append(out, "This is you: you will be signed out.")
	}
	return out
}

// keptFor says how long the audit log is kept.
func keptFor(now time.Time, r ledger.Retention) string {
	if r.Since.IsZero() {
		return "Nothing has happened yet."
	}
	keep := plural(int(r.Keep.Hours()/24), "day")
	switch {
	case r.Held() != nil:
		text := "A legal hold is in force: nothing is removed, and nothing about a person is erased."
		if r.Keep > 0 {
			text += " Without it events would be kept for " + keep + "."
		}
		return text
	case r.Keep > 0:
		return "Events are kept for " + keep + "; what is older is removed."
	}
	days := int(now.Sub(r.Since).Hours()/24) + 1
	return "Every event is kept: " + plural(days, "day") + " so far, since " + r.Since.UTC().Format("2 January 2006") + "."
}

// allEnded says how long it took until the last of what somebody had was ended;
// streams is -1 where that was not told.
func allEnded(last time.Duration, streams int) string {
	text := "Nothing of theirs is left. The last of it ended " + took(last) + " after the deactivation"
	if streams > 0 {
		text += ", and " + plural(streams, "open stream") + " with it"
	}
	return text + "."
}
