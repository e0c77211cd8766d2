package deploy

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// The written examples are read only: each drops the header, in each spelling, before
// it is set, sends programs and people different ways, and keeps the inside inside.
// nginx and Apache are run by the tests of cmd/tenure and test/oidc.
func TestWrittenProxies(t *testing.T) {
	for file, c := range map[string]struct{ strip, set []string }{
		"Caddyfile":        {[]string{"request_header -X-User*", "request_header -X_*", "request_header -X.*"}, []string{"copy_headers"}},
		"traefik.yaml":     {[]string{`X-Auth-Request-Email: ""`, `X_Auth_Request_Email: ""`, `X.Auth.Request.Email: ""`}, []string{"forwardAuth:"}},
		"envoy.yaml":       {[]string{"{remove: x-auth-request-email}", "{remove: x_auth_request_email}", "{remove: x.auth.request.email}"}, []string{"name: who", "failure_mode_allow: false"}},
		"istio.yaml":       {[]string{"operation: INSERT_FIRST", "{remove: x-auth-request-email}", "{remove: x_auth_request_email}", "{remove: x.auth.request.email}"}, []string{"action: CUSTOM"}},
		"oauth2-proxy.cfg": {[]string{"pass_user_headers      = true"}, []string{"skip_auth_strip_headers = true"}},
	} {
		text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, "../proxies/"+file), "")
		first := len(text)
		for _, set := range c.set {
			at := strings.Index(text, set)
			if at < 0 {
				t.Errorf("%s sets no identity by %q", file, set)
			}
			first = min(first, max(at, 0))
		}
		for _, strip := range c.strip {
			if at := strings.Index(text, strip); at < 0 || at > first {
				t.Errorf("%s does not drop the client's header by %q before it sets its own", file, strip)
			}
		}
		for _, want := range []string{"/v1/", "/scim/v2/"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s sends programs at %s to a sign-in", file, want)
			}
		}
		if !strings.Contains(read(t, "../proxies/"+file), "Forged identities:") {
			t.Errorf("%s does not say how it strips", file)
		}
		if strings.HasSuffix(file, ".yaml") {
			for _, part := range strings.Split(text, "\n---\n") {
				var v any
				if err := yaml.UnmarshalStrict([]byte(part), &v); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
			for _, inside := range []string{"/metrics", "/healthz", "/readyz"} {
				if !strings.Contains(text, inside) {
					t.Errorf("%s shows %s to everybody", file, inside)
				}
			}
		}
	}
	var routers struct {
		HTTP struct {
			Routers map[string]struct {
				Middlewares []string `json:"middlewares"`
			} `json:"routers"`
		} `json:"http"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "../proxies/traefik.yaml")), &routers); err != nil || len(routers.HTTP.Routers) != 3 {
		t.Fatal(err, routers)
	}
	for name, r := range routers.HTTP.Routers {
		if len(r.Middlewares) == 0 || r.Middlewares[0] != "strip" {
			t.Errorf("traefik.yaml: %s does not strip first", name)
		}
	}
	files, _ := filepath.Glob("../proxies/*")
	if len(files) != 10 {
		t.Errorf("%d files: a new one needs its test, here or where it is run", len(files))
	}
}
