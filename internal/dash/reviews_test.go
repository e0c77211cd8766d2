package dash

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/review"
)

// A review by its pages: opened, one item revoked by whoever heads its workspace, the
// rest kept or left, closed, and its report.
func TestReviewPages(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	h.workspaceOf("Research", "wanda@example.com", tenure.WorkspaceAdmin)
	root.get(reviewsPath).must(http.StatusOK).one("main").says("There is no access review yet")
	root.get(reviewsPath + "/new").must(http.StatusOK).one("#name")
	root.post(reviewsPath, "name", "Roles", "due_in", "soon").must(http.StatusBadRequest).one("#due_in-wrong")
	p := root.post(reviewsPath, "name", "Fourth quarter", "due_in", "5d").must(http.StatusOK)
	p.one(".notice").says("The review is open")
	rows, err := h.Reviews.List(t.Context(), h.operator(), true, "", 1)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	path := reviewsPath + "/" + string(rows[0].ID)
	root.get(reviewsPath).must(http.StatusOK).one("tbody").says("Fourth quarter")
	root.get("/admin").must(http.StatusOK).one(".warnings").says("Fourth quarter due in 4 d")

	// Their own they are not offered, and cannot decide.
	f := review.ItemFilter{}
	f.Limit = 100
	items, err := h.Reviews.Items(t.Context(), h.operator(), rows[0].ID, f)
	if err != nil || len(items) == 0 {
		t.Fatal(items, err)
	}
	for _, i := range items {
		link := fmt.Sprintf("%s/items/%d", path, i.N)
		switch {
		case i.Name == "root@example.com" && i.Kind == tenure.ReviewRole:
			root.post(link, "decision", "keep", "reason", "mine", "seen", "0").must(http.StatusForbidden).one(".wrong").says("your own access")
		case i.Name == "wanda@example.com" && i.Kind == tenure.ReviewPerson:
			root.get(link).must(http.StatusOK).one("h1").says("Should “wanda@example.com” stay?")
			root.post(link, "decision", "keep", "reason", "", "seen", "0").must(http.StatusBadRequest).one("#reason-wrong")
			root.post(link, "decision", "keep", "reason", "needed", "seen", "0").must(http.StatusOK).one(".notice").says("is kept")
			root.post(link, "decision", "keep", "reason", "needed", "seen", "0").must(http.StatusConflict).one(".wrong").says("has decided this item")
		}
	}
	// An item goes to another reviewer, who is none whose access it is.
	for _, i := range items {
		link := fmt.Sprintf("%s/items/%d/reassign", path, i.N)
		if i.Name == "mallory@example.com" && i.Kind == tenure.ReviewPerson {
			root.get(link).must(http.StatusOK).one("#reviewer")
			root.post(link, "reviewer", "mallory@example.com", "reason", "hers").must(http.StatusBadRequest).one("#reviewer-wrong").says("does not decide about it")
			root.post(link, "reviewer", "wanda@example.com", "reason", "knows her").must(http.StatusOK).one(".notice").says("is for wanda@example.com to decide")
			root.post(link, "reason", "busy").must(http.StatusOK).one(".notice").says("is for administrators to decide")
			h.as("wanda@example.com").get(link).must(http.StatusForbidden)
		}
	}
	root.get(path + "?flagged=1").must(http.StatusOK)
	root.get(path + "?kind=role&q=root").must(http.StatusOK).one("tbody").says("root@example.com")

	// Whoever has nothing to decide sees no page of it.
	mallory := h.as("mallory@example.com")
	if got := mallory.pagesOf(); strings.Contains(got, "eviews") {
		t.Errorf("a member sees %s", got)
	}
	mallory.get(path).must(http.StatusNotFound)
	mallory.get(path + "/report").must(http.StatusForbidden)

	root.get(path + "/report").must(http.StatusConflict)
	root.get(path + "/close").must(http.StatusOK).one("#reason")
	root.post(path+"/close", "reason", "enough").must(http.StatusOK).one(".notice").says("closed")
	root.get(path + "/report").must(http.StatusOK).one("main").says("items covered")
}

// What was decided to be revoked is not said to be revoked where it is not.
func TestReviewSaysWhatCameOfIt(t *testing.T) {
	h := open(t, false)
	root := h.as("root@example.com")
	root.get("/settings")
	h.workspaceOf("Research", "wanda@example.com", tenure.WorkspaceAdmin)
	root.post(reviewsPath, "name", "People", "due_in", "5d", "kinds", "membership").must(http.StatusOK)
	rows, err := h.Reviews.List(t.Context(), h.operator(), true, "", 1)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	f := review.ItemFilter{}
	f.Limit = 100
	items, err := h.Reviews.Items(t.Context(), h.operator(), rows[0].ID, f)
	if err != nil || len(items) == 0 {
		t.Fatal(items, err)
	}
	h.Reviews.Things.End = func(context.Context, tenure.ReviewItem, string) error {
		return review.ErrAnother("the role is viewer now")
	}
	n := slices.IndexFunc(items, func(i tenure.ReviewItem) bool { return i.Name == "wanda@example.com" })
	link := fmt.Sprintf("%s/%s/items/%d", reviewsPath, rows[0].ID, items[n].N)
	p := root.post(link, "decision", "revoke", "reason", "left", "seen", "0").must(http.StatusOK)
	p.one(".notice").says("was not revoked, and is gone: the role is viewer now")
	for state, want := range map[tenure.ReviewItem]string{
		{Decision: tenure.DecideRevoke}: "is being revoked",
		{Decision: tenure.DecideRevoke, GoneAt: time.Unix(1, 0), GoneWhy: "it is another"}: "is gone: it is another",
	} {
		if got := saidOf(state); !strings.Contains(got, want) {
			t.Errorf("%s: %s", state.State(), got)
		}
	}
	if got := saidOfKept(review.Kept{Items: 2, Gone: []tenure.ReviewItem{{GoneWhy: "it was renewed"}}}); got != "2 items kept. “” is gone: it was renewed." {
		t.Error(got)
	}
}
