package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Keys are the public keys that an issuer signs with (RFC 7517 §5). A key that
// is not known yet has them fetched anew, at most once in ten seconds; while
// they cannot be fetched, the last good ones serve for a day.
type Keys struct{ set *document[[]jose.JSONWebKey] }

// NewKeys gives the keys that are published at an address.
func NewKeys(address string, client *http.Client, now func() time.Time) *Keys {
	return &Keys{set: &document[[]jose.JSONWebKey]{url: address, client: client, now: now, parse: parseKeys}}
}

// leastRSA is the smallest RSA key that is believed, in bits (NIST SP 800-131A).
const leastRSA = 2048

// errNoKey says that no published key could have made a signature.
var errNoKey = errors.New("no published key of the issuer fits the token")

// parseKeys reads a key set; a key that cannot be read, or that signs nothing,
// is passed over.
func parseKeys(body []byte) (*[]jose.JSONWebKey, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, err
	}
	keys := []jose.JSONWebKey{}
	for _, one := range raw.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(one) == nil && k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no public key to verify by")
	}
	return &keys, nil
}

// find gives the keys that may have made a signature.
func (k *Keys) find(ctx context.Context, kid, alg string) ([]jose.JSONWebKey, error) {
	fits := func(key jose.JSONWebKey) bool {
		return (kid == "" || key.KeyID == kid) && (key.Algorithm == "" || key.Algorithm == alg) && makes(key.Key, alg)
	}
	set, err := k.set.get(ctx, func(keys *[]jose.JSONWebKey) bool { return slices.ContainsFunc(*keys, fits) })
	if err != nil {
		return nil, err
	}
	var found []jose.JSONWebKey
	for _, key := range *set {
		if fits(key) {
			found = append(found, key)
		}
	}
	if len(found) == 0 {
		return nil, errNoKey
	}
	return found, nil
}

// makes reports whether a key of this type makes signatures of the algorithm
// (RFC 7518 §3.1, RFC 8037 §3.1).
func makes(key any, alg string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && key.N.BitLen() >= leastRSA
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return alg == "ES256"
		case elliptic.P384():
			return alg == "ES384"
		case elliptic.P521():
			return alg == "ES512"
		}
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
