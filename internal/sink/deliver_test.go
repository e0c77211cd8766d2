package sink_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/sink"
	"github.com/tenure-gateway/tenure/internal/store"
)

func operator(t *testing.T, tenant tenure.TenantID) tenure.Principal {
	t.Helper()
	p, err := (&tenure.Standing{Kind: tenure.Operator, Tenant: tenant, TenantActive: true, Role: tenure.SuperAdmin}).Admit(time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sinks are those of one replica. What is sealed is what the vault's own tests try.
func (l *log) sinks(replica string) *sink.Sinks {
	guard := &egress.Guard{}
	client := guard.Client(&http.Transport{}, 500*time.Millisecond, false, tenure.EgressAll)
	return &sink.Sinks{
		DB: l.db, Log: slog.New(slog.DiscardHandler), Net: sink.Net{Client: client, Public: client, Guard: guard, Replica: replica, Host: "host.example.com"},
		Sealer: func(context.Context) (store.Sealer, error) {
			return func(secret tenure.Secret, to store.Bound) (store.SealedKey, error) {
				return store.SealedKey{Sealed: []byte(to.Credential + secret.Reveal()), DataKey: []byte{1}}, nil
			}, nil
		},
		Open: func(_ context.Context, k store.SealedKey, to store.Bound) (tenure.Secret, error) {
			text, ok := strings.CutPrefix(string(k.Sealed), to.Credential)
			if !ok || to.Purpose != store.AuditSinkSecret {
				return tenure.Secret{}, fmt.Errorf("%q is not sealed for %+v", k.Sealed, to)
			}
			return tenure.NewSecret(text), nil
		},
	}
}

func (l *log) create(s *sink.Sinks, row tenure.AuditSink, tenant tenure.TenantID, secret string) tenure.Secret {
	l.t.Helper()
	_, shown, err := s.Create(l.ctx, operator(l.t, tenant), row, tenure.NewSecret(secret), true)
	if err != nil {
		l.t.Fatal(err)
	}
	return shown
}

// deliver tries every sink that is due, and gives the first.
func (l *log) deliver(s *sink.Sinks) sink.Listed {
	l.t.Helper()
	if err := s.Deliver(l.ctx); err != nil {
		l.t.Fatal(err)
	}
	rows, err := s.List(l.ctx, operator(l.t, tenure.DefaultTenant))
	if err != nil || len(rows) == 0 {
		l.t.Fatal(rows, err)
	}
	return rows[0]
}

// retry delivers again and again until the sink has what there is.
func (l *log) retry(s *sink.Sinks) {
	l.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		row := l.deliver(s)
		if row.Events == 0 && row.Error == "" {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%+v", row)
		}
		if row.Error != "" { // whoever has found what was wrong lets it go on
			for _, paused := range []bool{true, false} {
				if _, err := s.Pause(l.ctx, operator(l.t, tenure.DefaultTenant), row.ID, paused); err != nil {
					l.t.Fatal(err)
				}
			}
		}
	}
}

// A receiver is a real one: it verifies what it gets, and answers as it is told.
type receiver struct {
	*httptest.Server
	t      *testing.T
	secret tenure.Secret
	mu     sync.Mutex
	plan   []int // statuses of the next answers; 0: none for too long, -1: the connection is cut after reading
	got    []string
	header http.Header
	after  string // Retry-After
	answer string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status := http.StatusOK
	if len(r.plan) > 0 {
		status, r.plan = r.plan[0], r.plan[1:]
	}
	if status == 0 {
		r.mu.Unlock()
		select {
		case <-req.Context().Done():
		case <-time.After(5 * time.Second):
		}
		r.mu.Lock()
		return
	}
	if status == http.StatusOK || status == -1 { // what was taken, though nobody is told
		r.take(req, body)
	}
	if status == -1 {
		panic(http.ErrAbortHandler)
	}
	if r.after != "" {
		w.Header().Set("Retry-After", r.after)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, r.answer)
}

func (r *receiver) take(req *http.Request, body []byte) {
	r.header = req.Header
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/cloudevents-batch+json") {
		id, stamp := req.Header.Get("webhook-id"), req.Header.Get("webhook-timestamp")
		key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.secret.Reveal(), "whsec_"))
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, id+"."+stamp+"."+string(body))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); !slices.Contains(strings.Fields(req.Header.Get("webhook-signature")), want) {
			r.t.Error("the signature is wrong")
		}
		var batch []struct {
			ID, Type, Specversion, Source string
			Data                          struct{ Object, Action string }
		}
		if err := json.Unmarshal(body, &batch); err != nil || len(batch) == 0 || batch[0].Specversion != "1.0" || batch[0].ID == "" {
			r.t.Errorf("%v: %s", err, body)
		}
		for _, e := range batch {
			r.got = append(r.got, e.Data.Object+e.Data.Action[strings.IndexByte(e.Data.Action, '.'):])
		}
		return
	}
	var logs struct {
		ResourceLogs []struct {
			ScopeLogs []struct {
				LogRecords []struct {
					TimeUnixNano   string
					SeverityNumber int
					Body           struct{ StringValue string }
				}
			}
		}
	}
	if err := json.Unmarshal(body, &logs); err != nil || len(logs.ResourceLogs) != 1 {
		r.t.Fatalf("%v: %s", err, body)
	}
	for _, one := range logs.ResourceLogs[0].ScopeLogs[0].LogRecords {
		var record struct{ Object, Action string }
		if err := json.Unmarshal([]byte(one.Body.StringValue), &record); err != nil || one.SeverityNumber != 9 || len(one.TimeUnixNano) != 19 {
			r.t.Errorf("%v: %+v", err, one)
		}
		r.got = append(r.got, record.Object+record.Action[strings.IndexByte(record.Action, '.'):])
	}
}

