package secretref

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

// said is an answer of a double.
type said struct {
	status int
	body   string
}

// awsDouble is AWS Secrets Manager: it verifies Signature Version 4 by its documented
// steps, and not by the SDK that signs.
func awsDouble(t *testing.T, answers map[string]said) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if want := keystest.AWSSignature(r, body, "secretsmanager"); !strings.HasSuffix(r.Header.Get("Authorization"), "Signature="+want) {
			t.Errorf("the signature is wrong: %s, want %s", r.Header.Get("Authorization"), want)
		}
		a, ok := answers[string(body)]
		if !ok {
			a = said{400, `{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}`}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestAWS(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": keystest.AWSKeyID, "AWS_SECRET_ACCESS_KEY": keystest.AWSSecret, "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
	} {
		t.Setenv(name, value)
	}
	s := awsDouble(t, map[string]said{
		`{"SecretId":"tenure/openai"}`:                              {200, `{"ARN":"arn","Name":"tenure/openai","SecretString":"sk-one","VersionId":"v2","VersionStages":["AWSCURRENT"]}`},
		`{"SecretId":"tenure/openai","VersionStage":"AWSPREVIOUS"}`: {200, `{"SecretString":"sk-zero"}`},
		`{"SecretId":"tenure/openai","VersionId":"v1"}`:             {200, `{"SecretString":"sk-by-id"}`},
		`{"SecretId":"tenure/json"}`:                                {200, `{"SecretString":"{\"key\":\"sk-json\"}"}`},
		`{"SecretId":"tenure/binary"}`:                              {200, `{"SecretBinary":"c2stYmlu"}`},
		`{"SecretId":"tenure/denied"}`:                              {400, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no sk-echoed"}`},
		`{"SecretId":"tenure/deleted"}`:                             {400, `{"__type":"InvalidRequestException","Message":"You can't perform this operation on the secret because it was marked for deletion."}`},
		`{"SecretId":"tenure/many"}`:                                {400, `{"__type":"ThrottlingException"}`},
		`{"SecretId":"tenure/ill"}`:                                 {500, `{"__type":"InternalServiceError"}`},
		`{"SecretId":"tenure/strange"}`:                             {200, `<html>`},
	})
	a := &AWS{Client: http.DefaultClient, Endpoint: s.URL, Region: "eu-central-1", Credentials: AWSCredentials("eu-central-1"), Now: time.Now}
	for text, want := range map[string]string{
		"awssm://tenure/openai": "sk-one", "awssm://tenure/openai?version=AWSPREVIOUS": "sk-zero", "awssm://tenure/openai?version=v1": "sk-by-id",
		"awssm://tenure/json#key": "sk-json", "awssm://tenure/json#other": "secret_not_found", "awssm://tenure/binary": "sk-bin", "awssm://tenure/none": "secret_not_found",
		"awssm://tenure/denied": "secret_denied", "awssm://tenure/deleted": "secret_not_found", "awssm://tenure/many": "secret_system_unavailable",
		"awssm://tenure/ill": "secret_system_unavailable", "awssm://tenure/strange": "secret_system_unavailable",
	} {
		if got := get(t, a, text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// googleDouble is Google's token endpoint and its Secret Manager. It verifies what the
// service account signs.
func googleDouble(t *testing.T, answers map[string]said) (*httptest.Server, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			parts := strings.Split(r.PostFormValue("assertion"), ".")
			if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(parts) != 3 {
				t.Errorf("%s %s %v", r.Method, r.URL, r.PostForm)
				return
			}
			sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
			sig, _ := base64.RawURLEncoding.DecodeString(parts[2])
			claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
			var c struct{ Iss, Aud, Scope string }
			if err := json.Unmarshal(claims, &c); err != nil || c.Iss != "tenure@p.iam.gserviceaccount.com" || c.Aud != s.URL+"/token" || c.Scope != "https://www.googleapis.com/auth/cloud-platform" {
				t.Errorf("claims %s", claims)
			}
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
				t.Error(err)
			}
			reply(w, http.StatusOK, map[string]any{"access_token": "ya29.of-the-double", "token_type": "Bearer", "expires_in": 3600})
			return
		}
		if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer ya29.of-the-double" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		a, ok := answers[strings.TrimPrefix(r.URL.Path, "/v1/projects/")]
		if !ok {
			a = said{404, `{"error":{"code":404,"status":"NOT_FOUND"}}`}
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(s.Close)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "1", "client_email": "tenure@p.iam.gserviceaccount.com", "token_uri": s.URL + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "account.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s, file
}

func payload(text string, off uint32) said {
	sum := crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)) + off
	return said{200, fmt.Sprintf(`{"name":"projects/1/secrets/a/versions/1","payload":{"data":%q,"dataCrc32c":"%d"}}`, base64.StdEncoding.EncodeToString([]byte(text)), sum)}
}

func TestGoogle(t *testing.T) {
	s, file := googleDouble(t, map[string]said{
		"p/secrets/openai/versions/latest:access": payload("sk-two", 0), "p/secrets/openai/versions/1:access": payload("sk-one", 0),
		"p/secrets/json/versions/latest:access": payload(`{"key":"sk-json"}`, 0), "p/secrets/broken/versions/latest:access": payload("sk-broken", 1),
		"p/secrets/openai/versions/9:access":      {400, `{"error":{"code":400,"status":"FAILED_PRECONDITION","message":"is in DESTROYED state."}}`},
		"p/secrets/denied/versions/latest:access": {403, `{"error":{"code":403,"status":"PERMISSION_DENIED"}}`}, "p/secrets/ill/versions/latest:access": {503, ``},
	})
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	g := &Google{Client: http.DefaultClient, Endpoint: s.URL, Token: GoogleToken()}
	for text, want := range map[string]string{
		"gcpsm://p/openai": "sk-two", "gcpsm://p/openai?version=1": "sk-one", "gcpsm://p/json#key": "sk-json", "gcpsm://p/broken": "secret_system_unavailable",
		"gcpsm://p/openai?version=9": "secret_not_found", "gcpsm://p/none": "secret_not_found", "gcpsm://p/denied": "secret_denied", "gcpsm://p/ill": "secret_system_unavailable",
	} {
		if got := get(t, g, text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// azureDouble is Entra's token endpoint and Key Vault, on one TLS server.
func azureDouble(t *testing.T, answers map[string]said) *http.Client {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
			base := "https://login.example.com/tenant-of-tests"
			reply(w, http.StatusOK, map[string]any{"issuer": base + "/v2.0", "authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token"})
		case r.URL.Path == "/tenant-of-tests/oauth2/v2.0/token":
			if r.PostFormValue("client_id") != "tenure" || r.PostFormValue("client_secret") != "client-secret" || !strings.Contains(r.PostFormValue("scope"), "https://vault.azure.net/.default") {
				t.Errorf("%v", r.PostForm)
			}
			reply(w, http.StatusOK, map[string]any{"access_token": "token-of-the-double", "token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600})
		case r.Host == "my-vault.vault.example.com":
			if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer token-of-the-double" || r.URL.RawQuery != "api-version=7.4" {
				t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
			}
			a, ok := answers[r.URL.Path]
			if !ok {
				a = said{404, `{"error":{"code":"SecretNotFound"}}`}
			}
			w.WriteHeader(a.status)
			_, _ = io.WriteString(w, a.body)
		default:
			t.Errorf("%s %s%s", r.Method, r.Host, r.URL)
		}
	}))
	t.Cleanup(s.Close)
	tr := s.Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig = &tls.Config{RootCAs: tr.TLSClientConfig.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}
	return &http.Client{Transport: tr}
}

func TestAzure(t *testing.T) {
	now := time.Now()
	client := azureDouble(t, map[string]said{
		"/secrets/openai/":      {200, `{"value":"sk-two","id":"https://my-vault.vault.azure.net/secrets/openai/b","attributes":{"enabled":true}}`},
		"/secrets/openai/a":     {200, `{"value":"sk-one","attributes":{"enabled":true}}`},
		"/secrets/json/":        {200, `{"value":"{\"key\":\"sk-json\"}","attributes":{"enabled":true}}`},
		"/secrets/ends/":        {200, fmt.Sprintf(`{"value":"sk-ends","attributes":{"enabled":true,"exp":%d}}`, now.Add(30*time.Second).Unix())},
		"/secrets/over/":        {200, fmt.Sprintf(`{"value":"sk-over","attributes":{"enabled":true,"exp":%d}}`, now.Add(-time.Minute).Unix())},
		"/secrets/early/":       {200, fmt.Sprintf(`{"value":"sk-early","attributes":{"enabled":true,"nbf":%d}}`, now.Add(time.Minute).Unix())},
		"/secrets/off/":         {403, `{"error":{"code":"Forbidden","innererror":{"code":"SecretDisabled"}}}`},
		"/secrets/denied/":      {403, `{"error":{"code":"Forbidden","innererror":{"code":"ForbiddenByRbac"}}}`},
		"/secrets/many/":        {429, `{"error":{"code":"Throttled"}}`},
		"/secrets/disabled/x-y": {200, `{"value":"sk-off","attributes":{"enabled":false}}`},
	})
	token := azureTokenOf(once(func(context.Context) (azcore.TokenCredential, error) {
		return azidentity.NewClientSecretCredential("tenant-of-tests", "tenure", "client-secret", &azidentity.ClientSecretCredentialOptions{
			ClientOptions:            policy.ClientOptions{Transport: client, Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: "https://login.example.com/"}},
			DisableInstanceDiscovery: true,
		})
	}))
	z := &Azure{Client: client, Suffix: ".vault.example.com", Token: token, Now: time.Now}
	for text, want := range map[string]string{
		"azkv://my-vault/openai": "sk-two", "azkv://my-vault/openai?version=a": "sk-one", "azkv://my-vault/json#key": "sk-json", "azkv://my-vault/ends": "sk-ends",
		"azkv://my-vault/over": "secret_not_found", "azkv://my-vault/early": "secret_not_found", "azkv://my-vault/off": "secret_denied", "azkv://my-vault/denied": "secret_denied",
		"azkv://my-vault/many": "secret_system_unavailable", "azkv://my-vault/none": "secret_not_found", "azkv://my-vault/disabled?version=x-y": "secret_not_found",
	} {
		if got := get(t, z, text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	v, err := z.Fetch(t.Context(), address(t, "azkv://my-vault/ends"))
	if err != nil || v.Until.Unix() != now.Add(30*time.Second).Unix() {
		t.Errorf("until %v (%v)", v.Until, err)
	}
}

// The addresses that TENURE_TEST_SECRETS names, with = before what is there, are read
// with the usual credentials of their clouds.
func TestRealClouds(t *testing.T) {
	client, region := &http.Client{Timeout: fetchLimit}, os.Getenv("AWS_REGION")
	systems := map[string]System{
		SchemeAWS:   &AWS{Client: client, Endpoint: "https://secretsmanager." + region + ".amazonaws.com", Region: region, Credentials: AWSCredentials(region), Now: time.Now},
		SchemeGCP:   &Google{Client: client, Endpoint: "https://secretmanager.googleapis.com", Token: GoogleToken()},
		SchemeAzure: &Azure{Client: client, Suffix: ".vault.azure.net", Token: AzureToken(), Now: time.Now},
	}
	for text := range strings.FieldsSeq(os.Getenv("TENURE_TEST_SECRETS")) {
		i := strings.LastIndex(text, "=")
		a, err := Parse(text[:max(i, 0)])
		if err != nil || systems[a.Scheme] == nil {
			t.Fatalf("%s: %v", text, err)
		}
		v, err := systems[a.Scheme].Fetch(t.Context(), a)
		if err != nil || !v.Secret.Equal(tenure.NewSecret(text[i+1:])) {
			t.Errorf("%s: another secret, or %v", a, err)
		}
	}
}
