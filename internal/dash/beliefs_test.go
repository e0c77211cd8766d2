package dash

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/belief"
	"github.com/tenure-gateway/tenure/internal/store"
)

// write records a belief by the form, and gives the address of its page.
func (v visitor) write(scope, name, content string) string {
	v.t.Helper()
	p := v.post(beliefsPath, "workspace", string(tenure.DefaultWorkspace), "scope", scope, "type", "decision", "status", "active", "name", name, "content", content, "aliases", "db\r\n\r\nSQL, as it is spoken\r\n").must(http.StatusOK)
	p.one("h1").says(name)
	return strings.TrimSuffix(p.one("main .acts a.end").attrs["href"], "/delete")
}

func TestBeliefsAreWrittenFoundChangedAndEnded(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	p := alice.get(beliefsPath).must(http.StatusOK)
	p.one("section[aria-labelledby=beliefs] .empty").says("Tenure-Extract: on")
	p.one("a[href=" + beliefsPath + "/erase]") // turns may wait
	alice.get(beliefsPath + "/new").must(http.StatusOK).one("form[action=/beliefs]")
	bad := alice.post(beliefsPath, "workspace", "default", "scope", "elsewhere", "type", "decision", "status", "active", "name", "x", "content", "y").must(http.StatusBadRequest)
	bad.one("#scope-wrong").says("project:billing")

	path := alice.write("project:billing", "Database", "We use MySQL.")
	alice.write("user:universal", "Tabs", "Tabs, not spaces.")
	p = alice.get(beliefsPath).must(http.StatusOK)
	if n := len(p.all("section[aria-labelledby=beliefs] tbody tr")); n != 2 {
		t.Errorf("%d beliefs, want two", n)
	}
	alice.get(path).must(http.StatusOK).one("section[aria-labelledby=content] dl.facts").says("SQL, as it is spoken")
	if form := alice.get(path + "/edit").must(http.StatusOK).one("textarea#aliases").text(); form != "db SQL, as it is spoken" {
		t.Errorf("the form has the other names %q", form)
	}
	alice.post(path, "version", "1", "type", "decision", "status", "active", "name", "Database", "content", "We use MySQL.", "aliases", "Store, the\r\nDB").must(http.StatusOK)
	for query, want := range map[string]string{"?q=mysql": "Database", "?scope=user:universal": "Tabs", "?q=sTORE,&type=decision&status=active": "Database", "?scope=project:billing": "Database"} {
		rows := alice.get(beliefsPath + query).must(http.StatusOK).all("section[aria-labelledby=beliefs] tbody tr")
		if len(rows) != 1 {
			t.Fatalf("%s finds %d", query, len(rows))
		}
		rows[0].says(want)
	}
	alice.get(beliefsPath + "?q=oracle").must(http.StatusOK).one(".empty strong").says("No belief fits")
	alice.get(beliefsPath + "?scope=billing").must(http.StatusBadRequest).one("#scope-wrong")

	// What it said stays in its history.
	form := alice.get(path + "/edit").must(http.StatusOK)
	version := form.one("input[name=version]").attrs["value"]
	p = alice.post(path, "version", version, "type", "decision", "status", "active", "name", "Database", "content", "We use PostgreSQL.").must(http.StatusOK)
	p.one(".notice").says("in the place of what was said before")
	history := p.one("section[aria-labelledby=history] tbody")
	history.says("We use PostgreSQL.")
	history.says("We use MySQL.")
	newer := strings.TrimSuffix(p.one("main .acts form").attrs["action"], "/end")
	// What was typed meanwhile stays, beside what was changed.
	p = alice.post(newer, "version", "7", "type", "decision", "status", "inferred", "name", "Database", "content", "We use Oracle.").must(http.StatusPreconditionFailed)
	p.one("form .wrong").says("changed meanwhile")
	p.one("dl.facts").says("stated: We use PostgreSQL.")
	if text, version := p.one("textarea#content").text(), p.one("input[name=version]").attrs["value"]; text != "We use Oracle." || version != "1" {
		t.Errorf("the form has %q, of version %s", text, version)
	}
	p = alice.post(path, "version", version, "type", "decision", "status", "active", "name", "Database", "content", "Late").must(http.StatusPreconditionFailed)
	p.one("dl.facts").says("holds no more: We use MySQL.")
	alice.post(newer+"/end", "version", "7").must(http.StatusPreconditionFailed)
	alice.post(newer+"/end", "version", "1").must(http.StatusOK).one(".notice").says("holds no more")
	alice.get(beliefsPath + "?status=superseded").must(http.StatusOK).one("section[aria-labelledby=beliefs] tbody").says("holds no more")

	// Nobody else has them, and the log does not.
	bob := h.as("bob@example.com")
	bob.get(path).must(http.StatusNotFound)
	bob.get(path + "/edit").must(http.StatusNotFound)
	bob.post(path+"/delete", "to", "").must(http.StatusNotFound)
	if log := strings.ToLower(h.logged()); log == "" || strings.Contains(log, "mysql") {
		t.Error("the log has what a belief says")
	}
	// One that another took the place of goes alone; one that nothing did, with its history.
	ask := alice.get(path + "/delete").must(http.StatusOK)
	ask.one("h1").says("Delete “Database”?")
	ask.one("ul.ends").says("It alone goes")
	alice.post(path+"/delete", "to", "").must(http.StatusOK).one(".notice").says("“We use MySQL.” is deleted from the history of “Database”")
	alice.get(path).must(http.StatusNotFound)
	alice.get(newer + "/delete").must(http.StatusOK).one("ul.ends").says("its history with it")
}

