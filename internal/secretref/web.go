package secretref

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/tenure-gateway/tenure"
)

// maxAnswer is the longest answer of a system, in bytes.
const maxAnswer = 1 << 20

// answer is what a system said.
type answer struct {
	status int
	body   []byte
}

// send asks a system. The error is that it could not be asked.
func send(client *http.Client, req *http.Request) (answer, error) {
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("it answers more than %d bytes", maxAnswer)
	}
	return answer{res.StatusCode, body}, err
}

func request(ctx context.Context, method, url string, body any) (*http.Request, error) {
	if body == nil {
		return http.NewRequestWithContext(ctx, method, url, http.NoBody)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, err
}

// meaning is what an answer that is not 200 says: of which kind the error is for whoever
// asked for a secret, and whether it denies a login. Everything else is an outage, which
// passes: a redirect, a time-out, a standby that is behind, too many questions.
func (w answer) meaning() (kind tenure.Kind, denies bool) {
	switch w.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return tenure.Forbidden, true
	case http.StatusNotFound:
		return tenure.NotFound, true
	case http.StatusGone:
		return tenure.NotFound, false
	case http.StatusBadRequest:
		return tenure.Invalid, true
	case http.StatusMethodNotAllowed, http.StatusUnprocessableEntity:
		return tenure.Invalid, false
	}
	return tenure.Unavailable, false
}

// judge gives the error of an answer that is not 200. Nothing of its body is shown: it
// may have more in it than a reason.
func (w answer) judge(a Address) error {
	if w.status == http.StatusOK {
		return nil
	}
	err := fmt.Errorf("it answers %d", w.status)
	switch kind, _ := w.meaning(); kind {
	case tenure.Forbidden:
		return denied(a, err)
	case tenure.NotFound:
		return missing(a, "there is no such secret, or no such version")
	case tenure.Invalid:
		return &tenure.Error{Kind: tenure.Invalid, Code: "secret_refused", Msg: fmt.Sprintf("%s: what keeps it does not understand the question", a), Err: err}
	}
	return unavailable(a, err)
}

// field takes a field out of a secret that is a JSON object, where one is named.
func field(a Address, text string) (tenure.Secret, error) {
	if a.Field == "" {
		return tenure.NewSecret(text), nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &object) != nil {
		return tenure.Secret{}, missing(a, "it is no JSON object, so that it has no fields")
	}
	return textOf(a, object[a.Field])
}

// textOf is the text of a field.
func textOf(a Address, raw json.RawMessage) (tenure.Secret, error) {
	var text *string
	if json.Unmarshal(raw, &text) != nil || text == nil {
		return tenure.Secret{}, missing(a, "it has no such field, or one that is no text")
	}
	return tenure.NewSecret(*text), nil
}
