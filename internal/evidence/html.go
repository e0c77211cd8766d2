package evidence

import (
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"
)

//go:embed index.html
var indexText string

// index is what the page is made of.
type index struct {
	Manifest
	Sections []indexSection
	Duties   []duty
	Drawing  drawing
	Results  []result
}

// indexSection is one section, with its checks and its populations.
type indexSection struct {
	Name   string
	Checks []Check
	Tables []table
}

type result struct {
	Name  string
	Count int
}

// page writes what is readable of the bundle: one file, which fetches nothing and runs
// nothing.
func (x *export) page() error {
	t, err := template.New("index").Funcs(template.FuncMap{
		"time": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") },
		"join": func(all []string) string { return strings.Join(all, ", ") },
		"sub":  func(a int64, b int) int64 { return a - int64(b) },
	}).Parse(indexText)
	if err != nil {
		return err
	}
	in := index{Manifest: x.manifest(), Duties: x.duties(), Drawing: x.drawing()}
	for _, r := range Results() {
		in.Results = append(in.Results, result{r, in.Checks[r]})
	}
	for _, d := range definitions() {
		if !slices.ContainsFunc(in.Sections, func(s indexSection) bool { return s.Name == d.Section }) {
			in.Sections = append(in.Sections, indexSection{Name: d.Section})
		}
	}
	of := tablesOf()
	for i := range in.Sections {
		s := &in.Sections[i]
		for _, c := range x.found.checks {
			if c.Section == s.Name {
				s.Checks = append(s.Checks, c)
			}
		}
		for _, t := range x.found.tables {
			if of[t.Name] == s.Name {
				s.Tables = append(s.Tables, t)
			}
		}
	}
	in.Sections = slices.DeleteFunc(in.Sections, func(s indexSection) bool { return len(s.Checks) == 0 })
	return x.bundle.file("index.html", func(w io.Writer) (int64, error) { return -1, t.Execute(w, in) })
}

// tablesOf tells in which section a population is shown.
func tablesOf() map[string]string {
	return map[string]string{
		"policy": sectionAuth, "settings": sectionAuth, "keys": sectionKeys, "people": sectionPeople, "joiners": sectionPeople, "leavers": sectionPeople,
		"roles": sectionRoles, "grants": sectionRoles, "privileged_people": sectionRoles, "privileged": sectionPrivileged, "root": sectionPrivileged,
		"refused": sectionRefused, "tokens": sectionTokens, "policy_changes": sectionPolicy,
		"exceptions": sectionRules, "reviews": sectionRules, "review_items": sectionRules,
	}
}

// A duty is something that somebody must do: where Tenure is run by oneself, and where
// somebody runs it for one.
type duty struct{ What, SelfHosted, Hosted, Here string }

// duties are who answers for what, with what is seen of it here.
func (x *export) duties() []duty {
	here := func(seen string) string {
		if !x.house.Known {
			return "not assessable here"
		}
		return seen
	}
	database, tls := "SQLite, one file of the installation's home", "ended by whatever is before Tenure"
	if x.house.Postgres {
		database = "PostgreSQL"
	}
	if x.house.TLS {
		tls = "ended by Tenure, version 1.2 and later"
	}
	var keys []string
	for _, k := range x.house.Keys {
		if k.Wraps {
			keys = append(keys, k.Label)
		}
	}
	secrets := strings.Join(keys, ", ")
	if secrets == "" {
		secrets = "not assessable here"
	}
	return []duty{
		{"Who somebody is, their second factor, when they leave", "the customer, in their identity provider", "the customer, in their identity provider", here(strings.Join(x.house.SignIn, "; "))},
		{"Who may do what in Tenure; reviews of it", "the customer", "the customer", "populations of this bundle"},
		{"The program and its machine: updates, network, clock", "the customer", "whoever hosts it", here("version " + x.version)},
		{"The database, its backups and their test", "the customer", "whoever hosts it", here(database)},
		{"The key-encryption key", "the customer", "whoever hosts it, or the customer where the key is theirs", secrets},
		{"TLS before Tenure", "the customer", "whoever hosts it", here(tls)},
		{"Keys of model providers: which, and their rotation", "the customer", "the customer", "keys.csv"},
		{"What models do with what is sent to them", "the customer, by contract with the provider", "the customer, by contract with the provider", "not assessable here"},
		{"That access ends, is recorded and can be verified", "Tenure", "Tenure", "checks of this bundle"},
	}
}
