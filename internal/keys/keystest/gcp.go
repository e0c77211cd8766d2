package keystest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a CloudKMS is asked for, and by whom.
const (
	GCPKey     = "projects/p/locations/europe-west3/keyRings/tenure/cryptoKeys/kek"
	GCPAccount = "tenure@p.iam.gserviceaccount.com"

	gcpToken = "ya29.token-of-the-double"
)

// CloudKMS is Google's token endpoint and one key of its Cloud KMS, over REST. It
// verifies the assertion that a service account signs (RFC 7523), and encrypts and
// decrypts for whoever has a token.
type CloudKMS struct {
	cloud
	// Credentials are those of the service account, as Google gives them in a file.
	Credentials []byte

	tokens int // that were given
	signer *rsa.PublicKey
}

// NewCloudKMS starts one. What Google would not understand fails the test.
func NewCloudKMS(t testing.TB) *CloudKMS {
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	d := &CloudKMS{signer: &signer.PublicKey}
	d.Credentials, err = json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "one", "client_email": GCPAccount, "client_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	d.start(t, d.serve)
	return d
}

// Tokens tells how many were given.
func (d *CloudKMS) Tokens() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tokens
}

func (d *CloudKMS) serve(w http.ResponseWriter, r *http.Request) (fault string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case r.Method != http.MethodPost:
		return r.Method + " " + r.URL.String()
	case r.Host == "oauth2.googleapis.com" && r.URL.Path == "/token":
		if fault := d.judge(r); fault != "" {
			return fault
		}
		d.tokens++
		answer(w, http.StatusOK, map[string]any{"access_token": gcpToken, "token_type": "Bearer", "expires_in": 3600})
	case r.Host == "cloudkms.googleapis.com":
		return d.kms(w, r)
	default:
		return r.Host + r.URL.String()
	}
	return ""
}

// judge says what is wrong with how a service account asks for a token.
func (d *CloudKMS) judge(r *http.Request) string {
	if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		return "grant_type " + r.PostFormValue("grant_type")
	}
	parts := strings.Split(r.PostFormValue("assertion"), ".")
	if len(parts) != 3 {
		return "no assertion"
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err.Error()
	}
	var c struct {
		Iss, Aud, Scope string
		Iat, Exp        int64
	}
	now := time.Now().Unix()
	if err := json.Unmarshal(claims, &c); err != nil || c.Iss != GCPAccount || c.Aud != "https://oauth2.googleapis.com/token" || c.Iat > now+60 || c.Exp < now ||
		!strings.Contains(" "+c.Scope+" ", " https://www.googleapis.com/auth/cloud") {
		return string(claims)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(d.signer, crypto.SHA256, sum[:], signature); err != nil {
		return err.Error()
	}
	return ""
}

// kms is https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys
func (d *CloudKMS) kms(w http.ResponseWriter, r *http.Request) (fault string) {
	body, _ := io.ReadAll(r.Body)
	var in struct{ Plaintext, Ciphertext []byte }
	if err := json.Unmarshal(body, &in); err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return string(body)
	}
	name, operation, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/"), ":")
	switch {
	case r.Header.Get("Authorization") != "Bearer "+gcpToken:
		gcpError(w, http.StatusUnauthorized, "UNAUTHENTICATED")
	case d.fails != 0:
		gcpError(w, d.fails, map[int]string{
			http.StatusForbidden: "PERMISSION_DENIED", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED", http.StatusServiceUnavailable: "UNAVAILABLE",
			http.StatusInternalServerError: "INTERNAL", http.StatusBadRequest: "FAILED_PRECONDITION", http.StatusConflict: "ABORTED",
		}[d.fails])
	case name != GCPKey:
		gcpError(w, http.StatusNotFound, "NOT_FOUND")
	case operation == "encrypt" && len(in.Plaintext) > 0:
		answer(w, http.StatusOK, map[string]any{"name": GCPKey + "/cryptoKeyVersions/1", "ciphertext": seal(d.key, in.Plaintext), "protectionLevel": "SOFTWARE"})
	case operation == "decrypt" && len(in.Ciphertext) > 0:
		if plain, ok := open(d.key, in.Ciphertext); ok {
			answer(w, http.StatusOK, map[string]any{"plaintext": plain, "usedPrimary": true, "protectionLevel": "SOFTWARE"})
			return ""
		}
		gcpError(w, http.StatusBadRequest, "INVALID_ARGUMENT")
	default:
		return fmt.Sprint(operation, " ", string(body))
	}
	return ""
}

// gcpError answers an error as Google's REST interfaces do.
func gcpError(w http.ResponseWriter, status int, kind string) {
	answer(w, status, map[string]any{"error": map[string]any{"code": status, "status": kind, "message": "as the double was told"}})
}
