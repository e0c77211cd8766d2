package belief

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
	"github.com/tenure-gateway/tenure/internal/store/storetest"
)

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(*testing.T, *Beliefs)) {
	everywhere := tenure.Everywhere(t.Context())
	act := func(db *store.DB) *Beliefs {
		t.Cleanup(func() { _ = db.Close() })
		l := &live.Live{
			DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
			Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
			Options: live.Options{Now: time.Now, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
		}
		l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
		return New(db, l, &Ring{
			DB: db,
			// What seals is internal/vault's, which has tests of its own.
			Sealer: func(context.Context) (store.Sealer, error) {
				return func(s tenure.Secret, to store.Bound) (store.SealedKey, error) {
					return store.SealedKey{Sealed: []byte(s.Reveal()), DataKey: []byte(to.Credential), KEK: "k", Form: 1}, nil
				}, nil
			},
			Open: func(_ context.Context, k store.SealedKey, _ store.Bound) (tenure.Secret, error) {
				return tenure.NewSecret(string(k.Sealed)), nil
			},
		}, slog.New(slog.DiscardHandler))
	}
	t.Run("SQLite", func(t *testing.T) {
		db, err := store.OpenSQLite(everywhere, filepath.Join(t.TempDir(), "tenure.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, act(db))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		url, _ := storetest.Postgres(t)
		db, err := store.OpenPostgres(everywhere, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		test(t, act(db))
	})
}

// person makes somebody of the workspace "default", and gives them signed in, and by a
// token there.
func person(t *testing.T, s *Beliefs, name string) (session, token tenure.Principal) {
	t.Helper()
	now := time.Now()
	u := tenure.User{
		ID: tenure.UserID(tenure.NewID(now)), Tenant: tenure.DefaultTenant, UserName: name + "@example.com", Active: true,
		Role: tenure.Member, Source: tenure.SourceProxy, CreatedAt: now, UpdatedAt: now,
	}
	tok := tenure.Token{ID: tenure.TokenID(tenure.NewID(now)), Tenant: u.Tenant, Workspace: tenure.DefaultWorkspace, User: u.ID, Name: "laptop", Kind: tenure.KindPAT, Scopes: tenure.DataPlane, CreatedAt: now}
	err := s.DB.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertUser(ctx, u); err != nil {
			return err
		}
		if err := tx.SetMembership(ctx, u.Tenant, tenure.DefaultWorkspace, u.ID, tenure.Member); err != nil {
			return err
		}
		return tx.InsertToken(ctx, tok, tenure.DigestOf(string(tok.ID)))
	})
	if err != nil {
		t.Fatal(err)
	}
	admit := func(s tenure.Standing) tenure.Principal {
		s.Tenant, s.TenantActive, s.User, s.UserName, s.UserActive, s.Role = u.Tenant, true, u.ID, u.UserName, true, u.Role
		p, err := s.Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	session = admit(tenure.Standing{Kind: tenure.AssertedIdentity, Limits: tenure.SessionLimits{Reauth: time.Hour, AdminIdle: time.Hour}})
	return session, admit(tenure.Standing{
		Kind: tenure.PAT, Token: tok.ID, Workspace: tok.Workspace, WorkspaceRole: tenure.Member, Scopes: tenure.DataPlane, Digest: tenure.DigestOf(string(tok.ID)),
		Extract: tenure.Extracting{When: tenure.ExtractAlways, Model: "m"},
	})
}

func draft(scope tenure.BeliefScope, name, content string) Draft {
	return Draft{Scope: scope, Type: tenure.BeliefDecision, BeliefText: tenure.BeliefText{Name: name, Content: content}}
}

func record(t *testing.T, s *Beliefs, by tenure.Principal, d Draft) Kept {
	t.Helper()
	k, err := s.Record(tenure.Everywhere(t.Context()), by, d)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What says the same merges; what the person says otherwise takes its place, and the line
// is kept.
func TestOneName(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		first := record(t, s, token, draft("project:billing", "Database", "PostgreSQL"))
		if first.How != Created || first.Version != 1 || first.Workspace != tenure.DefaultWorkspace || first.From.Token != token.Token() {
			t.Fatalf("%+v", first)
		}
		d := draft("project:billing", "  ｄataBASE ", "postgresql")
		d.Aliases = []string{"DB", "database", "db"}
		if again := record(t, s, token, d); again.How != Merged || again.ID != first.ID || again.Version != 2 || !slices.Equal(again.Aliases, []string{"DB"}) || again.Name != "Database" {
			t.Errorf("%+v", again)
		}
		for _, other := range []Draft{draft("project:other", "Database", "MySQL"), draft("domain:billing", "Database", "MySQL"), {Scope: "project:billing", Type: tenure.BeliefEntity, BeliefText: tenure.BeliefText{Name: "Database", Content: "MySQL"}}} {
			if k := record(t, s, token, other); k.How != Created {
				t.Errorf("%+v", k)
			}
		}
		second := record(t, s, token, draft("project:billing", "database", "SQLite"))
		if second.How != Superseding || second.Before != first.ID || second.Line != first.ID {
			t.Errorf("%+v", second)
		}
		line, err := s.History(ctx, session, second.ID)
		if err != nil || len(line) != 2 || line[0].Content != "SQLite" || line[1].Content != "PostgreSQL" || line[1].Status != tenure.BeliefSuperseded || line[1].Superseded != second.ID {
			t.Errorf("%+v, %v", line, err)
		}
		edited, err := s.Patch(ctx, session, second.ID, Change{Version: 1, Content: new("SQLite, for now")})
		if err != nil || edited.How != Superseding || edited.Line != first.ID || edited.ID == second.ID {
			t.Errorf("%+v, %v", edited, err)
		}
		if _, err := s.Patch(ctx, session, edited.ID, Change{Version: 7, Why: new("x")}); !tenure.IsKind(err, tenure.Precondition) {
			t.Error(err)
		}
		if _, err := s.Patch(ctx, session, second.ID, Change{Why: new("x")}); !tenure.IsKind(err, tenure.Conflict) {
			t.Error(err)
		}
		page, err := s.List(ctx, token, Look{Scope: "project:billing", Text: "for NOW", Limit: 10})
		if err != nil || len(page.Beliefs) != 1 || page.Beliefs[0].ID != edited.ID {
			t.Errorf("%+v, %v", page, err)
		}
		if err := s.Delete(ctx, session, edited.ID); err != nil {
			t.Error(err)
		}
		if all, err := s.List(ctx, session, Look{History: true, Limit: 10}); err != nil || len(all.Beliefs) != 3 {
			t.Errorf("%d left, %v", len(all.Beliefs), err)
		}
	})
}

// What somebody else's beliefs are is nobody's: not to read, change, delete or follow, and a
// token sees those of its own workspace alone.
func TestOwn(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		ada, adaToken := person(t, s, "ada")
		eve, _ := person(t, s, "eve")
		b := record(t, s, adaToken, draft(tenure.UniversalScope, "Editor", "vi"))
		record(t, s, eve, Draft{Workspace: tenure.DefaultWorkspace, Scope: tenure.UniversalScope, Type: tenure.BeliefPreference, BeliefText: tenure.BeliefText{Name: "Editor", Content: "emacs"}})
		other := adaToken.Standing()
		elsewhere := *other
		elsewhere.Workspace = "another"
		p, err := elsewhere.Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for name, who := range map[string]tenure.Principal{"somebody else": eve, "a token of another workspace": p} {
			if _, err := s.History(ctx, who, b.ID); !tenure.IsKind(err, tenure.NotFound) {
				t.Errorf("%s reads it: %v", name, err)
			}
			if _, err := s.Pushed(ctx, who, b.ID); !tenure.IsKind(err, tenure.NotFound) {
				t.Errorf("%s is pushed it: %v", name, err)
			}
			if _, err := s.Patch(ctx, who, b.ID, Change{Why: new("x")}); !tenure.IsKind(err, tenure.NotFound) {
				t.Errorf("%s changes it: %v", name, err)
			}
			if err := s.Delete(ctx, who, b.ID); !tenure.IsKind(err, tenure.NotFound) {
				t.Errorf("%s deletes it: %v", name, err)
			}
			page, err := s.List(ctx, who, Look{History: true, Limit: 10})
			if err != nil || slices.ContainsFunc(page.Beliefs, func(x tenure.Belief) bool { return x.ID == b.ID }) {
				t.Errorf("%s lists it: %v", name, err)
			}
		}
		if n, err := s.Erase(ctx, eve); err != nil || n != 1 {
			t.Error(n, err)
		}
		if page, err := s.List(ctx, ada, Look{Limit: 10}); err != nil || len(page.Beliefs) != 1 {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

// Nothing of what is said is in the database in the clear, and what is moved to another
// row, person or scope does not open.
func TestSealed(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		d := draft("project:a", "Zebrafish", "Quokka")
		d.Why, d.Aliases, d.Excerpt = "Axolotl", []string{"Narwhal"}, "Platypus"
		k := record(t, s, token, d)
		if _, err := s.Extract(ctx, token, Turn{Request: "r1", Scope: "project:a", Messages: []Message{{"user", "Capybara"}}}); err != nil {
			t.Fatal(err)
		}
		row, err := s.DB.Belief(ctx, k.Tenant, k.User, k.ID)
		if err != nil {
			t.Fatal(err)
		}
		job, err := s.DB.BeliefJob(ctx, k.Tenant, k.User, "r1")
		if err != nil {
			t.Fatal(err)
		}
		stored, _ := json.Marshal([]any{row, job, string(row.Sealed), string(job.Sealed)})
		for _, word := range []string{"Zebrafish", "Quokka", "Axolotl", "Narwhal", "Platypus", "Capybara"} {
			if bytes.Contains(bytes.ToLower(stored), []byte(strings.ToLower(word))) {
				t.Errorf("%s is in the clear", word)
			}
		}
		key, err := s.Ring.of(ctx, k.Tenant, k.User)
		if err != nil || key.open(&row) != nil || row.Excerpt != "Platypus" {
			t.Fatal(row, err)
		}
		for name, move := range map[string]func(*store.BeliefRow){
			"scope": func(b *store.BeliefRow) { b.Scope = "project:b" }, "user": func(b *store.BeliefRow) { b.User = "eve" },
			"id": func(b *store.BeliefRow) { b.ID = "x" }, "workspace": func(b *store.BeliefRow) { b.Workspace = "x" }, "type": func(b *store.BeliefRow) { b.Type = tenure.BeliefEntity },
		} {
			moved := row
			if move(&moved); key.open(&moved) == nil {
				t.Errorf("it opens with another %s", name)
			}
		}
		if _, err := s.Erase(ctx, session); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Ring.of(ctx, k.Tenant, k.User); !tenure.IsKind(err, tenure.NotFound) {
			t.Error("a key that was destroyed is still open:", err)
		}
		if _, err := s.DB.BeliefJob(ctx, k.Tenant, k.User, "r1"); !tenure.IsKind(err, tenure.NotFound) {
			t.Error("a turn outlives the key:", err)
		}
	})
}

// A wall is never crossed, whatever is recorded, said otherwise, changed and deleted: a list
// of a scope has what was recorded there, by that person, in that workspace.
func TestWalls(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		var tokens []tenure.Principal
		for i := range 3 {
			_, token := person(t, s, fmt.Sprint("person", i))
			tokens = append(tokens, token)
		}
		scopes := []tenure.BeliefScope{tenure.UniversalScope, "domain:a", "project:a", "project:A", "project:a/b"}
		rapid.Check(t, func(t *rapid.T) {
			for _, p := range tokens {
				if _, err := s.DB.CountBeliefs(ctx, p.Tenant(), p.User()); err != nil {
					t.Fatal(err)
				}
			}
			type place struct {
				who   int
				scope tenure.BeliefScope
			}
			run := tenure.NewID(time.Now()) // tells this run's from those before
			want := map[place]map[string]string{}
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				at := place{rapid.IntRange(0, len(tokens)-1).Draw(t, "who"), rapid.SampledFrom(scopes).Draw(t, "scope")}
				name := run + rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name")
				content := fmt.Sprint(at.who, at.scope, rapid.IntRange(0, 3).Draw(t, "content"))
				if _, err := s.Record(ctx, tokens[at.who], draft(at.scope, name, content)); err != nil {
					t.Fatal(err)
				}
				if want[at] == nil {
					want[at] = map[string]string{}
				}
				want[at][name] = content
			}
			for who, p := range tokens {
				for _, scope := range scopes {
					page, err := s.List(ctx, p, Look{Scope: scope, Text: run, Limit: MaxPage})
					if err != nil {
						t.Fatal(err)
					}
					got := map[string]string{}
					for _, b := range page.Beliefs {
						if b.User != p.User() || b.Scope != scope {
							t.Fatalf("%d in %s: %+v", who, scope, b)
						}
						got[b.Name] = b.Content
					}
					if w := want[place{who, scope}]; len(got) != len(w) || fmt.Sprint(got) != fmt.Sprint(w) && len(w) > 0 {
						t.Fatalf("%d in %s: %v, want %v", who, scope, got, w)
					}
				}
			}
		})
	})
}

