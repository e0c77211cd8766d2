package app

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/gateway"
)

// TestAskedFromInside: what the product asks a model in somebody's name is counted as theirs,
// and refused for a token without the scope as a request of its own would be.
func TestAskedFromInside(t *testing.T) {
	in := install(t, "teams")
	ask := func(scope, model string) (gateway.Answer, error) {
		t.Helper()
		secret := in.must(http.StatusCreated, person(superAdmin), http.MethodPost, "/api/v1/tokens", `{"name":"laptop","scopes":["`+scope+`"]}`).member("token")
		ctx := tenure.Everywhere(t.Context())
		p, err := in.Tokens.Resolve(ctx, secret)
		if err != nil {
			t.Fatal(err)
		}
		return in.gateway.Ask(ctx, p, gateway.Question{
			ID: "asked", Model: model, Instructions: "note what holds", Input: "I use vim", Name: "note", MaxTokens: 10,
			Schema: json.RawMessage(`{"type":"object","required":["what"],"properties":{"what":{"type":"string"}}}`),
		})
	}
	a, err := ask("chat", "sim-gpt-4o")
	if err != nil || string(a.Document) != `{"what":"sample"}` {
		t.Fatalf("%s, %v", a.Document, err)
	}
	if _, err := ask("messages", "sim-gpt-4o"); tenure.AsError(err).Code != "insufficient_scope" {
		t.Errorf("without the scope: %v", err)
	}
	if a, err = ask("messages", "sim-claude-haiku"); err != nil || string(a.Document) != `{"what":"sample"}` {
		t.Errorf("%s, %v", a.Document, err)
	}
	if err := in.ModelUse.Flush(tenure.Everywhere(t.Context())); err != nil {
		t.Fatal(err)
	}
	body := in.must(http.StatusOK, person(superAdmin), http.MethodGet, "/api/v1/usage?by=model", "").body
	if strings.Count(body, `"requests":1`) != 2 || !strings.Contains(body, `"sim-gpt-4o"`) || !strings.Contains(body, `"sim-claude-haiku"`) {
		t.Error(body)
	}
}
