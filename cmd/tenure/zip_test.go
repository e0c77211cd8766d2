package main

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// unpack ZIP DIRECTORY writes what is in a zip file to a directory.
func (*world) unpack(ts *testscript.TestScript, args []string) error {
	in, err := zip.OpenReader(ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	dir := ts.MkAbs(args[1])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range in.File {
		text, err := unzipped(f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(f.Name)), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return in.Close()
}

// repack ZIP NEW [-NAME | NAME=FILE]... writes a zip file anew, without a file, or with
// another in its place or at the end.
func (*world) repack(ts *testscript.TestScript, args []string) error {
	in, err := zip.OpenReader(ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	instead, gone := map[string]string{}, map[string]bool{}
	var added []string
	for _, a := range args[2:] {
		if name, ok := strings.CutPrefix(a, "-"); ok {
			gone[name] = true
			continue
		}
		name, file, _ := strings.Cut(a, "=")
		if _, err := in.Open(name); err != nil || instead[name] != "" {
			added = append(added, a)
			continue
		}
		instead[name] = file
	}
	to, err := os.Create(ts.MkAbs(args[1]))
	if err != nil {
		return err
	}
	out := zip.NewWriter(to)
	put := func(name string, text []byte, err error) error {
		if err != nil {
			return err
		}
		w, err := out.Create(name)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	for _, f := range in.File {
		if gone[f.Name] {
			continue
		}
		text, err := unzipped(f)
		if file := instead[f.Name]; file != "" {
			text, err = os.ReadFile(ts.MkAbs(file))
		}
		if err := put(f.Name, text, err); err != nil {
			return err
		}
	}
	for _, a := range added {
		name, file, _ := strings.Cut(a, "=")
		text, err := os.ReadFile(ts.MkAbs(file))
		if err := put(name, text, err); err != nil {
			return err
		}
	}
	return errors.Join(out.Close(), to.Close(), in.Close())
}

// unzipped reads a file of a zip.
func unzipped(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	return text, errors.Join(err, r.Close())
}

// bundleRows reads the lines of JSON of a file of a zip.
func bundleRows(t *testing.T, name, file string) []map[string]any {
	t.Helper()
	in, err := zip.OpenReader(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	f, err := in.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for lines := json.NewDecoder(f); ; {
		var row map[string]any
		err := lines.Decode(&row)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, row)
	}
}

// searchEvidence takes evidence, of which the settings are a part, and looks into it: for
// secrets, and for what they are known by.
func (c *canary) searchEvidence(auditor string) {
	c.t.Helper()
	got := c.ask(200, request{"POST", "/api/v1/admin/evidence", []string{auditor}, `{"from":"2020-01-01T00:00:00Z"}`})
	in, err := zip.NewReader(strings.NewReader(got.body), int64(len(got.body)))
	if err != nil {
		c.t.Fatal(err)
	}
	all := ""
	for _, f := range in.File {
		text, err := unzipped(f)
		if err != nil {
			c.t.Fatal(err)
		}
		all += string(text)
	}
	if !strings.Contains(all, "alice@example.com") || !strings.Contains(all, "TENURE_ADMINS") {
		c.t.Error("the evidence tells of nobody, or not of the settings")
	}
	c.searchText("the evidence", all)
}
