package postgrestest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// programs is the directory that has PostgreSQL's programs.
type programs string

// oldest is the first version that has all that Tenure asks for.
const oldest = 15

// find looks for PostgreSQL in PATH, then where Debian's packages put it, the
// newest version first.
func find() (programs, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if initdb, err = filepath.EvalSymlinks(initdb); err == nil && complete(filepath.Dir(initdb)) {
			return programs(filepath.Dir(initdb)), nil
		}
	}
	const debian = "/usr/lib/postgresql"
	versions, _ := os.ReadDir(debian)
	newest := 0
	for _, v := range versions {
		if n, err := strconv.Atoi(v.Name()); err == nil && n >= oldest && complete(filepath.Join(debian, v.Name(), "bin")) {
			newest = max(newest, n)
		}
	}
	if newest == 0 {
		return "", fmt.Errorf("PostgreSQL %d or later is needed for this test and is not here: "+
			"install Debian's package postgresql (scripts/tools does)", oldest)
	}
	return programs(filepath.Join(debian, strconv.Itoa(newest), "bin")), nil
}

// complete tells whether a directory has all the programs.
func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres", "createdb", "dropdb", "pg_basebackup", "pg_ctl", "pg_dump", "pg_restore"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

func (p programs) path(name string) string { return filepath.Join(string(p), name) }

// run runs a program to its end; an error tells what it said.
func (p programs) run(name string, args ...string) error {
	cmd := exec.Command(p.path(name), args...) //nolint:gosec // a program of PostgreSQL
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// unprivileged is whom the server runs as: nil, which is ourselves, unless we are
// root, whom PostgreSQL refuses.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
