package gateway

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/egress"
	"github.com/tenure-gateway/tenure/internal/web"
)

// BenchmarkAim is what Tenure itself does with a request whose token, listing and
// key are known: admit, check, find the model, judge it, choose the provider.
func BenchmarkAim(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"data":[{"id":"gpt-4o-mini"},{"id":"gpt-4o"}]}`)
	}))
	defer up.Close()
	v := provider(b, up.URL)
	for name, models := range map[string]tenure.Models{
		"any":      {tenure.AnyModel},
		"patterns": {"gpt-4.1*", "up/o3*", "up/gpt-4o*"},
	} {
		b.Run(name, func(b *testing.B) {
			g := New(v, v.Live, &egress.Guard{}, Limits{}, slog.New(slog.DiscardHandler))
			s := &tenure.Standing{
				Kind: tenure.PAT, Tenant: tenure.DefaultTenant, TenantActive: true, Workspace: tenure.DefaultWorkspace, WorkspaceRole: tenure.Member,
				User: "u", UserActive: true, Token: "t", Scopes: tenure.DataPlane, Models: models, SpaceModels: tenure.Models{tenure.AnyModel},
			}
			doc := []byte(`{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}`)
			ctx, event := context.Background(), &web.Event{}
			b.ReportAllocs()
			for b.Loop() {
				p, err := s.Admit(time.Now(), v.Live.Generation())
				if err == nil {
					err = access.Check(p, tenure.ChatCompletions)
				}
				if err != nil {
					b.Fatal(err)
				}
				c := &call{protocol: &openAI, event: event, body: body{buf: &doc}}
				ctx, flight, err := v.Live.Enter(context.WithValue(ctx, callKey{}, c), p, tenure.ChatCompletions, nil)
				if err != nil {
					b.Fatal(err)
				}
				c.flight = flight
				if err := g.aim(ctx, p, c); err != nil {
					b.Fatal(err)
				}
				v.Live.Leave(flight)
			}
		})
	}
}

func BenchmarkForgetful100KB(b *testing.B) {
	turn := `{"role":"user","content":[{"type":"input_text","text":"` + strings.Repeat("a word or two ", 35) + `"}]},`
	doc := []byte(`{"model":"gpt-4o","input":[` + strings.Repeat(turn, 180) + `{"role":"user","content":"x"}]}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := forgetful(doc); err != nil {
			b.Fatal(err)
		}
	}
}