// events are what came, without checkpoints.
func (r *receiver) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.got), func(s string) bool { return s == ".checkpoint" })
}

// A receiver fails, hangs, cuts the connection and comes back: nothing is lost, nothing
// comes in another order, and what comes twice comes by the same id.
func TestAReceiverThatFailsMissesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		r := newReceiver(t)
		s := l.sinks("a")
		r.secret = l.create(s, tenure.AuditSink{Name: "SIEM", Kind: tenure.SinkWebhook, Address: r.URL + "/secret-path"}, tenure.DefaultTenant, "")
		l.add(tenure.DefaultTenant, 700, "one")
		r.plan = []int{200, 500, 0, 302, -1, 429}
		row := l.deliver(s)
		if row.Error != "it answered 500" || row.Cursor != 500 || row.Attempts != 1 || row.NextTryAt.Before(time.Now()) || row.SentAt.IsZero() {
			t.Errorf("after one batch and a failure: %+v", row)
		}
		l.add(tenure.DefaultTenant, 1, "two")
		l.retry(s)
		want := []string{}
		for i := range 500 {
			want = append(want, fmt.Sprintf("one %d.updated", i))
		}
		rest := []string{}
		for i := range 200 {
			rest = append(rest, fmt.Sprintf("one %d.updated", 500+i))
		}
		want = slices.Concat(want, rest, []string{"SIEM.created", "two 0.updated"}, rest, []string{"SIEM.created", "two 0.updated"})
		got := slices.DeleteFunc(r.events(), func(s string) bool { return s == "SIEM.paused" || s == "SIEM.resumed" })
		// The sink's own making has the first place there was.
		noted := func(s string) bool { return s == "SIEM.created" }
		a, b := slices.DeleteFunc(got, noted), slices.DeleteFunc(want, noted)
		if !slices.Equal(compacted(a), compacted(b)) || !slices.Equal(a, inOrder(a)) {
			t.Errorf("%d came, want %d:\n%v", len(a), len(b), a)
		}
		if !slices.Contains(r.got, ".checkpoint") {
			t.Error("no checkpoint came along")
		}
		for _, text := range []string{row.Error, fmt.Sprint(row)} {
			if strings.Contains(text, r.secret.Reveal()) {
				t.Error("the secret is shown")
			}
		}
	})
}

// inOrder is what came in its order: an event comes next, or the sending goes back to
// one that came before and everything from there on comes again.
func inOrder(all []string) []string {
	order := compacted(all)
	at := -1
	for i, one := range all {
		place := slices.Index(order, one)
		if place > at+1 {
			return all[:i]
		}
		at = place
	}
	return all
}

// compacted is each of them where it came first.
func compacted(all []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, one := range all {
		if !seen[one] {
			out = append(out, one)
		}
		seen[one] = true
	}
	return out
}

