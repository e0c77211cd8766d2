package config

import (
	"strings"
	"testing"
)

func TestSettingsAreShownWithoutSecrets(t *testing.T) {
	secrets := map[string]bool{}
	s := Serve{
		Mode: "teams", APIToken: "secret-api", SCIMToken: "secret-scim", SCIMTokenPrevious: "secret-before",
		OpenAIKey: "secret-openai", AnthropicKey: "secret-anthropic", OpenAIBaseURL: "https://me:secret-password@example.com/v1",
	}
	for _, row := range s.shown() {
		if row.Name == "" {
			t.Error("a setting without a name")
		}
		if strings.Contains(row.Value, "secret") {
			t.Errorf("%s shows %q", row.Name, row.Value)
		}
		if row.Value == "set" {
			secrets[row.Name] = true
		}
		if row.Name == "TENURE_MODE" && row.Value != "teams" {
			t.Errorf("TENURE_MODE shows %q", row.Value)
		}
	}
	for _, name := range []string{"TENURE_API_TOKEN", "TENURE_SCIM_TOKEN", "TENURE_SCIM_TOKEN_PREVIOUS", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"} {
		if !secrets[name] {
			t.Errorf("%s is not told to be set", name)
		}
	}
}
