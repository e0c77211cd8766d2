package evidence

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"
)

// form is the version of a bundle's form.
const form = 1

// The files of every bundle.
const (
	manifestFile  = "manifest.json"
	signatureFile = "manifest.note"
	logFile       = "log.jsonl"
	checksFile    = "checks.jsonl"
)

// Manifest says what a bundle is of, and what is in it.
type Manifest struct {
	Form        int            `json:"tenure_evidence"`
	Install     string         `json:"install"`
	Tenant      string         `json:"tenant"`
	TenantName  string         `json:"tenant_name"`
	From        time.Time      `json:"from"`
	To          time.Time      `json:"to"`
	Controls    []string       `json:"controls"` // that were asked for; empty: all
	Sample      int            `json:"sample"`
	Seed        string         `json:"seed"`
	CollectedAt time.Time      `json:"collected_at"` // the instant that everything is of
	CollectedBy string         `json:"collected_by"`
	Version     string         `json:"version"` // of the product, which collected
	Checks      map[string]int `json:"checks"`  // how many have which result
	Log         LogFacts       `json:"log"`
	Files       []File         `json:"files"`
	Digest      string         `json:"-"` // SHA-256 of the manifest itself
}

// LogFacts say what of the audit log is in a bundle.
type LogFacts struct {
	Events     int64  `json:"events"`            // of the tenant and the period
	Unproved   int64  `json:"unproved"`          // of those: committed after the checkpoint
	Removed    int64  `json:"removed,omitempty"` // of the tenant, by retention, of a time that has part in the period
	Checkpoint string `json:"checkpoint"`
	// Standing is what the installation itself knows of its log; nil: it was not asked.
	Standing *LogStanding `json:"standing,omitempty"`
}

// LogStanding is what an installation knows of its whole log when a bundle is made.
type LogStanding struct {
	SignedAt   *time.Time `json:"signed_at"`   // when the newest checkpoint was signed; nil: none is
	VerifiedAt *time.Time `json:"verified_at"` // when what is new was verified last; nil: never
	WholeAt    *time.Time `json:"whole_at"`    // when all of it was verified last; nil: never
	Places     int64      `json:"places"`      // that are verified, from the first one on
	Fault      string     `json:"fault,omitempty"`
	FaultPlace *int64     `json:"fault_place,omitempty"`
	FaultAt    *time.Time `json:"fault_at,omitempty"` // when it was found
}

// File is one file of a bundle, beside the manifest and its signature.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
	Rows   *int64 `json:"rows,omitempty"` // of a population
}

// bundle writes the files of one.
type bundle struct {
	zip   *zip.Writer
	at    time.Time
	tell  func(string, int64)
	rows  int64
	files []File
}

func newBundle(w io.Writer, at time.Time, tell func(string, int64)) *bundle {
	return &bundle{zip: zip.NewWriter(w), at: at, tell: tell}
}

// told is how often progress is told, in rows.
const told = 1000

// row counts a row that was written, or read for what is.
func (b *bundle) row(what string) {
	if b.rows++; b.rows%told == 0 {
		b.tell(what, b.rows)
	}
}

// file adds one. write gives how many rows there are; less than 0: it has none.
func (b *bundle) file(name string, write func(io.Writer) (int64, error)) error {
	b.tell(name, b.rows)
	to, err := b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: b.at})
	if err != nil {
		return err
	}
	sum := sha256.New()
	size := &counter{w: io.MultiWriter(to, sum)}
	rows, err := write(size)
	if err != nil {
		return err
	}
	f := File{Name: name, Bytes: size.n, SHA256: hex.EncodeToString(sum.Sum(nil))}
	if rows >= 0 {
		f.Rows = &rows
	}
	b.files = append(b.files, f)
	return nil
}

// text adds a file of text.
func (b *bundle) text(name, text string) error {
	return b.file(name, func(w io.Writer) (int64, error) {
		_, err := io.WriteString(w, text)
		return -1, err
	})
}

// manifest adds it, and gives its digest.
func (b *bundle) manifest(m Manifest) (string, error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return "", err
	}
	text = append(text, '\n')
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), b.bare(manifestFile, text)
}

// end adds the signature, and what a zip ends with.
func (b *bundle) end(note string) error {
	if err := b.bare(signatureFile, []byte(note)); err != nil {
		return err
	}
	b.tell(signatureFile, b.rows)
	return b.zip.Close()
}

func (b *bundle) bare(name string, text []byte) error {
	to, err := b.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: b.at})
	if err == nil {
		_, err = to.Write(text)
	}
	return err
}

type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
