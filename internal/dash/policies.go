package dash

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/policy"
	"github.com/tenure-gateway/tenure/internal/web"
)

const policiesPath = "/admin/policies"

// A policiesPage shows the tenant's policy.
type policiesPage struct {
	frame
	Notice string
	Parts  []policyPart
	May    bool // change it
}

// A policyPart is the keys that decide about one thing.
type policyPart struct {
	ID      string
	Heading string
	Entries []policy.Entry
}

// policyParts put the keys of a policy where people look for them; what is in none
// is in the last.
func policyParts(entries []policy.Entry) []policyPart {
	parts := []policyPart{
		{ID: "personal", Heading: "Personal access tokens"},
		{ID: "service", Heading: "Service accounts and their tokens"},
		{ID: "rotation", Heading: "Rotation"},
		{ID: "sign-in", Heading: "Sign-in and sessions"},
		{ID: "trust", Heading: "Trust page"},
		{ID: "others", Heading: "Members, notices and the rest"},
	}
	keys := [][]string{
		{"pat_", "extra_scopes"},
		{"service_token_", "admin_scope_approval", "orphan_grace"},
		{"rotat", "reuse"},
		{"session_", "admin_idle", "reauth", "root_token"},
		{"trust_"},
		{""},
	}
	for _, e := range entries {
		at := slices.IndexFunc(keys, func(begins []string) bool {
			return slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(e.Key, b) })
		})
		parts[at].Entries = append(parts[at].Entries, e)
	}
	return slices.DeleteFunc(parts, func(p policyPart) bool { return len(p.Entries) == 0 })
}

func (d *Dash) policies(w http.ResponseWriter, r *http.Request) error {
	return d.showPolicies(w, r, "")
}

func (d *Dash) showPolicies(w http.ResponseWriter, r *http.Request, notice string) error {
	by := web.Principal(r.Context())
	entries, err := d.Policies.Read(r.Context(), by)
	if err != nil {
		return err
	}
	page := policiesPage{frame: d.frame(r, "Policies"), Notice: notice, Parts: policyParts(entries), May: may(by, tenure.SetPolicy)}
	page.Address = policiesPath
	return d.show(w, http.StatusOK, "policies", page)
}

// was is what the name of a hidden field begins with that says what value the form
// was shown with: what nobody touched is not sent back over what somebody else set.
const was = "was_"

func (d *Dash) policyForm(r *http.Request) (*formPage, []policy.Entry, error) {
	entries, err := d.Policies.Read(r.Context(), web.Principal(r.Context()))
	if err != nil {
		return nil, nil, err
	}
	page := &formPage{
		frame: d.frame(r, "Change the policy"), Heading: "Change the policy", Action: policiesPath, Button: "Save", Back: policiesPath,
		Lead: []string{"What is changed holds from the next request on: all of it or, where one value cannot be, none. A length of time is written as 90d, 12h or 30m."},
	}
	page.Address = policiesPath + "/edit"
	for _, part := range policyParts(entries) {
		for i, e := range part.Entries {
			f := policyField(e)
			if i == 0 {
				f.Part = part.Heading
			}
			page.Fields = append(page.Fields, f, field{Kind: hiddenField, Name: was + e.Key, Value: e.Value})
		}
	}
	return page, entries, nil
}

func policyField(e policy.Entry) field {
	f := field{Kind: textField, Name: e.Key, Label: e.Key, Value: e.Value, Code: true, Hint: sentence(e.Meaning) + " Default: " + emptied(e.Default) + "."}
	if e.Key == "root_token" {
		f.Hint += " Off ends its requests and sessions at once; whoever runs commands on the machine can switch it on again."
	}
	of, many := tenure.PolicyWords(e.Key)
	if of == nil {
		return f
	}
	f.Kind, f.Options = oneField, options(e.Value, of...)
	if many {
		f.Kind = manyField
		now := strings.Fields(e.Value)
		for i := range f.Options {
			f.Options[i].On = slices.Contains(now, f.Options[i].Value)
		}
	}
	return f
}

// emptied is a value of a policy for people.
func emptied(value string) string {
	if value == "" {
		return "none"
	}
	return value
}

func (d *Dash) editPolicies(w http.ResponseWriter, r *http.Request) error {
	page, _, err := d.policyForm(r)
	if err != nil {
		return err
	}
	return d.ask(w, page)
}

func (d *Dash) setPolicies(w http.ResponseWriter, r *http.Request) error {
	page, entries, err := d.policyForm(r)
	if err != nil {
		return err
	}
	values := map[string]*string{}
	for _, e := range entries {
		before := r.PostForm.Get(was + e.Key)
		if _, there := r.PostForm[was+e.Key]; !there {
			continue // it was not asked for
		}
		value := strings.TrimSpace(strings.Join(r.PostForm[e.Key], " "))
		switch _, many := tenure.PolicyWords(e.Key); {
		case value == before, many && sameWords(value, before):
		case value == e.Default, many && sameWords(value, e.Default):
			values[e.Key] = nil
		default:
			values[e.Key] = &value
		}
	}
	if len(values) == 0 {
		return d.showPolicies(w, r, "Nothing was changed.")
	}
	if _, err := d.Policies.Set(r.Context(), web.Principal(r.Context()), values); err != nil {
		return d.askAgain(w, r, page, err)
	}
	return d.showPolicies(w, r, fmt.Sprintf("Saved: %s in force from the next request on.", inForce(len(values))))
}

// sameWords reports whether two texts have the same words, in any order.
func sameWords(a, b string) bool {
	return slices.Equal(slices.Sorted(strings.FieldsSeq(a)), slices.Sorted(strings.FieldsSeq(b)))
}

func inForce(n int) string {
	if n == 1 {
		return "1 value is"
	}
	return fmt.Sprintf("%d values are", n)
}