// What contradicts is flagged on both sides, as long as both hold: whoever keeps one, says
// another, renames or deletes one ends it.
func TestContradictions(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		of := store.BeliefFilter{Tenant: token.Tenant(), User: token.User(), Workspace: token.Workspace()}
		drawn := func(name, content string) tenure.BeliefID {
			d := draft("project:a", name, content)
			d.Workspace = of.Workspace
			if err := d.check(); err != nil {
				t.Fatal(err)
			}
			kept, err := s.keep(ctx, of, tenure.BeliefSource{}, []said{{d, false}}, func(context.Context, *store.Tx, []Kept) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			return kept[0].ID
		}
		disputed := func() string {
			t.Helper()
			page, err := s.List(ctx, session, Look{Limit: MaxPage})
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, b := range page.Beliefs {
				other := slices.IndexFunc(page.Beliefs, func(o tenure.Belief) bool { return o.ID == b.Contradicts })
				if b.Contradicts != "" && (other < 0 || other == slices.IndexFunc(page.Beliefs, func(o tenure.Belief) bool { return o.ID == b.ID })) {
					t.Fatalf("%q contradicts what does not hold", b.Content)
				}
				if b.Contradicts != "" {
					out = append(out, b.Content)
				}
			}
			slices.Sort(out)
			return strings.Join(out, " ")
		}
		is := func(want string) {
			t.Helper()
			if got := disputed(); got != want {
				t.Errorf("disputed: %q, want %q", got, want)
			}
		}
		drawn("Colour", "red")
		green := drawn("Colour", "green")
		is("green red")
		blue := drawn("Colour", "blue")
		is("blue green red")
		if err := s.Delete(ctx, session, green); err != nil {
			t.Fatal(err)
		}
		is("blue red")
		if _, err := s.Patch(ctx, session, blue, Change{Status: new(tenure.BeliefSuperseded)}); err != nil {
			t.Fatal(err)
		}
		is("")
		drawn("Colour", "green")
		is("green red")
		record(t, s, token, draft("project:a", "Colour", "red")) // said by the user: it holds
		is("")
		hue := drawn("Hue", "yellow")
		if _, err := s.Patch(ctx, session, hue, Change{Name: new("colour")}); err != nil {
			t.Fatal(err)
		}
		is("")
		page, err := s.List(ctx, session, Look{Limit: 10})
		if err != nil || len(page.Beliefs) != 1 || page.Beliefs[0].Content != "yellow" {
			t.Errorf("%+v, %v", page.Beliefs, err)
		}
	})
}

