package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// Keys verify who reports a leak, by GitHub's scheme: ECDSA over P-256 with
// SHA-256 of the raw body, the signature in ASN.1 DER and base64.
type Keys []signingKey

type signingKey struct {
	id  string // the PEM block's Key-Identifier; empty: tried for every identifier
	key *ecdsa.PublicKey
}

// identifierHeader is the PEM header that says which key a block is.
const identifierHeader = "Key-Identifier"

// ParseKeys reads public keys in PEM, at least one.
func ParseKeys(text []byte) (Keys, error) {
	var keys Keys
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := parsed.(*ecdsa.PublicKey)
		if err != nil || !ok || key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("its block %d (%s) is no public key on the curve P-256", len(keys)+1, block.Type)
		}
		keys = append(keys, signingKey{block.Headers[identifierHeader], key})
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no block of PEM in it")
	}
	return keys, nil
}

// Verify reports whether signature is that of body by the key with this
// identifier, or by one that bears none.
func (k Keys) Verify(id, signature string, body []byte) bool {
	der, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || id == "" {
		return false
	}
	sum := sha256.Sum256(body)
	for _, key := range k {
		if (key.id == "" || key.id == id) && ecdsa.VerifyASN1(key.key, sum[:], der) {
			return true
		}
	}
	return false
}
