package oauth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/token"
	"github.com/tenure-gateway/tenure/internal/web"
)

// Bounds of one report.
const (
	maxReport = 1 << 20
	maxLeaks  = 1000
)

// leak is one match of GitHub's secret scanning partner program.
type leak struct {
	Token  string `json:"token"`
	Type   string `json:"type"`
	URL    string `json:"url"`
	Source string `json:"source"`
}

// feedback is what GitHub is told of one match: whether it was a credential.
type feedback struct {
	Hash  string `json:"token_hash"` // SHA-256 in lower-case hexadecimal; never the token
	Type  string `json:"token_type"`
	Label string `json:"label"`
}

// reporter is the actor of what a report does.
const reporter = "leak report"

var errUnsigned = &tenure.Error{
	Kind: tenure.Unauthenticated, Code: "invalid_signature",
	Msg: "Github-Public-Key-Identifier and Github-Public-Key-Signature do not verify this body with any key of TENURE_LEAK_KEYS",
}

// leaks ends the tokens that a scanner has found in public. Nothing happens
// before the signature over the whole body has been verified.
func (o *OAuth) leaks(w http.ResponseWriter, r *http.Request) error {
	if len(o.Keys) == 0 {
		return tenure.ErrNotFound
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReport))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &tenure.Error{Kind: tenure.TooLarge, Code: "request_too_large", Msg: "a report has at most 1 MiB"}
	}
	if err != nil {
		return &tenure.Error{Kind: tenure.ClientClosed, Code: "client_closed", Msg: "the report broke off", Err: err}
	}
	ids, signatures := r.Header["Github-Public-Key-Identifier"], r.Header["Github-Public-Key-Signature"]
	if len(ids) != 1 || len(signatures) != 1 || !o.Keys.Verify(ids[0], signatures[0], body) {
		return o.Refuse(r, "", errUnsigned)
	}
	found, err := parseLeaks(body)
	if err != nil {
		return err
	}
	answer := make([]feedback, len(found))
	for i, l := range found {
		done, err := o.Tokens.ReportLeak(r.Context(), token.Leak{Token: l.Token, Where: l.URL, By: reporter})
		if err != nil {
			return err // GitHub reports again; what is revoked stays so
		}
		answer[i] = feedback{tenure.DigestOf(l.Token).String(), tenure.Redact(l.Type), "false_positive"}
		if done.Known {
			answer[i].Label = "true_positive"
		}
	}
	web.WriteJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

func parseLeaks(body []byte) ([]leak, error) {
	var found []leak
	if err := json.Unmarshal(body, &found); err != nil || found == nil {
		return nil, &tenure.Error{Kind: tenure.Invalid, Code: "invalid_json", Msg: `a report is a JSON array of {"token","type","url","source"}`}
	}
	if len(found) > maxLeaks {
		return nil, &tenure.Error{Kind: tenure.TooLarge, Code: "request_too_large", Msg: "a report has at most 1000 entries; send several"}
	}
	return found, nil
}

// leakProblem is an error in the shape of RFC 9457, as on all of /api.
type leakProblem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
}

func failLeaks(w http.ResponseWriter, r *http.Request, err error) {
	e := tenure.AsError(err)
	status := web.Status(e.Kind)
	web.Challenge(w.Header(), e)
	if e.Code == errUnsigned.Code {
		w.Header().Set("WWW-Authenticate", `Signature realm="leaks"`)
	}
	web.RetryAfter(w.Header(), e)
	web.WriteJSON(w, "application/problem+json", status, leakProblem{
		"about:blank", http.StatusText(status), status, tenure.Redact(e.Msg), e.Code, web.EventOf(r.Context()).ID,
	})
}