// To delete what holds deletes what it took the place of, all of it; to delete what it took
// the place of leaves it.
func TestDelete(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		left := func() (contents []string) {
			page, err := s.List(ctx, session, Look{History: true, Limit: MaxPage})
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range page.Beliefs {
				contents = append(contents, b.Content)
			}
			return contents
		}
		d := draft("project:a", "Colour", "red")
		red := record(t, s, token, d)
		d.Content = "green"
		green := record(t, s, token, d)
		d.Content = "blue"
		blue := record(t, s, token, d)
		if err := s.Delete(ctx, session, green.ID); err != nil {
			t.Fatal(err)
		}
		line, err := s.History(ctx, session, blue.ID)
		if err != nil || len(line) != 2 || line[0].Supersedes != red.ID || line[1].Superseded != blue.ID {
			t.Errorf("%+v, %v", line, err)
		}
		other := record(t, s, token, draft("project:a", "Hue", "yellow"))
		if _, err := s.Patch(ctx, session, other.ID, Change{Name: new("Colour")}); err != nil { // which takes the place of both
			t.Fatal(err)
		}
		page, err := s.List(ctx, session, Look{Limit: 10})
		if err != nil || len(page.Beliefs) != 1 || len(left()) != 4 {
			t.Fatalf("%+v, %v, %v", page, err, left())
		}
		if err := s.Delete(ctx, session, page.Beliefs[0].ID); err != nil || len(left()) != 0 {
			t.Errorf("%v is left, %v", left(), err)
		}
	})
}

