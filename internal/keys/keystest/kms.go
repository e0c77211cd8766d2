package keystest

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// What signs for AWS, and the key that a KMS has.
const (
	AWSKeyID  = "AKIATENUREDOUBLE"
	AWSSecret = "the-secret-access-key-of-the-double"
	AWSRegion = "eu-central-1"
	KMSKey    = "arn:aws:kms:eu-central-1:111122223333:key/0123abcd"
	KMSAlias  = "alias/tenure"
)

// AWSSignature is that of Signature Version 4 for a request of a service that signs
// POST / alone, as AWS documents it, or what is wrong with how it was signed.
func AWSSignature(r *http.Request, body []byte, service string) string {
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+AWSKeyID+"/")
	scope, rest, _ := strings.Cut(scope, ", SignedHeaders=")
	signed, _, _ := strings.Cut(rest, ",")
	for _, needed := range []string{"host", "x-amz-date", "x-amz-target", "content-type"} {
		if !strings.Contains(";"+signed+";", ";"+needed+";") {
			return needed + " is not signed"
		}
	}
	if !strings.HasSuffix(scope, "/"+AWSRegion+"/"+service+"/aws4_request") {
		return "for " + scope
	}
	var headers strings.Builder
	for name := range strings.SplitSeq(signed, ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	canonical := strings.Join([]string{r.Method, "/", "", headers.String(), signed, sum(body)}, "\n")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", r.Header.Get("X-Amz-Date"), scope, sum([]byte(canonical))}, "\n")
	key := []byte("AWS4" + AWSSecret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text)
	return h.Sum(nil)
}

// KMS answers as AWS documents Encrypt and Decrypt of KMS, for one symmetric key.
type KMS struct {
	*httptest.Server

	mu    sync.Mutex
	fails string // the error type that every call gets
	key   cipher.AEAD
}

// NewKMS starts one. A call that is not signed as documented gets what AWS answers
// then; one that KMS would not understand fails the test.
func NewKMS(t testing.TB) *KMS {
	d := &KMS{key: newVersion()}
	d.Server = httptest.NewServer(strict(t, d.serve))
	t.Cleanup(d.Close)
	return d
}

// Fail has every call answered by an error of that type; "": no more.
func (d *KMS) Fail(kind string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = kind
}

func (d *KMS) serve(w http.ResponseWriter, r *http.Request) (fault string) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if !ok || r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		return fmt.Sprintf("%s %s %s", r.Method, r.URL, r.Header.Get("X-Amz-Target"))
	}
	var in struct {
		KeyID          string `json:"KeyId"`
		Plaintext      []byte
		CiphertextBlob []byte
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return err.Error()
	}
	if !strings.HasSuffix(r.Header.Get("Authorization"), "Signature="+AWSSignature(r, body, "kms")) {
		kmsError(w, "InvalidSignatureException")
		return ""
	}
	switch {
	case d.fails != "":
		kmsError(w, d.fails)
	case in.KeyID != KMSKey && in.KeyID != KMSAlias && (operation == "Encrypt" || in.KeyID != ""):
		kmsError(w, "NotFoundException")
	case operation == "Encrypt":
		blob := append([]byte(KMSKey+"\x00"), seal(d.key, in.Plaintext)...)
		answer(w, http.StatusOK, map[string]any{"CiphertextBlob": blob, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": KMSKey})
	case operation == "Decrypt":
		_, sealed, _ := strings.Cut(string(in.CiphertextBlob), "\x00")
		if plain, ok := open(d.key, []byte(sealed)); ok {
			answer(w, http.StatusOK, map[string]any{"Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": KMSKey})
			return ""
		}
		kmsError(w, "InvalidCiphertextException")
	default:
		return operation
	}
	return ""
}

// kmsError answers an error of AWS's JSON 1.1 protocol.
func kmsError(w http.ResponseWriter, kind string) {
	status := http.StatusBadRequest
	if kind == "KMSInternalException" || kind == "DependencyTimeoutException" {
		status = http.StatusInternalServerError
	}
	answer(w, status, map[string]any{"__type": kind, "message": "as the double was told"})
}
