package evidence

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"golang.org/x/mod/sumdb/tlog"
)

// Trust is what a verification believes.
type Trust struct {
	// Statement gives the text of a signed statement, and the key that signed it; it fails
	// where no trusted key has.
	Statement func(signed string) (text, key string, err error)
	// Checkpoint gives the size and the root that a checkpoint says, likewise.
	Checkpoint func(note string) (size int64, root tlog.Hash, err error)
	// Kept is a checkpoint that was kept elsewhere, which the log must agree with; "": none.
	Kept string
}

// Verified is what a bundle was found to be.
type Verified struct {
	Manifest
	Key    string // that signed it
	Proved int64  // events that are in the log under its checkpoint
	Places int64  // that the log has by the checkpoint
}

// Bounds of what is read before anything is known of a bundle.
const (
	maxManifest  = 4 << 20
	maxSignature = 64 << 10
	maxLine      = 1 << 20 // of the log
)

// aName is what a file of a bundle may be called: nothing that leads elsewhere.
var aName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// Verify holds a bundle against its signature: that each file is the one of the manifest,
// none is missing and none was added, that a trusted key has signed it, and that its audit
// events are at their places of the log whose root a trusted key has signed. The error
// names the first thing that is wrong.
func Verify(r io.ReaderAt, size int64, trust Trust) (Verified, error) {
	all, err := unzip(r, size)
	if err != nil {
		return Verified{}, err
	}
	files, err := named(all)
	if err != nil {
		return Verified{}, err
	}
	v, err := signed(files, trust)
	if err != nil {
		return v, err
	}
	listed := map[string]bool{manifestFile: true, signatureFile: true}
	for _, f := range v.Files {
		listed[f.Name] = true
		if files[f.Name] == nil {
			return v, fmt.Errorf("%s is missing: the manifest names it", f.Name)
		}
	}
	for _, f := range all {
		if !listed[f.name] {
			return v, fmt.Errorf("%s was added: the manifest does not name it", f.name)
		}
	}
	for _, f := range v.Files {
		if err := v.file(files[f.Name], f, trust); err != nil {
			return v, err
		}
	}
	return v, nil
}

// named gives the files by their names.
func named(all []*packed) (map[string]*packed, error) {
	files := map[string]*packed{}
	for _, f := range all {
		if files[f.name] != nil {
			return nil, fmt.Errorf("%s is there twice", f.name)
		}
		files[f.name] = f
	}
	return files, nil
}

// signed reads the manifest, if a trusted key has signed it.
func signed(files map[string]*packed, trust Trust) (Verified, error) {
	manifest, err := whole(files, manifestFile, maxManifest)
	if err != nil {
		return Verified{}, err
	}
	note, err := whole(files, signatureFile, maxSignature)
	if err != nil {
		return Verified{}, err
	}
	said, key, err := trust.Statement(string(note))
	if err != nil {
		return Verified{}, fmt.Errorf("%s is not to be trusted: %w", signatureFile, err)
	}
	sum := sha256.Sum256(manifest)
	v := Verified{Key: key}
	v.Digest = hex.EncodeToString(sum[:])
	if said != statement(v.Digest) {
		return v, fmt.Errorf("%s is not the one that was signed: it was changed, or is of another bundle", manifestFile)
	}
	if err := json.Unmarshal(manifest, &v.Manifest); err != nil {
		return v, fmt.Errorf("%s cannot be read: %w", manifestFile, err)
	}
	if v.Form != form {
		return v, fmt.Errorf("the bundle is of form %d, which this version does not know", v.Form)
	}
	return v, nil
}

