package directory

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

const idp = "https://idp.example.com"

// signing is a directory in which people sign in at a provider.
func signing(t *testing.T) *Directory {
	t.Helper()
	return signingOn(t, openStore(t))
}

func signingOn(t *testing.T, db *store.DB) *Directory {
	t.Helper()
	l := &live.Live{
		DB: db, Log: slog.New(slog.DiscardHandler), Forget: func(store.Change) {},
		Check:   func(tenure.Principal, tenure.Action) error { return nil },
		Recheck: func(_ context.Context, p tenure.Principal) (tenure.Principal, error) { return p, nil },
		Options: live.Options{Now: time.Now, MaxStaleness: math.MaxInt64, StreamStaleness: math.MaxInt64},
	}
	l.Metrics = live.NewMetrics(prometheus.NewRegistry(), l)
	err := db.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertOIDC(ctx, tenure.OIDCConnection{ID: "c", Tenant: tenure.DefaultTenant, Name: "acme", Issuer: idp, CreatedAt: tx.Now()}, store.SealedKey{Sealed: []byte{0}, DataKey: []byte{0}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return &Directory{DB: db, Live: l, Uses: &store.LastUse{DB: db}, SessionIdle: time.Hour, SessionLife: time.Hour}
}

func (d *Directory) signIn(t *testing.T, name, subject, sid string) (tenure.Principal, tenure.Session, tenure.Secret) {
	t.Helper()
	p, err := d.JoinSubject(t.Context(), tenure.DefaultTenant, name, tenure.SignIn{Via: "oidc", Issuer: idp, Subject: subject})
	if err != nil {
		t.Fatalf("%s as %s: %v", subject, name, err)
	}
	s, secret, err := d.OpenSession(t.Context(), p, tenure.SignIn{Via: "oidc", Issuer: idp, Subject: subject, SID: sid, Connection: "c"})
	if err != nil {
		t.Fatal(err)
	}
	return p, s, secret
}

func (d *Directory) refuses(t *testing.T, name, issuer, subject, code string) {
	t.Helper()
	_, err := d.JoinSubject(t.Context(), tenure.DefaultTenant, name, tenure.SignIn{Via: "oidc", Issuer: issuer, Subject: subject})
	if e := tenure.AsError(err); err == nil || e.Kind != tenure.Forbidden || e.Code != code {
		t.Errorf("%s of %s as %s: %v, want %s", subject, issuer, name, err, code)
	}
}

func TestASubjectIsOnePerson(t *testing.T) {
	d := signing(t)
	alice, _, _ := d.signIn(t, "Alice@example.com", "a", "s")
	if again, _, _ := d.signIn(t, "renamed@example.com", "a", "s"); again.User() != alice.User() {
		t.Error("who is renamed at the provider is somebody else here")
	}
	d.refuses(t, "alice@EXAMPLE.com", idp, "b", "subject_mismatch")
	d.refuses(t, "alice@example.com", idp+"/", "a", "subject_mismatch") // another provider's subject of that name
	if _, err := d.Unlink(t.Context(), operator(t), alice.User()); err != nil {
		t.Fatal(err)
	}
	if b, _, _ := d.signIn(t, "alice@example.com", "b", "s"); b.User() != alice.User() {
		t.Error("after the account was unlinked, its name is not taken for it")
	}
	if a, _, _ := d.signIn(t, "renamed@example.com", "a", "s"); a.User() == alice.User() {
		t.Error("who was unlinked is still the person")
	}
	if _, err := d.Unlink(t.Context(), operator(t), "nobody"); !tenure.IsKind(err, tenure.NotFound) {
		t.Errorf("unlinking nobody: %v", err)
	}
}

func TestWhoIsGoneDoesNotWalkBackIn(t *testing.T) {
	d := signing(t)
	alice, _, _ := d.signIn(t, "alice@example.com", "a", "s")
	if _, _, err := d.Deactivate(t.Context(), operator(t), alice.User(), ""); err != nil {
		t.Fatal(err)
	}
	d.refuses(t, "alice@example.com", idp, "a", "account_deactivated")
	d.refuses(t, "other@example.com", idp, "a", "account_deactivated")
	d.refuses(t, "alice@example.com", idp, "b", "account_deactivated")
	if err := d.Remove(t.Context(), operator(t), alice.User()); err != nil {
		t.Fatal(err)
	}
	d.refuses(t, "alice@example.com", idp, "a", "account_deactivated")
	d.refuses(t, "other@example.com", idp, "a", "account_deactivated")
	d.refuses(t, "alice@example.com", idp, "b", "account_deactivated")
	u, err := d.Provision(t.Context(), operator(t), tenure.User{UserName: "alice@example.com", Active: true, Source: tenure.SourceSCIM})
	if err != nil {
		t.Fatal(err)
	}
	if p, _, _ := d.signIn(t, "alice@example.com", "a", "s"); p.User() != u.ID {
		t.Error("who was provisioned anew is not let in")
	}
	d.RequireSCIM = true
	d.refuses(t, "new@example.com", idp, "n", "not_provisioned")
	for _, bad := range []string{"", " x", "a\nb"} {
		if _, err := d.JoinSubject(t.Context(), tenure.DefaultTenant, bad, tenure.SignIn{Via: "oidc", Issuer: idp, Subject: "z"}); !tenure.IsKind(err, tenure.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A subject that was a deleted person's is nobody else's, and an administrator's
// account is not had by its name.
func TestWhomASubjectIsTakenFor(t *testing.T) {
	d := signing(t)
	add := func(name string, role tenure.Role, source tenure.Source) tenure.User {
		t.Helper()
		u, err := d.Provision(t.Context(), operator(t), tenure.User{UserName: name, Active: true, Source: source})
		if err != nil {
			t.Fatal(err)
		}
		err = d.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.SetRole(ctx, u.Tenant, u.ID, role) })
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	gone, _, _ := d.signIn(t, "gone@example.com", "g", "s")
	if err := d.Remove(t.Context(), operator(t), gone.User()); err != nil {
		t.Fatal(err)
	}
	add("bob@example.com", tenure.Member, tenure.SourceSCIM)
	d.refuses(t, "bob@example.com", idp, "g", "account_deactivated")

	d.Admins = map[string]bool{"named@example.com": true, "new@example.com": true}
	boss := add("boss@example.com", tenure.Admin, tenure.SourceProxy)
	add("named@example.com", tenure.Member, tenure.SourceProxy)
	add("known@example.com", tenure.SuperAdmin, tenure.SourceSCIM)
	d.refuses(t, "boss@example.com", idp, "b", "link_refused")
	d.refuses(t, "named@example.com", idp, "n", "link_refused")
	d.signIn(t, "known@example.com", "k", "s")
	if p, _, _ := d.signIn(t, "new@example.com", "new", "s"); p.Standing().Role != tenure.SuperAdmin {
		t.Error("whom the operator named is no administrator in a fresh installation")
	}
	if _, err := d.Unlink(t.Context(), operator(t), boss.ID); err != nil {
		t.Fatal(err)
	}
	if p, _, _ := d.signIn(t, "boss@example.com", "b", "s"); p.User() != boss.ID {
		t.Error("whom an administrator let in is somebody else")
	}
	d.refuses(t, "boss@example.com", idp, "other", "subject_mismatch")
	// Two sign-ins at once: the slower one finds what the other has done.
	u, err := d.link(t.Context(), tenure.DefaultTenant, "boss@example.com", tenure.SignIn{Issuer: idp, Subject: "b"})
	if err != nil || u.ID != boss.ID {
		t.Errorf("the same again: %v, %v", u.ID, err)
	}
	events, err := d.DB.AuditTail(t.Context(), tenure.DefaultTenant, "user.link_refused", 10)
	if err != nil || len(events) != 3 {
		t.Errorf("%d refusals are told, %v", len(events), err)
	}
}

// What the database could not tell is no word about the person.
func TestAFaultIsNoDeactivation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tenure.db")
	db, err := store.OpenSQLite(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	d := signingOn(t, db)
	p, _, _ := d.signIn(t, "alice@example.com", "1", "")
	if out, err := exec.Command("sqlite3", "-bail", "-cmd", ".timeout 5000", path, `ALTER TABLE users RENAME TO gone`).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, _, err = d.OpenSession(t.Context(), p, tenure.SignIn{Via: "proxy"})
	if err == nil || errors.Is(err, tenure.ErrDeactivated) {
		t.Errorf("%v", err)
	}
}

// What a proxy has signed is as fresh as it says.
func TestASignedAssertionIsAsOldAsItSays(t *testing.T) {
	d := signing(t)
	old := time.Now().Add(-10 * time.Hour).Truncate(time.Second)
	p, err := d.Join(t.Context(), tenure.DefaultTenant, "alice@example.com", tenure.SignIn{AuthAt: old})
	if err != nil || !p.Standing().AuthAt.Equal(old) {
		t.Fatalf("%v, %v", p.Standing().AuthAt, err)
	}
	_, secret, err := d.OpenSession(t.Context(), p, tenure.SignIn{Via: "proxy", AuthAt: p.Standing().AuthAt})
	if err != nil {
		t.Fatal(err)
	}
	who := Asserted{Tenant: tenure.DefaultTenant, Name: "alice@example.com"}
	for _, c := range []struct{ at, want time.Time }{{old, old}, {old.Add(-time.Hour), old}, {old.Add(time.Hour), old.Add(time.Hour)}} {
		who.How.AuthAt = c.at
		if p, err := d.ResolveSession(t.Context(), secret.Reveal(), who); err != nil || !p.Standing().AuthAt.Equal(c.want) {
			t.Errorf("asserted at %v: %v, %v", c.at, p.Standing().AuthAt, err)
		}
	}
	who.How.AuthAt = time.Time{}
	if p, err := d.ResolveSession(t.Context(), secret.Reveal(), who); err != nil || !p.Standing().AuthAt.Equal(p.At()) {
		t.Errorf("a bare name: %v, %v", p.Standing().AuthAt, err)
	}
}

func TestALogoutEndsWhatItNames(t *testing.T) {
	d := signing(t)
	_, _, one := d.signIn(t, "alice@example.com", "a", "s1")
	_, _, two := d.signIn(t, "alice@example.com", "a", "s2")
	_, _, bob := d.signIn(t, "bob@example.com", "b", "s3")
	lives := func(want ...bool) {
		t.Helper()
		for i, secret := range []tenure.Secret{one, two, bob} {
			if _, err := d.ResolveSession(t.Context(), secret.Reveal(), Asserted{}); (err == nil) != want[i] {
				t.Errorf("session %d: %v", i, err)
			}
		}
	}
	c := tenure.OIDCConnection{ID: "c", Tenant: tenure.DefaultTenant, Name: "acme", Issuer: idp}
	out := func(l Logout, sessions int) {
		t.Helper()
		l.Until = time.Now().Add(time.Hour)
		if e, err := d.SignedOut(t.Context(), c, l); err != nil || e.Sessions != sessions {
			t.Errorf("%+v: %d sessions ended, %v", l, e.Sessions, err)
		}
	}
	lives(true, true, true)
	out(Logout{Subject: "b", SID: "s1", ID: "1"}, 0) // both must fit
	out(Logout{Subject: "x", ID: "2"}, 0)
	elsewhere := c
	elsewhere.Issuer = idp + "/"
	if e, err := d.SignedOut(t.Context(), elsewhere, Logout{Subject: "a", ID: "1", Until: time.Now().Add(time.Hour)}); err != nil || e.Sessions != 0 {
		t.Errorf("another issuer ended %d, %v", e.Sessions, err)
	}
	other := c
	other.Tenant = "other"
	if e, err := d.SignedOut(t.Context(), other, Logout{Subject: "a", ID: "9", Until: time.Now().Add(time.Hour)}); err != nil || e.Sessions != 0 {
		t.Errorf("another tenant's connection ended %d, %v", e.Sessions, err)
	}
	lives(true, true, true)
	out(Logout{Subject: "a", SID: "s1", ID: "3"}, 1)
	lives(false, true, true)
	if _, err := d.SignedOut(t.Context(), c, Logout{Subject: "a", ID: "3", Until: time.Now().Add(time.Hour)}); !tenure.IsKind(err, tenure.Invalid) {
		t.Errorf("the same token again: %v", err)
	}
	lives(false, true, true)
	out(Logout{Subject: "a", ID: "4"}, 1)
	lives(false, false, true)
}

// A provider that takes its time opens no session by a way that has ended meanwhile.
func TestAWayThatEndsDuringASignIn(t *testing.T) {
	d := signing(t)
	p, _, _ := d.signIn(t, "alice@example.com", "a", "s1")
	try := func(subject string, by tenure.ConnectionID) error {
		_, _, err := d.OpenSession(t.Context(), p, tenure.SignIn{Via: "oidc", Issuer: idp, Subject: subject, Connection: by})
		return err
	}
	if err := try("a", tenure.BuiltinConnection); err != nil {
		t.Errorf("by the settings' connection: %v", err)
	}
	for what, err := range map[string]error{"another subject": try("b", "c"), "another connection": try("a", "gone")} {
		if e := tenure.AsError(err); err == nil || e.Code != "signin_refused" {
			t.Errorf("%s: %v", what, err)
		}
	}
	in := func(f func(ctx context.Context, tx *store.Tx) error) {
		t.Helper()
		if err := d.DB.Tx(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	in(func(ctx context.Context, tx *store.Tx) error { return tx.Unlink(ctx, p.Tenant(), p.User()) })
	if e := tenure.AsError(try("a", "c")); e.Code != "signin_refused" {
		t.Errorf("unlinked meanwhile: %v", e)
	}
	d.signIn(t, "alice@example.com", "a", "s2")
	in(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteOIDC(ctx, p.Tenant(), "c") })
	if e := tenure.AsError(try("a", "c")); e.Code != "signin_refused" {
		t.Errorf("deleted meanwhile: %v", e)
	}
}

// A provider that names its session only when it ends ends it all the same.
func TestALogoutOfASessionWithoutAName(t *testing.T) {
	d := signing(t)
	_, _, unnamed := d.signIn(t, "alice@example.com", "a", "")
	_, _, other := d.signIn(t, "alice@example.com", "a", "s2")
	_, _, bob := d.signIn(t, "bob@example.com", "b", "")
	c := tenure.OIDCConnection{ID: "c", Tenant: tenure.DefaultTenant, Name: "acme", Issuer: idp}
	out := func(l Logout) int {
		t.Helper()
		l.Until = time.Now().Add(time.Hour)
		e, err := d.SignedOut(t.Context(), c, l)
		if err != nil {
			t.Fatal(err)
		}
		return e.Sessions
	}
	if n := out(Logout{SID: "s1", ID: "1"}); n != 0 {
		t.Errorf("a session that nobody knows ended %d", n)
	}
	if n := out(Logout{Subject: "a", SID: "s1", ID: "2"}); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	for secret, want := range map[*tenure.Secret]bool{&unnamed: false, &other: true, &bob: true} {
		if _, err := d.ResolveSession(t.Context(), secret.Reveal(), Asserted{}); (err == nil) != want {
			t.Errorf("lives %v: %v", want, err)
		}
	}
}

// What a proxy has signed of how somebody signed in shows a second factor, or does not; a
// session has what was shown when it was opened, until more is.
func TestSecondFactorOfAssertions(t *testing.T) {
	d := signing(t)
	set := func(value string) {
		t.Helper()
		if err := d.DB.Tx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.SetPolicy(ctx, tenure.DefaultTenant, "mfa", value, "me")
		}); err != nil {
			t.Fatal(err)
		}
	}
	who := Asserted{Tenant: tenure.DefaultTenant, Name: "alice@example.com", How: tenure.SignIn{AMR: "pwd", AuthAt: time.Now()}}
	join := func() (tenure.Principal, error) { return d.Join(t.Context(), who.Tenant, who.Name, who.How) }
	p, err := join()
	if err != nil {
		t.Fatal(err)
	}
	_, weak, err := d.OpenSession(t.Context(), p, tenure.SignIn{Via: "proxy", AMR: "pwd"})
	if err != nil {
		t.Fatal(err)
	}
	missing := func(asserted Asserted) bool {
		t.Helper()
		p, err := d.ResolveSession(t.Context(), weak.Reveal(), asserted)
		if err != nil {
			t.Fatal(err)
		}
		return p.Standing().Factor.Missing()
	}
	set("admin")
	better, other := who, who
	better.How.AMR, other.How.AMR, other.Name = "pwd mfa", "mfa", "bob@example.com"
	if !missing(Asserted{}) || !missing(who) || !missing(other) || missing(better) {
		t.Error("a session administers by something else than its own person's second factor")
	}
	set("all")
	if _, err := join(); tenure.AsError(err).Code != "mfa_required" {
		t.Errorf("a password is asserted: %v", err)
	}
	d.Admins = map[string]bool{who.Name: true}
	_, err = join()
	if u, uerr := d.DB.User(t.Context(), who.Tenant, p.User()); tenure.AsError(err).Code != "mfa_required" || uerr != nil || u.Role != tenure.Member {
		t.Errorf("a password is asserted of somebody who is to administer: %v, and they are %s (%v)", err, u.Role, uerr)
	}
	d.Admins = nil
	for _, asserted := range []Asserted{{}, better} { // with the better one a new session opens
		if _, err := d.ResolveSession(t.Context(), weak.Reveal(), asserted); tenure.AsError(err).Code != "mfa_required" {
			t.Errorf("a session from before: %v", err)
		}
	}
	// Between the look and the session the policy may become stricter.
	if _, _, err := d.OpenSession(t.Context(), p, tenure.SignIn{Via: "proxy", AMR: "pwd"}); tenure.AsError(err).Code != "mfa_required" {
		t.Errorf("a session opens without: %v", err)
	}
	who = better
	if p, err = join(); err != nil || p.Standing().Factor.Missing() || p.Standing().AMR != "pwd mfa" {
		t.Errorf("a second factor is asserted: %+v, %v", p.Standing(), err)
	}
	if again, err := d.RecheckPage(t.Context(), p); err != nil || again.Standing().Factor.Missing() {
		t.Errorf("and while a page is open: %v", err)
	}
}
