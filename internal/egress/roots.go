package egress

import (
	"crypto/x509"
	"fmt"
	"os"
)

// RootsWith gives the authorities of the system and those in a PEM file; nil without
// a file, which is those of the system.
func RootsWith(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in %s", file)
	}
	return pool, nil
}
