package keys

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Size is the size of every key here, in bytes: AES-256.
const Size = 32

// File is the KEK in a file: 32 bytes in base64.
type File struct {
	aead  cipher.AEAD
	check string
	path  string
}

// openFile reads the key in the file at path. It refuses a file that others may read
// (a group may read, and no more, what another user lays down for this one: so do
// Kubernetes and systemd).
func openFile(path string) (*File, error) {
	label := schemeFile + ":" + path
	info, err := os.Stat(path)
	if err != nil {
		e := &Error{Label: label, Problem: Away, Do: "see that this process may read it", Err: err}
		if errors.Is(err, os.ErrNotExist) {
			e.Problem, e.Do = Missing, "put it back"
		}
		return nil, e
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !keptFromOthers(info.Mode(), !ok || int(owner.Uid) == os.Geteuid()) {
		return nil, &Error{Label: label, Problem: Exposed, Do: fmt.Sprintf("its mode is %#o, chmod 600 it", info.Mode().Perm())}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{Label: label, Problem: Away, Do: "see that this process may read it", Err: err}
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != Size {
		return nil, &Error{Label: label, Problem: Wrong, Do: "put the right one back", Err: fmt.Errorf("it is not %d bytes in base64", Size)}
	}
	return newFile(raw, path)
}

func newFile(raw []byte, path string) (*File, error) {
	aead, err := GCM(raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte("tenure master key check\x00"), raw...))
	return &File{aead: aead, check: hex.EncodeToString(sum[:16]), path: path}, nil
}

// keptFromOthers tells that a file of this mode is read by nobody else. One that
// another user laid down for this process may be read by its group: so do Kubernetes
// and systemd.
func keptFromOthers(mode fs.FileMode, own bool) bool {
	others := fs.FileMode(0o077)
	if !own {
		others = 0o037
	}
	return mode.Perm()&others == 0
}

// making begins the names of files that become a key's.
const making = ".master-key-"

// Make makes the key file of a file: URL, of mode 0600, where there is none: whole or
// not at all, whatever fails meanwhile, and there for good when this returns. (Where the
// file system has no hard links, as FAT and some network ones, a crash of the machine may
// leave half of it, which is refused as a key.) Its error is fs.ErrExist where there is
// one.
func Make(raw string) error {
	path := FileOf(raw)
	if path == "" {
		return errors.New("only a file is made")
	}
	return makeFile(path, os.Link)
}

func makeFile(path string, link func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, making+"*") // of mode 0600
	if err != nil {
		return err
	}
	key := make([]byte, Size)
	_, _ = rand.Read(key) // crypto/rand never fails (Go 1.24 and later)
	text := base64.StdEncoding.EncodeToString(key) + "\n"
	if err = write(f, text); err == nil {
		err = link(f.Name(), path) // which writes over nothing
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, errors.ErrUnsupported) {
		err = writeNew(path, text)
	}
	gone := os.Remove(f.Name())
	if errors.Is(gone, fs.ErrNotExist) { // somebody tidied meanwhile
		gone = nil
	}
	return errors.Join(err, gone, syncDir(dir))
}

func write(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// writeNew writes a file that is not there yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = write(f, text); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// Tidy removes what a crash amid Make left beside the key file of a file: URL: another
// name of the same file. Anything else stays, and so does that where it cannot be removed.
func Tidy(raw string) {
	path := FileOf(raw)
	if path == "" {
		return
	}
	key, err := os.Lstat(path)
	if err != nil {
		return
	}
	if file, ok := key.Sys().(*syscall.Stat_t); !ok || file.Nlink < 2 {
		return
	}
	all, _ := os.ReadDir(filepath.Dir(path))
	for _, one := range all {
		if !strings.HasPrefix(one.Name(), making) {
			continue
		}
		if info, err := one.Info(); err == nil && os.SameFile(info, key) {
			_ = os.Remove(filepath.Join(filepath.Dir(path), one.Name()))
		}
	}
}

// syncDir makes the names in a directory durable, where the file system can.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, dir.Close())
}

// Check is what the key is known again by, as databases before the root key keep it.
func (f *File) Check() string { return f.check }

// About implements KEK. The ID goes with the key, wherever the file is.
func (f *File) About() About {
	id := schemeFile + ":" + f.check[:16]
	return About{ID: id, Name: id, Label: schemeFile + ":" + f.path, Algorithm: "AES-256-GCM"}
}

// Wrap implements KEK.
func (f *File) Wrap(_ context.Context, key, bound []byte) ([]byte, string, error) {
	return f.aead.Seal(nil, nil, key, bound), f.About().ID, nil //nolint:gosec // no nonce is given: NewGCMWithRandomNonce takes none
}

// Unwrap implements KEK.
func (f *File) Unwrap(_ context.Context, wrapped, bound []byte) ([]byte, error) {
	if len(wrapped) >= f.aead.Overhead() {
		if key, err := f.aead.Open(nil, nil, wrapped, bound); err == nil {
			return key, nil
		}
	}
	return nil, &Error{Label: f.About().Label, Problem: Wrong, Do: "it is of another key, or was changed or moved in the database"}
}

// GCM is AES-256-GCM that makes its nonces itself and carries them in what it seals.
func GCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