// A person has no more than so many, however they come; to say again what is there adds none.
func TestFull(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		first := record(t, s, token, draft("project:a", "Colour", "red"))
		err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			row, err := tx.Belief(ctx, first.Tenant, first.User, first.ID)
			for i := 0; err == nil && i < MaxBeliefs-1; i++ {
				row.ID, row.NameHash = tenure.BeliefID(fmt.Sprintf("%05d", i)), fmt.Sprint(i)
				err = tx.InsertBelief(ctx, row)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if k := record(t, s, token, draft("project:a", "colour", "Red")); k.How != Merged {
			t.Errorf("%+v", k)
		}
		_, recorded := s.Record(ctx, token, draft("project:a", "Shape", "round"))
		_, patched := s.Patch(ctx, session, first.ID, Change{Content: new("green")})
		if !errors.Is(recorded, errFull) || !errors.Is(patched, errFull) {
			t.Error(recorded, patched)
		}
	})
}

// A row that was given the hash of another place's name by hand crosses no wall.
func TestHashByHand(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		_, token := person(t, s, "ada")
		a := record(t, s, token, draft("project:a", "Colour", "red"))
		err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			k, err := s.Ring.of(ctx, a.Tenant, a.User)
			if err != nil {
				return err
			}
			row, err := tx.Belief(ctx, a.Tenant, a.User, a.ID)
			row.ID, row.NameHash = "moved", k.name(row.Workspace, "project:b", row.Type, "Colour")
			return errors.Join(err, tx.InsertBelief(ctx, row))
		})
		if err != nil {
			t.Fatal(err)
		}
		if k, err := s.Record(ctx, token, draft("project:b", "Colour", "red")); tenure.AsError(err).Code != "belief_tampered" {
			t.Errorf("%+v, %v", k, err)
		}
	})
}