// A tenant's sink gets that tenant's events, without places and checkpoints; one of the
// whole installation, which the operator alone makes, all.
func TestASinkGetsItsTenantsEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		s := l.sinks("a")
		own, all := newReceiver(t), newReceiver(t)
		own.secret = l.create(s, tenure.AuditSink{Name: "own", Kind: tenure.SinkWebhook, Address: own.URL}, "other", "")
		all.secret = l.create(s, tenure.AuditSink{Name: "all", Kind: tenure.SinkWebhook, Address: all.URL, Everywhere: true}, tenure.DefaultTenant, "")
		if place, err := l.db.SlowestSink(l.ctx, tenure.DefaultTenant); err != nil || place != 0 {
			t.Errorf("the slowest sink is at %d, %v", place, err)
		}
		l.add(tenure.DefaultTenant, 1500, "ours") // more than are passed over without a note
		l.add("other", 2, "theirs")
		l.deliver(s)
		if got := own.events(); !slices.Equal(got, []string{"own.created", "theirs 0.updated", "theirs 1.updated"}) || len(own.got) != 3 {
			t.Errorf("a tenant's: %v", own.got)
		}
		if got := all.events(); len(got) != 1504 {
			t.Errorf("all: %d", len(got))
		}
		size, err := l.db.TreeSize(l.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if place, err := l.db.SlowestSink(l.ctx, tenure.DefaultTenant); err != nil || place != size {
			t.Errorf("the slowest sink is at %d of %d, %v", place, size, err)
		}
		rows, err := s.List(l.ctx, operator(t, "other"))
		if err != nil || len(rows) != 1 || rows[0].Events != 0 || rows[0].Name != "own" {
			t.Errorf("%+v, %v", rows, err)
		}
		admin, err := (&tenure.Standing{Kind: tenure.RootToken, Tenant: tenure.DefaultTenant, TenantActive: true, Role: tenure.SuperAdmin}).Admit(time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Create(l.ctx, admin, tenure.AuditSink{Name: "x", Kind: tenure.SinkWebhook, Address: all.URL, Everywhere: true}, tenure.Secret{}, true)
		if !tenure.IsKind(err, tenure.Forbidden) {
			t.Errorf("another than the operator made one of all tenants: %v", err)
		}
		if _, err := s.Pause(l.ctx, operator(t, tenure.DefaultTenant), rows[0].ID, true); !tenure.IsKind(err, tenure.NotFound) {
			t.Errorf("another tenant's sink: %v", err)
		}
	})
}

// Of several replicas one sends for a sink at a time.
func TestOneReplicaSends(t *testing.T) {
	onBoth(t, func(t *testing.T, l *log) {
		r := newReceiver(t)
		first := l.sinks("a")
		r.secret = l.create(first, tenure.AuditSink{Name: "SIEM", Kind: tenure.SinkWebhook, Address: r.URL}, tenure.DefaultTenant, "")
		l.add(tenure.DefaultTenant, 3000, "one")
		var wg sync.WaitGroup
		for _, s := range []*sink.Sinks{first, l.sinks("b"), l.sinks("c")} {
			wg.Go(func() {
				if err := s.Deliver(l.ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := r.events(); len(got) != 3001 || len(compacted(got)) != 3001 || got[3000] != "one 2999.updated" {
			t.Errorf("%d came, %d of them once", len(got), len(compacted(got)))
		}
	})
}

// An OTLP receiver gets log records with the header that was sealed, is left alone as
// long as it asks, and is not sent again what it has rejected.
func TestOTLP(t *testing.T) {
	l := onSQLite(t)
	r := newReceiver(t)
	s := l.sinks("a")
	l.create(s, tenure.AuditSink{Name: "Collector", Kind: tenure.SinkOTLP, Address: r.URL + "/v1/logs", Header: "X-Api-Key"}, tenure.DefaultTenant, "sesame")
	l.add(tenure.DefaultTenant, 2, "one")
	r.plan, r.after = []int{429}, "300"
	if row := l.deliver(s); row.Error != "it answered 429" || time.Until(row.NextTryAt) < 4*time.Minute {
		t.Errorf("%+v", row)
	}
	r.answer = `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too long"}}`
	l.retry(s)
	if got := r.events(); !slices.Equal(got, []string{"Collector.created", "one 0.updated", "one 1.updated"}) || r.header.Get("X-Api-Key") != "sesame" {
		t.Errorf("%v %v", got, r.header)
	}
	l.add(tenure.DefaultTenant, 1, "two")
	l.retry(s)
	if got := r.events(); got[len(got)-1] != "two 0.updated" {
		t.Errorf("%v", got)
	}
}
