package web

import "net/http"

// Download is the body of an answer that is saved as a file. Its headers are set when the
// first byte comes: what goes wrong before is answered as everywhere.
type Download struct {
	W       http.ResponseWriter
	Type    string // of the content
	Name    string // of the file
	Trailer string // which trailers follow; "": none
	Begun   bool   // set by Write
}

// Write implements io.Writer.
func (d *Download) Write(p []byte) (int, error) {
	if !d.Begun {
		d.Begun = true
		h := d.W.Header()
		h.Set("Content-Type", d.Type)
		h.Set("Content-Disposition", `attachment; filename="`+d.Name+`"`)
		if d.Trailer != "" {
			h.Set("Trailer", d.Trailer)
		}
	}
	return d.W.Write(p)
}