// People write in all scripts, and nothing that hides or turns what is read.
func TestScripts(t *testing.T) {
	for text, good := range map[string]bool{
		"«\u00a0Atlas\u00a0»": true, "می\u200cخواهم": true, "क्\u200dष": true, "👩\u200d💻": true, "東京\u3000都": true, "a\r\nb": true,
		"a\u202eb": false, "a\u2066b": false, "a\u0000b": false, "a\u001b[2J": false, "a\rb": false, "a\ufeffb": false,
	} {
		d := draft("project:a", "n", text)
		if err := d.check(); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// That one key of somebody is destroyed does nothing to the next, which is in use when it is
// told.
func TestANextKeyOutlivesTheNewsOfTheLast(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		_, token := person(t, s, "ada")
		k, err := s.Ring.make(ctx, token.Tenant(), token.User())
		if err != nil {
			t.Fatal(err)
		}
		before := k.name("w", "project:a", tenure.BeliefDecision, "Colour")
		s.Changed("belief", string(token.User())+"/")
		if after := k.name("w", "project:a", tenure.BeliefDecision, "Colour"); after != before {
			t.Errorf("the hash of a name was %s, and is %s", before, after)
		}
	})
}

// Every way to read is audited, also of whoever breaks off.
func TestReadingIsAudited(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		b := record(t, s, token, draft("project:a", "Colour", "red"))
		brokenOff := errors.New("the client left")
		for _, c := range []struct {
			action string
			read   func() error
		}{
			{"beliefs.listed", func() error { _, err := s.List(ctx, session, Look{Limit: 1}); return err }},
			{"beliefs.listed", func() error { _, err := s.One(ctx, session, b.ID); return err }},
			{"beliefs.listed", func() error { _, err := s.History(ctx, session, b.ID); return err }},
			{"beliefs.exported", func() error { return s.Export(ctx, session, func(tenure.Belief) error { return brokenOff }) }},
		} {
			before, err := s.DB.AuditAfter(ctx, 0, []string{c.action}, 100)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.read(); err != nil && !errors.Is(err, brokenOff) {
				t.Fatal(err)
			}
			after, err := s.DB.AuditAfter(ctx, 0, []string{c.action}, 100)
			if err != nil || len(after) != len(before)+1 || after[len(after)-1].Detail["count"] != "1" {
				t.Errorf("%s: %d events, then %d, %v", c.action, len(before), len(after), err)
			}
		}
	})
}

