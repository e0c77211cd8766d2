package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenure-gateway/tenure/internal/keys/keystest"
)

func (w *world) kv(ts *testscript.TestScript, args []string) error {
	switch {
	case len(args) == 0:
		w.secrets = keystest.NewKV(w.t)
		ts.Setenv("VAULT_ADDR", w.secrets.URL)
		ts.Setenv("VAULT_TOKEN", keystest.KVToken)
	case args[0] == "seal":
		w.secrets.Set(func() { w.secrets.Sealed = true })
	case args[0] == "unseal":
		w.secrets.Set(func() { w.secrets.Sealed = false })
	case args[0] == "deny":
		w.secrets.Set(func() { delete(w.secrets.Tokens, keystest.KVToken) })
	case args[0] == "put" && len(args) == 3:
		w.secrets.Put(args[1], "api_key", args[2])
	default:
		return fmt.Errorf("kv knows no %s", strings.Join(args, " "))
	}
	return nil
}

// mounted puts a secret where Kubernetes would mount it, as kubelet does: the directory
// of the new version takes the place of a link.
func (w *world) mounted(ts *testscript.TestScript, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: mounted DIRECTORY NAME VALUE")
	}
	dir := ts.MkAbs(args[0])
	version, err := os.MkdirTemp(dir, "..version")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(version, args[1]), []byte(args[2]), 0o600); err != nil {
		return err
	}
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		return err
	}
	if err := os.Symlink(filepath.Join("..data", args[1]), filepath.Join(dir, args[1])); !os.IsExist(err) {
		return err
	}
	return nil
}
