package dash

import (
	"net/http"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
)

func TestAPageThatListensIsNoStream(t *testing.T) {
	h := open(t, false)
	h.live.Recheck = h.Directory.RecheckPage
	admin := h.as(grace)
	bob := h.signIn("bob@example.com", firefox)
	secret := bob.generate("Laptop")
	path := h.their("bob@example.com")
	bob.listen()
	bob.listen()
	p := admin.get(path).must(http.StatusOK)
	p.none("#streams")
	p.one("#sessions").says("Sessions (1)")
	p.all(".acts a")[0].says("Deactivate and end 1 token, 1 session")

	h.stream(secret, "01REQUEST", "gpt-4o")
	p = admin.get(path).must(http.StatusOK)
	p.one("#streams").says("Open streams (1)")
	p.one("section[aria-labelledby=streams] tbody tr").says("Laptopdefault1")
	p.all(".acts a")[0].says("Deactivate and end 1 token, 1 session, 1 stream")
	done := admin.post(path + "/deactivate").must(http.StatusOK)
	done.one(".notice").says("1 token, 1 session and 1 stream ended in")
}

func TestARoleIsAskedFor(t *testing.T) {
	h := open(t, false)
	admin := h.signIn(grace, firefox)
	h.signIn("bob@example.com", firefox)
	h.signIn("bob@example.com", firefox)
	path := h.their("bob@example.com")
	p := admin.get(path).must(http.StatusOK)
	if ask := p.one("form[action=" + path + "/role]"); ask.attrs["method"] != "get" {
		t.Errorf("the role is given by %s, unasked", ask.attrs["method"])
	}
	ask := admin.get(path + "/role?role=super_admin").must(http.StatusOK)
	ask.one("h1").says("Make bob@example.com super admin?")
	ask.one(".ends").says("may do everything here")
	ask.one(".ends").says("The session on Firefox on Linux, from 192.0.2.7")
	ask.one("button.danger").says("Change role and end 2 sessions")
	if v := ask.one("main form input[name=role]").attrs["value"]; v != "super_admin" {
		t.Errorf("the form sends %q", v)
	}
	if len(admin.get(path).all("section[aria-labelledby=sessions] tbody tr")) != 2 {
		t.Error("asking has ended something")
	}
	admin.post(path+"/role", "role", "super_admin").must(http.StatusOK).one(".notice").
		says("bob@example.com is super admin in the tenant, from the next request on: 2 sessions ended in")
	admin.get(path + "/role?role=super_admin").must(http.StatusOK).none("main form")
	admin.get(path + "/role?role=admin").must(http.StatusOK).one(".ends").says("No browser is signed in as them: nothing ends.")
	named := admin.get(h.their(grace) + "/role?role=member").must(http.StatusOK)
	named.none("main form")
	named.one("main").says("TENURE_ADMINS names")

	// A sign-in that is too old is asked for before anything is chosen or typed.
	h.now = h.now.Add(6 * time.Minute)
	for _, form := range []string{path + "/role?role=member", path + "/workspaces/add", "/admin/policies/edit"} {
		old := admin.get(form).must(http.StatusForbidden)
		old.one("h1").says("Sign in again to go on")
		if to := old.one("input[name=to]").attrs["value"]; to != form {
			t.Errorf("%s: one would come back to %q", form, to)
		}
	}
}

func TestTheLastSuperAdminIsToldBefore(t *testing.T) {
	h := open(t, false)
	admin := h.as(grace)
	admin.get("/settings").must(http.StatusOK)
	path := h.their(grace)
	p := admin.get(path).must(http.StatusOK)
	p.one("section[aria-labelledby=facts]").says("is the last active super admin")
	p.none("a[href=" + path + "/deactivate]")
	ask := admin.get(path + "/deactivate").must(http.StatusOK)
	ask.none("main form")
	ask.one("main").says("is the last active super admin, and nobody could administer this tenant any more")
	admin.post(path + "/deactivate").must(http.StatusConflict)

	h.become("second@example.com", tenure.SuperAdmin)
	admin.get(path).must(http.StatusOK).one("a[href=" + path + "/deactivate]")
	admin.get(path + "/deactivate").must(http.StatusOK).one("main form")
}