// Who has none that holds, but had some, still finds, exports and erases those.
func TestBeliefsThatHoldNoMore(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	path := alice.write("user:universal", "Tabs", "Tabs, not spaces.")
	p := alice.post(path+"/end", "version", "1").must(http.StatusOK)
	p.one("section[aria-labelledby=beliefs] .empty strong").says("None holds any more")
	p.one("a[href=" + beliefsPath + "/export]")
	p.one("a[href=" + beliefsPath + "/erase]")
	p.one("a[href=" + beliefsPath + "?status=superseded]")
	alice.get(path + "/delete").must(http.StatusOK).one("ul.ends").says("its history with it")
	alice.post(path+"/delete", "to", "").must(http.StatusOK).one(".notice").says("deleted, with its history")
	alice.get(beliefsPath).must(http.StatusOK).one("section[aria-labelledby=beliefs] .empty strong").says("You have none")
}

func TestBeliefsThatContradict(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	one, two := alice.contradicting("Database", "We use MySQL.", "We use PostgreSQL.")
	p := alice.get(beliefsPath).must(http.StatusOK)
	pair := p.one("section.contradiction")
	pair.says("We use MySQL.")
	pair.says("We use PostgreSQL.")
	if n := len(p.all("section[aria-labelledby=beliefs] tbody .warn")); n != 2 {
		t.Errorf("%d are marked as contradicted", n)
	}
	alice.get(one).must(http.StatusOK).one("section.contradiction")
	// To keep one is to end the other.
	keep := pair.all(".sides form")[1]
	if got := keep.attrs["action"]; got != one+"/end" {
		t.Fatalf("to keep the newer one ends %s, not %s", got, one)
	}
	p = alice.post(one+"/end", "version", keep.all("input[name=version]")[0].attrs["value"]).must(http.StatusOK)
	p.none("section.contradiction")
	p.none("section[aria-labelledby=beliefs] tbody .warn")
	p.one("section[aria-labelledby=beliefs] tbody tr").says("We use PostgreSQL.")
	alice.get(two).must(http.StatusOK).none("section.contradiction")

	// A flag that points at what holds no more is no choice to make.
	three := alice.write("project:billing", "Cache", "We use none.")
	alice.row(three, func(ctx context.Context, tx *store.Tx, b store.BeliefRow) error {
		return tx.Contradict(ctx, b, beliefID(one))
	})
	alice.get(beliefsPath).must(http.StatusOK).none("section.contradiction")
	alice.get(three).must(http.StatusOK).none("section.contradiction")
}

// contradicting has two beliefs of one name that say otherwise of it, both flagged, as the
// drawing out of the second makes them, and gives the addresses of their pages. To write the
// second down takes the place of the first, which is therefore found by another name then.
func (v visitor) contradicting(name, first, second string) (one, two string) {
	v.t.Helper()
	one = v.write("project:billing", name, first)
	flag := func(hash string, with tenure.BeliefID) {
		v.row(one, func(ctx context.Context, tx *store.Tx, b store.BeliefRow) error {
			b.NameHash, b.Contradicts = hash, with
			if err := tx.DeleteBelief(ctx, b); err != nil {
				return err
			}
			return tx.InsertBelief(ctx, b)
		})
	}
	flag("another", "")
	two = v.write("project:billing", name, second)
	var hash string
	v.row(two, func(ctx context.Context, tx *store.Tx, b store.BeliefRow) error {
		hash = b.NameHash
		return tx.Contradict(ctx, b, beliefID(one))
	})
	flag(hash, beliefID(two))
	return one, two
}

// row changes the row of a belief, by the address of its page.
func (v visitor) row(path string, fn func(context.Context, *store.Tx, store.BeliefRow) error) {
	v.t.Helper()
	who := v.join(v.headers.Get("X-User-Id")).User()
	v.tx(func(ctx context.Context, tx *store.Tx) error {
		b, err := tx.Belief(ctx, tenure.DefaultTenant, who, beliefID(path))
		if err != nil {
			return err
		}
		return fn(ctx, tx, b)
	})
}

// beliefID is the id in the address of a page.
func beliefID(path string) tenure.BeliefID {
	return tenure.BeliefID(strings.TrimPrefix(path, beliefsPath+"/"))
}

