// Package webhook posts what is signed as Standard Webhooks does. It owns the signature,
// how secrets for it are made, and what an error of it may say.
//
// It decides nothing about when something is posted, whereto, and what is tried again.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// secretPrefix is how Standard Webhooks marks a secret.
const secretPrefix = "whsec_"

// NewSecret makes a secret to sign with.
func NewSecret() tenure.Secret {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // crypto/rand never fails (Go 1.24 and later)
	return tenure.NewSecret(secretPrefix + base64.StdEncoding.EncodeToString(raw))
}

// Message is what is posted. The same message has the same id, however often.
type Message struct {
	URL         string
	ID          string
	ContentType string
	Body        []byte
	Secret      tenure.Secret // zero: it is not signed
	Before      tenure.Secret // the one before, which signs too; zero: there is none
	Header      http.Header   // further ones
}

// Post posts a message at a time, and gives the answer's status and its body, 64 KiB of it at most;
// an error unless the status is 2xx.
func Post(ctx context.Context, client *http.Client, m Message, at time.Time) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return 0, nil, err
	}
	for name, values := range m.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", m.ContentType)
	req.Header.Set("User-Agent", "Tenure")
	if !m.Secret.IsZero() {
		stamp := strconv.FormatInt(at.Unix(), 10)
		signature, err := sign(m.Secret, m.ID, stamp, m.Body)
		if err == nil && !m.Before.IsZero() {
			var second string
			second, err = sign(m.Before, m.ID, stamp, m.Body)
			signature += " " + second // a list of them, as Standard Webhooks has it
		}
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Webhook-Id", m.ID)
		req.Header.Set("Webhook-Timestamp", stamp)
		req.Header.Set("Webhook-Signature", signature)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		wait, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return res.StatusCode, nil, &StatusError{res.StatusCode, time.Duration(max(wait, 0)) * time.Second}
	}
	return res.StatusCode, answer, err
}

// StatusError is an answer that is no acceptance. Redirects are not followed.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // that the answer asks for; 0: none
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("it answered %d", e.Status) }

// Reason is why an attempt failed, without the URL, whose path may be a secret.
func Reason(err error) string {
	var own *tenure.Error
	if errors.As(err, &own) {
		return own.Msg
	}
	text := err.Error()
	if _, after, ok := strings.Cut(text, "\": "); ok { // net/url: Post "https://…": what
		text = after
	}
	return text
}

// sign is Standard Webhooks' signature: HMAC-SHA256 over id, time and body, with
// dots between, under the secret's bytes.
func sign(secret tenure.Secret, id, stamp string, body []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), secretPrefix))
	if err != nil {
		return "", errors.New("the webhook's secret is not base64")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
