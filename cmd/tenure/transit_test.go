package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

func (w *world) transit(ts *testscript.TestScript, args []string) error {
	switch strings.Join(args, " ") {
	case "":
		w.vault = keystest.NewTransit(w.t)
		ts.Setenv("VAULT_ADDR", w.vault.URL)
		ts.Setenv("VAULT_TOKEN", keystest.TransitToken)
		ts.Setenv("TENURE_KEY_URL", "hashivault://tenure")
		return w.manage("keys/tenure")
	case "seal":
		w.vault.Set(func(d *keystest.Transit) { d.Sealed = true })
	case "unseal":
		w.vault.Set(func(d *keystest.Transit) { d.Sealed = false })
	case "busy":
		w.vault.Set(func(d *keystest.Transit) { d.Busy = 1_000_000 })
	case "idle":
		w.vault.Set(func(d *keystest.Transit) { d.Busy = 0 })
	case "opened": // it tries every 15 seconds at last
		for end := time.Now().Add(40 * time.Second); ; time.Sleep(settle) {
			if strings.Contains(w.process.errors.String(), "the vault is open again") {
				return nil
			}
			if time.Now().After(end) {
				return errors.New("it did not open by itself")
			}
		}
	case "rotate":
		return w.manage("keys/tenure/rotate")
	default:
		return fmt.Errorf("transit knows no %v", args)
	}
	return nil
}

// manage asks the transit engine for what an administrator of Vault does.
func (w *world) manage(path string) error {
	r, err := http.NewRequest(http.MethodPost, w.vault.URL+"/v1/transit/"+path, nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Vault-Token", keystest.TransitToken)
	r.Header.Set("X-Vault-Request", "true")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusNoContent {
		return errors.Join(fmt.Errorf("%s: %s", path, res.Status), res.Body.Close())
	}
	return res.Body.Close()
}
