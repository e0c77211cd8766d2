package backup

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What events tell of ends: what was given again after it was taken away is not ended,
// what it had carried is.
func TestWhatEventsEnd(t *testing.T) {
	const removed, set = `"membership.removed","object_id":"u","workspace":"w"`, `"membership.set","object_id":"u","workspace":"w","detail":{"role":"member"}`
	const linked = `"object_id":"u","detail":{"issuer":"https://id","subject":"s"}`
	for name, c := range map[string]struct {
		events []string // in the order in which they happened, from "action" on
		want   string
	}{
		"a membership that was taken away":      {[]string{removed}, "membership u w"},
		"and given again, without tokens":       {[]string{`"membership.removed","object_id":"u","workspace":"w","detail":{"tokens":"0"}`, set}, "membership_role u w member"},
		"and given again, and tokens had ended": {[]string{removed, set}, "membership_role u w member, membership_tokens u w"},
		"given in another workspace":            {[]string{removed, strings.ReplaceAll(set, `"w"`, `"v"`)}, "membership u w, membership_role u v member"},
		"given, and taken away":                 {[]string{set, removed}, "membership u w, membership_role u w member"},
		"a group that means nothing there":      {[]string{`"group_mapping.removed","object_id":"g","workspace":"w"`}, "mapping g w"},
		"and something again":                   {[]string{`"group_mapping.removed","object_id":"g","workspace":"w"`, `"group_mapping.set","object_id":"g","workspace":"w","detail":{"role":"viewer"}`}, "mapping_role g w viewer, mapping_tokens g w"},
		"a link that was taken away":            {[]string{`"user.unlinked",` + linked}, "oidc_subject u https://id s"},
		"and made again":                        {[]string{`"user.unlinked",` + linked, `"user.linked",` + linked}, ""},
		"and another made":                      {[]string{`"user.unlinked",` + linked, `"user.linked",` + strings.ReplaceAll(linked, `"s"`, `"s2"`)}, "oidc_subject u https://id s"},
		"a person who came back":                {[]string{`"user.deactivated","object_id":"u"`, `"user.reactivated","object_id":"u"`}, "carried u"},
		"an account whose owner left":           {[]string{`"service_account.orphaned","object_id":"a"`}, "orphan a"},
		"and that has another owner":            {[]string{`"service_account.orphaned","object_id":"a"`, `"service_account.updated","object_id":"a","detail":{"owner":"bob","owner_before":"alice"}`}, ""},
		"and that is described in another way":  {[]string{`"service_account.orphaned","object_id":"a"`, `"service_account.updated","object_id":"a","detail":{"owner":"alice"}`}, "orphan a"},
		"a refusal of what would give it again": {[]string{removed, `"membership.set","object_id":"u","workspace":"w","outcome":"refused","detail":{"role":"member"}`}, "membership u w"},
		"beliefs that were erased":              {[]string{`"beliefs.erased","object_id":"u"`}, "beliefs u"},
		"a belief with its line":                {[]string{`"belief.deleted","object_id":"b3","detail":{"line":"b1","with":"b2 b1"}`}, "belief b1 b1, belief b2 b1, belief b3 b1"},
		"a belief alone":                        {[]string{`"belief.deleted","object_id":"b1"`}, "belief b1"},
		"a person who was deleted":              {[]string{`"user.deleted","object_id":"u"`}, "beliefs u, user u"},
		"a version of a provider's key":         {[]string{`"provider_key.retired","object_id":"k"`}, "provider_key k"},
		"the next one without an overlap":       {[]string{`"provider_key.activated","object_id":"k2","object":"openai/spare","detail":{"provider":"p","version":"2","overlap_seconds":"0"}`}, "provider_key_before spare p 2"},
		"the next one with an overlap":          {[]string{`"provider_key.activated","object_id":"k2","object":"openai/spare","detail":{"provider":"p","version":"2","overlap_seconds":"60"}`}, ""},
	} {
		var text strings.Builder
		for i, e := range c.events {
			fmt.Fprintf(&text, `{"id":"e%d","at":"2026-01-01T00:00:%02dZ","action":%s}`+"\n", i, i, e)
		}
		var ends Ends
		if err := ends.AddList("list", strings.NewReader(text.String())); err != nil {
			t.Fatal(name, err)
		}
		var got []string
		for _, e := range ends.lists[0].ends {
			got = append(got, strings.Join(strings.Fields(strings.Join([]string{e.Kind, e.ID, e.In, e.Less}, " ")), " "))
		}
		slices.Sort(got)
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: ends %q, want %q", name, got, c.want)
		}
	}
}