func whole(files map[string]*packed, name string, most int64) ([]byte, error) {
	f := files[name]
	if f == nil {
		return nil, fmt.Errorf("%s is missing", name)
	}
	text, err := io.ReadAll(io.LimitReader(f.open(), most+1))
	if err == nil && int64(len(text)) > most {
		err = errors.New("it is larger than any")
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	return text, nil
}

// file holds a file against the manifest, and reads no more of it than that has signed.
func (v *Verified) file(f *packed, want File, trust Trust) error {
	sum := sha256.New()
	size := &counter{w: sum}
	in := io.TeeReader(io.LimitReader(f.open(), want.Bytes+1), size)
	var wrong error
	if want.Name == logFile {
		wrong = v.log(in, trust)
	}
	_, err := io.Copy(io.Discard, in)
	switch {
	case size.n > want.Bytes:
		return fmt.Errorf("%s was changed: it has more than the %d bytes of the manifest", want.Name, want.Bytes)
	case err != nil && !errors.Is(err, errPacked):
		return fmt.Errorf("%s cannot be read: %w", want.Name, err)
	case err != nil || size.n != want.Bytes || hex.EncodeToString(sum.Sum(nil)) != want.SHA256:
		return fmt.Errorf("%s was changed: it is not the one of the manifest", want.Name)
	}
	return wrong
}

// log adds the events of the log and what stands between them up to the root, and holds
// that against the checkpoint.
func (v *Verified) log(in io.Reader, trust Trust) error {
	a := adding{tenant: v.Tenant}
	if trust.Kept != "" {
		var err error
		if a.keptSize, a.keptRoot, err = trust.Checkpoint(trust.Kept); err != nil {
			return fmt.Errorf("the given checkpoint is none of this log: %w", err)
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line logLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("%s: line %d cannot be read: %w", logFile, a.lines+1, err)
		}
		if a.lines++; !a.line(line) {
			return fmt.Errorf("%s: line %d is none of a log", logFile, a.lines)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: line %d cannot be read: %w", logFile, a.lines+1, err)
	}
	v.Proved, v.Places = a.events, a.tree.next
	if v.Log.Checkpoint == "" && a.tree.next == 0 {
		return nil // nothing had happened yet
	}
	size, root, err := trust.Checkpoint(v.Log.Checkpoint)
	switch {
	case err != nil:
		return fmt.Errorf("the checkpoint of the bundle is not to be trusted: %w", err)
	case size != a.tree.next || root != a.tree.root():
		return fmt.Errorf("%s: the events are not at their places of the log that was signed", logFile)
	case a.keptSize > size:
		return fmt.Errorf("the given checkpoint is of %d places, and the bundle was made when there were %d: give one that was kept before", a.keptSize, size)
	case a.keptSize > 0 && !a.met:
		return fmt.Errorf("the bundle does not say what was at place %d alone, where the given checkpoint ends: give one that was kept within the period, or verify the whole log", a.keptSize-1)
	case a.keptSize > 0 && !a.agrees:
		return fmt.Errorf("up to place %d the log is not the one of the given checkpoint: it was written anew", a.keptSize-1)
	}
	return nil
}

// adding goes along the log.
type adding struct {
	tenant   string
	tree     nodes
	lines    int64
	events   int64
	keptSize int64
	keptRoot tlog.Hash
	met      bool // the size of the kept checkpoint
	agrees   bool // with it
	over     bool // what follows has no place
}

// line adds one; false: it is none.
func (a *adding) line(l logLine) bool {
	switch {
	case l.Event != nil && l.Place != nil && l.Level == nil && !a.over:
		if *l.Place != a.tree.next {
			return false
		}
		a.events++
		a.tree.add(node{0, l.Event.leaf(a.tenant)})
	case l.Event != nil && l.Place == nil && l.Level == nil:
		a.over = true // committed after the checkpoint
	case l.Event == nil && l.Level != nil && l.Hash != nil && !a.over:
		if level := *l.Level; level < 0 || level > 60 || a.tree.next&(1<<level-1) != 0 || a.tree.next > 1<<60 {
			return false
		}
		a.tree.add(node{*l.Level, *l.Hash})
	default:
		return false
	}
	if a.keptSize > 0 && a.tree.next == a.keptSize {
		a.met, a.agrees = true, a.keptRoot == a.tree.root()
	}
	return true
}
