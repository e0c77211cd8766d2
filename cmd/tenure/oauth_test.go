package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenure-gateway/tenure"
)

func (w *world) service(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: service NAME SCOPES [TENANT [CIDRS]]")
	}
	tenant, cidrs := "default", ""
	if len(args) > 2 {
		tenant = args[2]
	}
	if len(args) > 3 {
		cidrs = args[3]
	}
	secret, err := serviceToken(ts.Getenv("DB"), strings.ToLower(args[0]), args[1], tenant, cidrs)
	ts.Setenv(args[0], secret)
	return err
}

// serviceToken puts a service account with one token into the workspace "default"
// of a tenant, or "default-TENANT" of another, which is made at need.
func serviceToken(db, name, scopes, tenant, cidrs string) (string, error) {
	secret := tenure.NewToken(tenure.KindService).Reveal()
	workspace := "default"
	sql := ""
	if tenant != workspace {
		workspace = "default-" + tenant
		sql = fmt.Sprintf(`INSERT INTO tenants (id, name, active, created_at) VALUES ('%[1]s', '%[1]s', TRUE, datetime('now')) ON CONFLICT DO NOTHING;
			INSERT INTO workspaces (id, tenant_id, name, created_at) VALUES ('%[2]s', '%[1]s', 'default', datetime('now')) ON CONFLICT DO NOTHING;`, tenant, workspace)
	}
	_, err := sqlShell(db, sql+fmt.Sprintf(`
		INSERT INTO service_accounts (id, tenant_id, workspace_id, name, owner_user_id, created_at)
			VALUES ('account-%[1]s', '%[2]s', '%[3]s', '%[1]s', 'somebody', datetime('now'));
		INSERT INTO api_tokens (id, tenant_id, workspace_id, user_id, service_account_id, name, kind, token_hash, token_prefix, scopes, cidrs, created_at)
			VALUES ('token-%[1]s', '%[2]s', '%[3]s', '', 'account-%[1]s', '%[1]s', 'svc', '%[4]s', '%[5]s', '%[6]s', '%[7]s', datetime('now'));`,
		name, tenant, workspace, tenure.DigestOf(secret), secret[:tenure.TokenPrefixLength], scopes, cidrs))
	return secret, err
}

// leakKeyID is the identifier of the key that reports of leaks are signed with.
const leakKeyID = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c"

func (w *world) leakkeys(ts *testscript.TestScript, args []string) error {
	var err error
	if w.leakKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&w.leakKey.PublicKey)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Headers: map[string]string{"Key-Identifier": leakKeyID}, Bytes: der})
	return os.WriteFile(ts.MkAbs(args[0]), block, 0o600)
}

func (w *world) report(ts *testscript.TestScript, args []string) error {
	sum := sha256.Sum256([]byte(args[1]))
	signature, err := ecdsa.SignASN1(rand.Reader, w.leakKey, sum[:])
	if err != nil {
		return err
	}
	return w.ask(ts, args[0], request{"POST", "/api/v1/leaks", []string{
		"Github-Public-Key-Identifier: " + leakKeyID,
		"Github-Public-Key-Signature: " + base64.StdEncoding.EncodeToString(signature),
	}, args[1]})
}
