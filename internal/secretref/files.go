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

	"github.com/tenure-gateway/tenure"
)

// Files are secrets in files of this machine: those that Kubernetes mounts, and
// others. No link leads out of the directory that a rule allows.
type Files struct {
	// Allow are the rules, whose directories are the bounds.
	Allow Rules
}

// Fetch implements System.
func (f *Files) Fetch(_ context.Context, a Address) (Value, error) {
	mark := f.mark(a) // before it is read: what changes in between is read again
	text, err := f.read(a)
	if err != nil {
		return Value{}, err
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
	root, rest := f.bounds(a)
	dir, err := os.OpenRoot(root)
	if err != nil {
		return "", fileError(a, err)
	}
	defer func() { _ = dir.Close() }()
	// Not waiting for whoever may write to a pipe.
	if info, err := dir.Stat(rest); err != nil {
		return "", fileError(a, err)
	} else if !info.Mode().IsRegular() {
		return "", missing(a, "it is no file")
	}
	file, err := dir.Open(rest)
	if err != nil {
		return "", fileError(a, err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxSecret+2))
	if err != nil {
		return "", fileError(a, err)
	}
	return string(text), nil
}

// bounds are the directory that nothing leads out of, and the path below it: the
// deepest that a rule names, or that of a file which a rule names by itself.
func (f *Files) bounds(a Address) (root, rest string) {
	for _, rules := range f.Allow {
		for _, rule := range rules {
			dir, ok := strings.CutPrefix(rule, a.Scheme+"://")
			if ok && strings.HasSuffix(dir, "/") && strings.HasPrefix(a.Path, dir) && len(dir) > len(root)+1 {
				root = strings.TrimSuffix(dir, "/")
			}
		}
	}
	if root == "" {
		root = path.Dir(a.Path)
	}
	return root, strings.TrimPrefix(a.Path, root+"/")
}

// mark changes when the file does: kubelet puts a new directory in the place of a
// link, which changes the file behind the same name.
func (f *Files) mark(a Address) string {
	root, rest := f.bounds(a)
	dir, err := os.OpenRoot(root)
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