// Many at once under one name leave one that holds, and a line that goes back to the first.
func TestAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		ctx := tenure.Everywhere(t.Context())
		session, token := person(t, s, "ada")
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				if _, err := s.Record(ctx, token, draft("project:a", "Name", fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		page, err := s.List(ctx, session, Look{Limit: 20})
		if err != nil || len(page.Beliefs) != 1 {
			t.Fatalf("%d hold, %v", len(page.Beliefs), err)
		}
		if line, err := s.History(ctx, session, page.Beliefs[0].ID); err != nil || len(line) != 12 {
			t.Errorf("a line of %d, %v", len(line), err)
		}
	})
}

// What is no belief is refused, and the field is named.
func TestNoBelief(t *testing.T) {
	onBoth(t, func(t *testing.T, s *Beliefs) {
		_, token := person(t, s, "ada")
		for field, wrong := range map[string]func(*Draft){
			"scope":      func(d *Draft) { d.Scope = "user:eve" },
			"type":       func(d *Draft) { d.Type = "fact" },
			"status":     func(d *Draft) { d.Status = tenure.BeliefSuperseded },
			"confidence": func(d *Draft) { d.Confidence = new(math.NaN()) },
			"name":       func(d *Draft) { d.Name = " \u3000 " },
			"content":    func(d *Draft) { d.Content = strings.Repeat("x", tenure.MaxBeliefContent+1) },
			"why":        func(d *Draft) { d.Why = "\x1b[2J" },
			"aliases":    func(d *Draft) { d.Aliases = make([]string, tenure.MaxBeliefAliases+1) },
			"workspace":  func(d *Draft) { d.Workspace = "another" },
		} {
			d := draft("project:a", "n", "c")
			wrong(&d)
			if _, err := s.Record(tenure.Everywhere(t.Context()), token, d); !tenure.IsKind(err, tenure.Invalid) || tenure.AsError(err).Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}
