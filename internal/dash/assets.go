package dash

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"

	"github.com/tenure-gateway/tenure"
)

//go:embed static
var staticFiles embed.FS

//go:embed templates
var templateFiles embed.FS

// An asset is one static file.
type asset struct {
	body []byte
	kind string // Content-Type
	hash string // of the body, short: it is part of the address, so that a browser keeps the file for good
}

// assets are the static files by name.
var assets = mustAssets()

func mustAssets() map[string]asset {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	entries, _ := staticFiles.ReadDir("static") // embedded: it is there
	all := make(map[string]asset, len(entries))
	for _, e := range entries {
		body, _ := staticFiles.ReadFile("static/" + e.Name())
		sum := sha256.Sum256(body)
		all[e.Name()] = asset{body: body, kind: kinds[path.Ext(e.Name())], hash: hex.EncodeToString(sum[:6])}
	}
	return all
}

// assetURL is the address of a static file for as long as it has this content.
func assetURL(name string) string { return "/static/" + name + "?v=" + assets[name].hash }

// static answers with a static file.
func static(w http.ResponseWriter, r *http.Request) error {
	a, ok := assets[r.PathValue("file")]
	if !ok {
		return tenure.ErrNotFound
	}
	h := w.Header()
	tag := `"` + a.hash + `"`
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", a.kind)
	_, err := w.Write(a.body)
	return err
}
