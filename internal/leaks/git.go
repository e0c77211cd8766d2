package leaks

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
)

// Repository is a directory, and what git has kept of it.
type Repository struct {
	// Dir is the top of the working tree, or the directory itself where git keeps
	// nothing of it.
	Dir string
	// NoHistory says why there is no history to look at; "": there is.
	NoHistory string
	// Shallow: only the newest commits were fetched.
	Shallow bool

	program string
	bare    bool // no working tree is here
}

// OpenRepository looks at a directory. It runs nothing that the repository's own
// configuration names. Invalid: it is no directory, or git does not read what it keeps of
// it.
func OpenRepository(ctx context.Context, dir string) (*Repository, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return nil, tenure.InvalidField("repo", "--repo: %s", err)
	}
	r := &Repository{Dir: dir}
	if r.program, err = exec.LookPath("git"); err != nil {
		r.NoHistory = "git is not installed"
		return r, nil
	}
	out, err := r.output(ctx, "rev-parse", "--is-inside-work-tree", "--is-shallow-repository")
	if err != nil {
		if r.NoHistory = cause(err); noRepository(dir, r.NoHistory) {
			return r, nil
		}
		return nil, tenure.InvalidField("repo", "--repo: git does not read it: %s; run it as the user whose it is, or name it in git's safe.directory", r.NoHistory)
	}
	r.bare, r.Shallow = strings.HasPrefix(out, "false"), strings.HasSuffix(strings.TrimSpace(out), "\ntrue")
	if r.bare {
		return r, nil
	}
	if out, err = r.output(ctx, "rev-parse", "--show-toplevel"); err == nil {
		r.Dir = strings.TrimSuffix(out, "\n")
	}
	if err != nil {
		return nil, fmt.Errorf("git: %s", cause(err))
	}
	return r, nil
}

// noRepository tells where git keeps nothing of a directory from where it does not read
// what it keeps: that is another user's, or damaged.
func noRepository(dir, why string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return errors.Is(err, os.ErrNotExist) && strings.HasPrefix(why, "not a git repository (or any")
}

// cause is the first line that git wrote of why it failed.
func cause(err error) string {
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		line, _, _ := strings.Cut(string(failed.Stderr), "\n")
		return strings.TrimPrefix(line, "fatal: ")
	}
	return err.Error()
}

