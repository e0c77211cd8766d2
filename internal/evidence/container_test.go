package evidence_test

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/evidence"
)

// packing gives what is in a bundle into another zip, each file after change.
func packing(t *testing.T, bundle []byte, change func(*zip.FileHeader), begin string, comment string) []byte {
	t.Helper()
	in, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.WriteString(begin)
	out := zip.NewWriter(&b)
	out.SetOffset(int64(len(begin)))
	if err := out.SetComment(comment); err != nil {
		t.Fatal(err)
	}
	for _, f := range in.File {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: f.Modified}
		change(h)
		w, err := out.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, content(t, bundle, f.Name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What a reader by the headers of the files would find is what a reader by the directory
// finds: a zip that has anything beside, or says it in two ways, is refused.
func TestABundleIsReadInOneWay(t *testing.T) {
	h := open(t)
	bundle, _ := h.export(tenure.DefaultTenant, evidence.Query{From: time.Now().Add(-time.Hour)})
	plain := func(*zip.FileHeader) {}
	if _, err := verified(packing(t, bundle, plain, "", ""), trust()); err != nil {
		t.Fatal(err)
	}
	var other bytes.Buffer
	w := zip.NewWriter(&other)
	if f, err := w.Create("leavers.csv"); err != nil {
		t.Fatal(err)
	} else if _, err = io.WriteString(f, "nobody left"); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	false1, behind := other.String(), bytes.Index(bundle, []byte("PK\x01\x02"))
	named := bytes.Replace(bundle, []byte("people.csv"), []byte("peopIe.csv"), 1)
	size := bytes.Clone(bundle)
	size[18]++ // packed, in the header of the first file
	for name, bad := range map[string][]byte{
		"before":          append([]byte(false1), bundle...),
		"before, counted": packing(t, bundle, plain, false1, ""),
		"between":         bytes.Join([][]byte{bundle[:behind], []byte(false1), bundle[behind:]}, nil),
		"behind":          append(bytes.Clone(bundle), 0),
		"a comment":       packing(t, bundle, plain, "", "hello"),
		"two names":       named,
		"two sizes":       size,
		"a link":          packing(t, bundle, func(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }, "", ""),
		"an extra field":  packing(t, bundle, func(h *zip.FileHeader) { h.Extra = []byte{1, 2, 0, 0} }, "", ""),
		"a remark":        packing(t, bundle, func(h *zip.FileHeader) { h.Comment = "x" }, "", ""),
		"stored":          packing(t, bundle, func(h *zip.FileHeader) { h.Method = zip.Store }, "", ""),
		"cut short":       bundle[:len(bundle)-1],
		"empty":           nil,
	} {
		if _, err := verified(bad, trust()); err == nil {
			t.Errorf("%s: it verifies", name)
		} else if strings.Contains(err.Error(), "manifest") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The log of a bundle is not believed, nor is a line without an end kept.
func TestALogIsReadByLine(t *testing.T) {
	h := open(t)
	h.event(tenure.DefaultTenant, "policy.changed", "alice")
	bundle, _ := h.export(tenure.DefaultTenant, evidence.Query{From: time.Now().Add(-time.Hour)})
	in, err := zip.NewReader(bytes.NewReader(bundle), int64(len(bundle)))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		strings.Replace(content(t, bundle, "log.jsonl"), "policy.changed", "policy.deleted", 1): "log.jsonl was changed",
		`{"event":{"id":"` + strings.Repeat("a", 2<<20) + `"}}`:                                 "log.jsonl was changed",
	} {
		var b bytes.Buffer
		out := zip.NewWriter(&b)
		for _, f := range in.File {
			w, err := out.Create(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			body := content(t, bundle, f.Name)
			if f.Name == "log.jsonl" {
				body = text
			}
			if _, err := io.WriteString(w, body); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := verified(b.Bytes(), trust()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}