func TestAllSessionsOfAPersonEnd(t *testing.T) {
	h := open(t, false)
	admin := h.signIn(grace, firefox)
	bob := h.signIn("bob@example.com", firefox)
	secret := bob.generate("Laptop")
	h.signIn("bob@example.com", firefox)
	path := h.their("bob@example.com")
	admin.get(path).must(http.StatusOK).one("a[href=" + path + "/sessions/end]").says("End all sessions")
	ask := admin.get(path + "/sessions/end").must(http.StatusOK)
	ask.one("h1").says("End 2 sessions of bob@example.com?")
	ask.one(".ends").says("Their tokens stay as they are.")
	ask.one("button.danger").says("End 2 sessions")
	done := admin.post(path + "/sessions/end").must(http.StatusOK)
	done.one(".notice").says("Of bob@example.com, 2 sessions ended in")
	done.none("a[href=" + path + "/sessions/end]")
	bob.get("/settings").must(http.StatusUnauthorized)
	if _, err := h.Tokens.Resolve(t.Context(), secret); err != nil {
		t.Errorf("the token has ended: %v", err)
	}
	admin.get(path + "/sessions/end").must(http.StatusOK).none("main form")

	// Of one's own, the one that asks stays.
	own := h.their(grace) + "/sessions/end"
	admin.get(own).must(http.StatusOK).none("main form")
	h.signIn(grace, firefox)
	admin.get(own).must(http.StatusOK).one(".ends").says("This browser stays signed in.")
	admin.post(own).must(http.StatusOK).one(".notice").says("1 session ended")
	admin.get("/settings").must(http.StatusOK)

	auditor := h.become("ann@example.com", tenure.Auditor)
	auditor.get(path + "/sessions/end").must(http.StatusForbidden)
	auditor.post(path + "/sessions/end").must(http.StatusForbidden)
	h.become("adam@example.com", tenure.Admin).post(own).must(http.StatusForbidden)
}

// What the audit log has about a leaver is erased by a page, with a reason, and not from
// people who are active.
func TestErasingALeaver(t *testing.T) {
	h := open(t, false)
	h.signIn("bob@example.com", firefox)
	path := h.their("bob@example.com")
	admin := h.as(grace)
	admin.get(path).must(http.StatusOK).none("a[href=" + path + "/erase-audit]")
	admin.post(path+"/erase-audit", "reason", "request 4711").must(http.StatusConflict).one("main").says("is active")

	admin.post(path + "/deactivate").must(http.StatusOK)
	h.now = h.now.Add(tenure.KeptAtLeast + time.Hour)
	h.signIn("carol@example.com", firefox)
	admin = h.signIn(grace, firefox)
	admin.get(path).must(http.StatusOK).one("a[href=" + path + "/erase-audit]").says("Erase from the audit log")
	ask := admin.get(path + "/erase-audit").must(http.StatusOK)
	ask.one("h1").says("Erase what the audit log has about bob@example.com?")
	ask.one("button.danger").says("Erase")
	admin.post(path+"/erase-audit", "reason", " ").must(http.StatusBadRequest).one("#reason-wrong").says("A reason is needed")
	done := admin.post(path+"/erase-audit", "reason", "request 4711").must(http.StatusOK)
	done.one(".notice").says("about bob@example.com.")
	done.one(".notice").says("Erased from 4 events")
	admin.post(path+"/erase-audit", "reason", "again").must(http.StatusOK).one(".notice").says("Erased from 0 events")

	for _, who := range []visitor{h.become("ann@example.com", tenure.Auditor), h.become("adam@example.com", tenure.Admin)} {
		who.get(path + "/erase-audit").must(http.StatusForbidden)
		who.post(path+"/erase-audit", "reason", "x").must(http.StatusForbidden)
	}
}