func (r *Repository) command(ctx context.Context, args ...string) *exec.Cmd {
	safe := []string{"-C", r.Dir, "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "core.quotePath=false", "--no-pager", "--no-optional-locks", "--no-replace-objects"}
	cmd := exec.CommandContext(ctx, r.program, append(safe, args...)...) //nolint:gosec // git, with arguments of ours and a directory of the operator's
	// Nothing is fetched: older gits know only the second.
	cmd.Env = append(os.Environ(), "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	return cmd
}

func (r *Repository) output(ctx context.Context, args ...string) (string, error) {
	out, err := r.command(ctx, args...).Output()
	return string(out), err
}

// lines runs git, and gives each what it writes between two ends.
func (r *Repository) lines(ctx context.Context, end byte, each func(string) error, args ...string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := r.command(ctx, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in := bufio.NewReader(out)
	for err == nil {
		var text string
		if text, err = in.ReadString(end); err == nil {
			err = each(strings.TrimSuffix(text, string(end)))
		}
	}
	if !errors.Is(err, io.EOF) {
		cancel()
		_ = cmd.Wait()
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

// Files gives each regular file of the working tree by its name: what git keeps or
// would, and not what it ignores; without git, everything but its own directory.
func (r *Repository) Files(ctx context.Context, each func(name string, text io.Reader) error) error {
	if r.bare {
		return nil
	}
	if r.NoHistory == "" {
		return r.lines(ctx, 0, func(name string) error { return r.file(name, each) }, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	}
	return filepath.WalkDir(r.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		name, err := filepath.Rel(r.Dir, path)
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return r.file(name, each)
	})
}

func (r *Repository) file(name string, each func(string, io.Reader) error) error {
	path := filepath.Join(r.Dir, name)
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // deleted, a link, another repository
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return each(name, f)
}

// Object is what git has kept: a version of a file, or the message of a commit or tag.
type Object struct{ ID, Type string }

// Objects gives each version of each file, each commit and each tag that the
// repository holds: of all branches, tags, stashes and reflogs, and also what nothing
// reaches any more and git has not yet cleared away.
func (r *Repository) Objects(ctx context.Context, each func(o Object, text io.Reader) error) error {
	return r.contents(ctx, func(want func(string) error) error {
		return r.lines(ctx, '\n', func(line string) error {
			if id, kind, _ := strings.Cut(line, " "); kind != "tree" {
				return want(id)
			}
			return nil
		}, "cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname) %(objecttype)")
	}, each)
}

// Staged gives each file that the next commit would change, as it would have it.
func (r *Repository) Staged(ctx context.Context, each func(name string, text io.Reader) error) error {
	names := map[string]string{}
	var meta string
	if err := r.lines(ctx, 0, func(text string) error {
		if meta == "" {
			meta = text
			return nil
		}
		if fields := strings.Fields(meta); len(fields) == 5 && strings.HasPrefix(fields[1], "100") {
			names[fields[3]] = text
		}
		meta = ""
		return nil
	}, "diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=d"); err != nil {
		return err
	}
	return r.contents(ctx, func(want func(string) error) error {
		for id := range names {
			if err := want(id); err != nil {
				return err
			}
		}
		return nil
	}, func(o Object, text io.Reader) error { return each(names[o.ID], text) })
}

// contents gives the content of the objects that are wanted, one after the other.
func (r *Repository) contents(ctx context.Context, list func(want func(id string) error) error, each func(Object, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := r.command(ctx, "cat-file", "--batch", "--buffer")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	listed := make(chan error, 1)
	go func() {
		to := bufio.NewWriter(in)
		err := list(func(id string) error { _, err := to.WriteString(id + "\n"); return err })
		listed <- errors.Join(err, to.Flush(), in.Close())
	}()
	err = eachObject(bufio.NewReaderSize(out, 64<<10), each)
	if err != nil {
		cancel()
	}
	return errors.Join(err, <-listed, cmd.Wait())
}

// eachObject reads what "git cat-file --batch" writes.
func eachObject(in *bufio.Reader, each func(Object, io.Reader) error) error {
	for {
		head, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) && head == "" {
			return nil
		}
		fields := strings.Fields(head)
		if err != nil {
			return err
		}
		if len(fields) == 2 {
			continue // "missing": a partial clone
		}
		if len(fields) != 3 {
			return fmt.Errorf("git cat-file: %q", head)
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return err
		}
		body := io.LimitReader(in, size)
		if err := each(Object{fields[0], fields[1]}, body); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		if _, err := in.Discard(1); err != nil {
			return err
		}
	}
}

// Origin is how an object came into the history: the oldest commit that has it.
type Origin struct {
	File   string
	Commit string // in hexadecimal; "": no branch, tag or reflog reaches it
	At     time.Time
}

// Origins finds where objects came from, as far as a branch, a tag, the stash or a
// reflog reaches.
func (r *Repository) Origins(ctx context.Context, objects map[string]bool) (map[string]Origin, error) {
	out := map[string]Origin{}
	var commit Origin
	var ids []string // of the file whose name comes next
	return out, r.lines(ctx, 0, func(text string) error {
		text = strings.TrimLeft(text, "\n")
		switch {
		case text == "":
		case ids != nil:
			for _, id := range ids {
				if objects[id] {
					commit.File = text
					out[id] = commit
				}
			}
			ids = nil
		case text[0] == ':':
			parents := len(text) - len(strings.TrimLeft(text, ":"))
			if fields := strings.Fields(text); len(fields) > 2*parents+1 {
				ids = fields[2*parents+1 : 2*parents+2] // what came of it
			}
		default:
			id, at, _ := strings.Cut(text, " ")
			commit = Origin{Commit: id}
			commit.At, _ = time.Parse(time.RFC3339, at)
			if objects[id] {
				out[id] = Origin{File: "the commit's message", Commit: id, At: commit.At}
			}
		}
		return nil
	}, "log", "--all", "--reflog", "--raw", "-c", "-z", "--no-abbrev", "--no-renames", "--root", "--no-notes", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all", "--format=tformat:%H %cI")
}
