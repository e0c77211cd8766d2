package secretref

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/tenure-gateway/tenure"
)

// Files are secrets in files of this machine: those that Kubernetes mounts, and
// others. No link leads out of the directory that a tenant's rule allows.
type Files struct{}

// Fetch implements System.
func (f *Files) Fetch(_ context.Context, a Address) (Value, error) {
	mark := f.mark(a) // before it is read: what changes in between is read again
	text, err := f.read(a)
	if err != nil {
		return Value{}, fileError(a, err)
	}
	text = strings.TrimRight(text, "\r\n")
	secret, err := field(a, text)
	if a.Scheme != SchemeK8s {
		mark = ""
	}
	return Value{Secret: secret, mark: mark}, err
}

// read reads the file. Which tenant may name it was judged before.
func (f *Files) read(a Address) (string, error) {
	dir, rest, err := f.open(a)
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }()
	return readPlain(rest, dir.Stat, dir.OpenFile)
}

// open opens the directory that the address stays in.
func (f *Files) open(a Address) (dir *os.Root, rest string, err error) {
	rest, ok := strings.CutPrefix(a.Path, a.within)
	if !ok || a.within == "" {
		return nil, "", fs.ErrPermission // no rule was asked
	}
	dir, err = os.OpenRoot(a.within)
	return dir, rest, err
}

// errNoFile says that something is a directory, a pipe or a device.
var errNoFile = errors.New("it is no file")

// readPlain reads a file, and nothing that is none: who opens a pipe may wait for ever,
// and who opens a device may move it.
func readPlain(name string, stat func(string) (fs.FileInfo, error), open func(string, int, fs.FileMode) (*os.File, error)) (string, error) {
	info, err := stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errNoFile
	}
	file, err := open(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be another by now
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	if info, err = file.Stat(); err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errNoFile
	}
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+2))
	return string(text), err
}

// mark changes when the file does: kubelet puts a new directory in the place of a
// link, which changes the file behind the same name.
func (f *Files) mark(a Address) string {
	dir, rest, err := f.open(a)
	if err != nil {
		return "none"
	}
	defer func() { _ = dir.Close() }()
	info, err := dir.Stat(rest)
	if err != nil {
		return "none"
	}
	link, _ := dir.Readlink(path.Join(path.Dir(rest), "..data"))
	return fmt.Sprintf("%s %d %d", link, info.ModTime().UnixNano(), info.Size())
}

func fileError(a Address, err error) error {
	switch {
	case errors.Is(err, errNoFile):
		return missing(a, "it is no file")
	case errors.Is(err, fs.ErrNotExist):
		return missing(a, "there is no such file")
	case errors.Is(err, fs.ErrPermission):
		return denied(a, err)
	case strings.Contains(err.Error(), "escapes"): // os.Root has no error value for it
		return denied(a, err)
	}
	return unavailable(a, err)
}

// Environment are secrets in the environment of this process. For development: whoever
// may look at the process sees them.
type Environment struct{}

// Fetch implements System.
func (Environment) Fetch(_ context.Context, a Address) (Value, error) {
	text, ok := os.LookupEnv(a.Path)
	if !ok {
		return Value{}, missing(a, "there is no such variable")
	}
	return Value{Secret: tenure.NewSecret(text)}, nil
}
