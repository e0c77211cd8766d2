package dash

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// A sink is made, sent to, rotated, paused and deleted on pages, and its secret is shown once.
func TestSinkPages(t *testing.T) {
	var mu sync.Mutex
	answer, bodies, signed := http.StatusNoContent, "", ""
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		text, _ := io.ReadAll(r.Body)
		bodies, signed = bodies+string(text), r.Header.Get("Webhook-Signature")
		w.WriteHeader(answer)
	}))
	defer receiver.Close()
	h := open(t, false)
	send := func() {
		t.Helper()
		if _, err := h.Ledger.Place(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.Sinks.Deliver(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	root := h.as("root@example.com")
	root.get("/settings")
	const path = "/admin/audit/sinks"
	root.get("/admin/audit").one("main .head a[href=" + path + "]")
	root.get(path).must(http.StatusOK).one(".empty").says("Events stay in the log alone")
	if n := len(root.get(path + "/new").must(http.StatusOK).all("form[method=get] input[name=kind]")); n != 3 {
		t.Errorf("%d kinds", n)
	}
	p := root.post(path, "kind", "syslog", "name", "S", "address", "siem.example.com", "secret", "a private key").must(http.StatusBadRequest)
	p.one("#address-wrong").says("host:port")
	if strings.Contains(p.body, "a private key") {
		t.Error("what is secret is shown again")
	}
	p = root.post(path, "kind", "otlp", "name", "O", "address", "https://otel.example.com/v1/logs", "header", "Authorization").must(http.StatusBadRequest)
	p.one("#header-wrong")

	p = root.post(path, "kind", "webhook", "name", "SIEM", "address", receiver.URL+"/hook", "format", "native").must(http.StatusOK)
	first := p.one("#secret").text()
	one := p.one("main .after a").attrs["href"]
	if p = root.get(one).must(http.StatusOK); strings.Contains(p.body, "whsec_") {
		t.Error("the secret is shown again")
	}
	send()
	if !strings.Contains(bodies, "audit_sink.created") {
		t.Errorf("the receiver has %q", bodies)
	}
	root.get(path).must(http.StatusOK).one("tbody .state").says("well")

	answer = http.StatusUnauthorized
	root.get(one + "/rotate").must(http.StatusOK).one("#overlap")
	root.post(one+"/rotate", "overlap", "8d").must(http.StatusBadRequest).one("#overlap-wrong").says("7 days")
	p = root.post(one+"/rotate", "overlap", "24h").must(http.StatusOK)
	p.one(".reveal").says("the secret before signs, too")
	if p.one("#secret").text() == first {
		t.Error("the secret is the one before")
	}
	send()
	if n := len(strings.Fields(signed)); n != 2 {
		t.Errorf("signed %q", signed)
	}
	root.get(path).must(http.StatusOK).one("tbody").says("does not believe who asks")
	p = root.get(one).must(http.StatusOK)
	p.one(".alarm").says("it answered 401, after 1 attempt")

	root.post(one + "/pause").must(http.StatusOK).one(".facts").says("State○paused")
	root.post(one + "/resume").must(http.StatusOK).one(".notice").says("goes on where it was")
	root.get(one + "/delete").must(http.StatusOK).one(".ends").says("it will not get")
	root.post(one + "/delete").must(http.StatusOK).one(".notice").says("is deleted")
	root.get(one).must(http.StatusNotFound)

	// What is of all tenants is shown, and the operator's to change.
	err := h.Tokens.DB.Tx(tenure.Everywhere(t.Context()), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertAuditSink(ctx, tenure.AuditSink{ID: "all", Tenant: tenure.DefaultTenant, Name: "All", Everywhere: true, Kind: tenure.SinkOTLP, Address: "https://otel.example.com", Format: tenure.FormatOCSF, CreatedAt: tx.Now()}, store.SealedKey{})
	})
	if err != nil {
		t.Fatal(err)
	}
	p = root.get(path + "/all").must(http.StatusOK)
	p.one("section[aria-labelledby=facts] header").says("the operator changes it")
	p.none("section .buttons")
	root.post(path + "/all/delete").must(http.StatusForbidden)
}