func TestBeliefsAreExportedAndErased(t *testing.T) {
	h := open(t, false)
	alice := h.as("alice@example.com")
	alice.write("user:universal", "Tabs", "Tabs, not spaces.")
	p := alice.get(beliefsPath + "/export").must(http.StatusOK)
	if !strings.Contains(p.Header.Get("Content-Disposition"), "beliefs-2025-") {
		t.Errorf("the file is called %s", p.Header.Get("Content-Disposition"))
	}
	var file struct {
		Person  string
		Beliefs []belief.Belief
	}
	if err := json.Unmarshal([]byte(p.body), &file); err != nil || file.Person != "alice@example.com" || len(file.Beliefs) != 1 || file.Beliefs[0].Content != "Tabs, not spaces." {
		t.Errorf("%v: %s", err, p.body)
	}
	alice.get(beliefsPath + "/erase").must(http.StatusOK).one("input[name=confirm]")
	alice.post(beliefsPath+"/erase", "confirm", "yes").must(http.StatusBadRequest).one("#confirm-wrong")
	alice.post(beliefsPath+"/erase", "confirm", "Erase").must(http.StatusOK).one(".notice").says("Erased: 1 belief")
	if err := json.Unmarshal([]byte(alice.get(beliefsPath+"/export").must(http.StatusOK).body), &file); err != nil || len(file.Beliefs) != 0 {
		t.Errorf("%v: %+v", err, file)
	}
}

// What holds is the least of what the organisation, the workspace and the person say, and
// the page tells who says it.
func TestExtractionIsNarrowed(t *testing.T) {
	h := open(t, false)
	root, alice := h.as("root@example.com"), h.as("alice@example.com")
	root.get("/settings")
	holds := func(want string) {
		t.Helper()
		alice.get(beliefsPath).must(http.StatusOK).one("section[aria-labelledby=extraction] tbody td[data-label=Therefore]").says(want)
	}
	holds("off: the organisation’s policy says so")
	h.set("extraction", "always")
	holds("off: the workspace names no model")
	space := workspacesPath + "/default"
	root.get(space).must(http.StatusOK).one("main a[href=" + space + "/extraction]")
	root.get(space + "/extraction").must(http.StatusOK).one("input[name=model]")
	root.post(space+"/extraction", "extraction", "sometimes", "model", "gpt-4o-mini").must(http.StatusBadRequest).one("#extraction p.wrong")
	p := root.post(space+"/extraction", "extraction", "always", "model", "gpt-4o-mini").must(http.StatusOK)
	p.one(".notice").says("Saved")
	holds("when asked for: you say so")
	alice.get(beliefsPath + "/extraction").must(http.StatusOK).one("dl.facts").says("the workspace says always")
	alice.post(beliefsPath+"/extraction", "extraction", "always").must(http.StatusOK)
	holds("always")
	root.post(space+"/extraction", "extraction", "asked", "model", "gpt-4o-mini").must(http.StatusOK)
	holds("when asked for: the workspace says so")
	alice.post(beliefsPath+"/extraction", "extraction", "off").must(http.StatusOK).one("section[aria-labelledby=extraction] p").says("You have it off")
	holds("off: you say so")
	alice.post(space+"/extraction", "extraction", "always", "model", "").must(http.StatusForbidden)
}

// Administrators see how many there are; a root token has none.
func TestBeliefsAreAPersons(t *testing.T) {
	h := open(t, false)
	alice, root := h.as("alice@example.com"), h.as("root@example.com")
	alice.write("user:universal", "Tabs", "Tabs, not spaces.")
	root.get("/settings")
	person := root.get("/admin/people/" + string(h.join("alice@example.com").User())).must(http.StatusOK)
	person.one("section[aria-labelledby=facts] dl.facts").says("1, sealed")
	if strings.Contains(person.body, "Tabs") {
		t.Error("the page of a person has what they believe")
	}
	theirs := person.one("section[aria-labelledby=facts] dl.facts a").attrs["href"]
	ask := root.get(theirs).must(http.StatusOK)
	ask.one(".empty").says("You have none in force for alice@example.com")
	if strings.Contains(ask.body, "Tabs") {
		t.Error("what they believe is read without an exception")
	}
	form := root.get(ask.one("main .acts a").attrs["href"]).must(http.StatusOK)
	if rule := form.one("input[name=rule][checked]").attrs["value"]; rule != string(tenure.RuleBeliefsRead) {
		t.Errorf("an exception of the rule %s is asked for", rule)
	}
	if subject := form.one("input[name=subject]").attrs["value"]; subject != "alice@example.com" {
		t.Errorf("an exception for %q is asked for", subject)
	}
	h.become("ann@example.com", tenure.Auditor).get(theirs).must(http.StatusForbidden)
	single := open(t, true)
	token, err := single.Tokens.EnsureRoot(t.Context(), single.operator())
	if err != nil {
		t.Fatal(err)
	}
	v := single.as("")
	v = v.withSession(v.post("/login", "token", token.Reveal()))
	v.get(beliefsPath).must(http.StatusOK).one("h2").says("Beliefs are a person’s")
}
