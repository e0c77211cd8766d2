package secretref

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tenure-gateway/tenure"
)

// AWS is AWS Secrets Manager, by its JSON protocol. Its fields are set before first use.
type AWS struct {
	Client   *http.Client
	Endpoint string // https://secretsmanager.REGION.amazonaws.com
	Region   string
	// Credentials are what requests are signed with.
	Credentials func(context.Context) (aws.Credentials, error)
	Now         func() time.Time
}

// Fetch implements System. The version is an id, or a stage such as AWSPREVIOUS.
func (s *AWS) Fetch(ctx context.Context, a Address) (Value, error) {
	ask := map[string]string{"SecretId": a.Path}
	switch {
	case strings.HasPrefix(a.Version, "AWS"): // the stages that AWS itself moves
		ask["VersionStage"] = a.Version
	case a.Version != "":
		ask["VersionId"] = a.Version
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return Value{}, unavailable(a, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return Value{}, unavailable(a, err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	credentials, err := s.Credentials(ctx)
	if err != nil {
		return Value{}, unavailable(a, err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), "secretsmanager", s.Region, s.Now()); err != nil {
		return Value{}, unavailable(a, err)
	}
	w, err := send(s.Client, req)
	if err != nil {
		return Value{}, unavailable(a, err)
	}
	defer clear(w.body)
	return s.value(a, w)
}

func (s *AWS) value(a Address, w answer) (Value, error) {
	var got struct {
		Kind   string  `json:"__type"`
		Text   *string `json:"SecretString"`
		Binary []byte  `json:"SecretBinary"`
	}
	err := json.Unmarshal(w.body, &got)
	if w.status == http.StatusBadRequest { // what was wrong is in its name
		_, kind, ok := strings.Cut(got.Kind, "#")
		if !ok {
			kind = got.Kind
		}
		switch kind {
		case "ResourceNotFoundException", "InvalidRequestException": // the latter: it is to be deleted
			return Value{}, missing(a, "there is no such secret, no such version, or it is to be deleted")
		case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "DecryptionFailure":
			return Value{}, denied(a, strangeError(kind))
		case "ThrottlingException", "InternalServiceError":
			return Value{}, strange(a, kind)
		}
	}
	if err := w.judge(a); err != nil {
		return Value{}, err
	}
	text := string(got.Binary)
	if got.Text != nil {
		text = *got.Text
	}
	if err != nil {
		return Value{}, strange(a, "the answer is no JSON")
	}
	secret, err := field(a, text)
	return Value{Secret: secret}, err
}

type strangeError string

// Error implements error.
func (e strangeError) Error() string { return string(e) }

// Google is Google Cloud Secret Manager, by its REST interface. Its fields are set
// before first use.
type Google struct {
	Client   *http.Client
	Endpoint string // https://secretmanager.googleapis.com
	// Token is an OAuth access token.
	Token func(context.Context) (tenure.Secret, error)
}

// castagnoli is the polynomial by which Google sums secrets. Nobody modifies it.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Fetch implements System.
func (s *Google) Fetch(ctx context.Context, a Address) (Value, error) {
	project, name, _ := strings.Cut(a.Path, "/")
	version := a.Version
	if version == "" {
		version = "latest"
	}
	w, err := bearer(ctx, s.Client, s.Token, a, s.Endpoint+"/v1/projects/"+project+"/secrets/"+name+"/versions/"+version+":access")
	if err != nil {
		return Value{}, err
	}
	defer clear(w.body)
	if w.status == http.StatusBadRequest { // FAILED_PRECONDITION: the version is disabled or destroyed
		return Value{}, missing(a, "this version is disabled or destroyed, or the name is none")
	}
	if err := w.judge(a); err != nil {
		return Value{}, err
	}
	var got struct {
		Payload *struct {
			Data string `json:"data"`
			Sum  string `json:"dataCrc32c"`
		} `json:"payload"`
	}
	if json.Unmarshal(w.body, &got) != nil || got.Payload == nil {
		return Value{}, strange(a, "the answer has no payload")
	}
	data, err := base64.StdEncoding.DecodeString(got.Payload.Data)
	if err != nil {
		return Value{}, strange(a, "the payload is no base64")
	}
	if got.Payload.Sum != "" && got.Payload.Sum != strconv.FormatUint(uint64(crc32.Checksum(data, castagnoli)), 10) {
		return Value{}, strange(a, "the payload is not what was stored: its checksum differs")
	}
	secret, err := field(a, string(data))
	return Value{Secret: secret}, err
}

// Azure is Azure Key Vault. Its fields are set before first use.
type Azure struct {
	Client *http.Client
	// Suffix follows the name of a vault: .vault.azure.net
	Suffix string
	// Token is an access token for https://vault.azure.net.
	Token func(context.Context) (tenure.Secret, error)
	Now   func() time.Time
}

// Fetch implements System.
func (s *Azure) Fetch(ctx context.Context, a Address) (Value, error) {
	vault, name, _ := strings.Cut(a.Path, "/")
	w, err := bearer(ctx, s.Client, s.Token, a, "https://"+vault+s.Suffix+"/secrets/"+name+"/"+a.Version+"?api-version=7.4")
	if err != nil {
		return Value{}, err
	}
	defer clear(w.body)
	if err := w.judge(a); err != nil {
		return Value{}, err
	}
	var got struct {
		Value      *string `json:"value"`
		Attributes struct {
			Enabled *bool `json:"enabled"`
			Expires int64 `json:"exp"`
			Begins  int64 `json:"nbf"`
		} `json:"attributes"`
	}
	if json.Unmarshal(w.body, &got) != nil || got.Value == nil {
		return Value{}, strange(a, "the answer has no value")
	}
	now, until := s.Now(), time.Unix(got.Attributes.Expires, 0)
	switch { // Key Vault itself tells, and gives the value all the same
	case got.Attributes.Enabled != nil && !*got.Attributes.Enabled:
		return Value{}, missing(a, "this version is disabled")
	case got.Attributes.Expires != 0 && !now.Before(until):
		return Value{}, missing(a, "this version has expired there")
	case got.Attributes.Begins != 0 && now.Before(time.Unix(got.Attributes.Begins, 0)):
		return Value{}, missing(a, "this version is not valid yet")
	case got.Attributes.Expires == 0:
		until = time.Time{}
	}
	secret, err := field(a, *got.Value)
	return Value{Secret: secret, Until: until}, err
}

// bearer asks with an access token.
func bearer(ctx context.Context, client *http.Client, token func(context.Context) (tenure.Secret, error), a Address, url string) (answer, error) {
	proof, err := token(ctx)
	if err != nil {
		return answer{}, unavailable(a, err)
	}
	req, err := request(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, unavailable(a, err)
	}
	req.Header.Set("Authorization", "Bearer "+proof.Reveal())
	w, err := send(client, req)
	if err != nil {
		return answer{}, unavailable(a, err)
	}
	return w, nil
}
