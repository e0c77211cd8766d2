package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/app"
	"github.com/tenure-gateway/tenure/internal/backup"
	"github.com/tenure-gateway/tenure/internal/config"
)

type backupCmd struct {
	Create  backupCreate  `cmd:"" help:"Write everything into one encrypted file, while Tenure serves."`
	Restore backupRestore `cmd:"" help:"Put a backup in the place of what the database holds."`
	Verify  backupVerify  `cmd:"" help:"Read a backup to its end, and say whether it is whole."`
	Inspect backupInspect `cmd:"" help:"Say what a backup is: of when, of which version, how many rows."`
}

// unlocking are the flags by which a backup is opened.
type unlocking struct {
	PassphraseFile string `env:"TENURE_BACKUP_PASSPHRASE_FILE" placeholder:"FILE" help:"File with the passphrase; its last line end is not part of it."`
	Identity       string `placeholder:"FILE" help:"File with a secret key of age, for a backup that was made to a recipient."`
}

func (u unlocking) unlock() (backup.Unlock, error) {
	secret, err := passphrase(u.PassphraseFile)
	if err != nil {
		return backup.Unlock{}, err
	}
	out := backup.Unlock{Passphrase: secret}
	if u.Identity != "" {
		text, err := os.ReadFile(u.Identity)
		if err != nil {
			return out, tenure.InvalidField("identity", "--identity: %s", err)
		}
		out.Passphrase, out.Identities = tenure.Secret{}, backup.ParseKeys(text)
	}
	return out, nil
}

// open opens a backup to be read, - being standard input.
func (u unlocking) open(file string) (backup.Unlock, io.ReadCloser, error) {
	with, err := u.unlock()
	if err != nil {
		return with, nil, err
	}
	if file == "-" {
		return with, io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(file)
	return with, f, err
}

// passphrase reads the file, or TENURE_BACKUP_PASSPHRASE where none is named.
func passphrase(file string) (tenure.Secret, error) {
	if file == "" {
		return tenure.NewSecret(os.Getenv("TENURE_BACKUP_PASSPHRASE")), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return tenure.Secret{}, tenure.InvalidField("passphrase-file", "--passphrase-file: %s", err)
	}
	return tenure.NewSecret(strings.TrimRight(string(text), "\r\n")), nil
}

type backupCreate struct {
	config.Local
	File           string   `arg:"" help:"File to be made; it must not be there."`
	Recipient      []string `placeholder:"AGE1…" help:"Public key of age that may open it; may be given again."`
	RecipientsFile string   `placeholder:"FILE" help:"File with such keys, one a line."`
	PassphraseFile string   `env:"TENURE_BACKUP_PASSPHRASE_FILE" placeholder:"FILE" help:"File with the passphrase (default: TENURE_BACKUP_PASSPHRASE)."`
	Exports        string   `hidden:"" env:"TENURE_BACKUP_EXPORTS_ENABLED" default:"true"`
	JSON           bool     `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (backupCreate) Help() string {
	return `Example, by a timer every night:

  tenure backup create --recipients-file /etc/tenure/backup.pub /var/backups/tenure/$(date +%F).age

The file holds one state of the whole database, of every tenant, encrypted with age. It is written beside its name, read back, and only then gets it. ` +
		`Of secrets it holds provider keys, sealed as they are in the database, and digests of tokens; the key-encryption key is not in it: keep that apart.`
}

// Run implements the verb.
func (c *backupCreate) Run(e *env) error {
	lock := backup.Lock{Recipients: c.Recipient}
	if c.RecipientsFile != "" {
		text, err := os.ReadFile(c.RecipientsFile)
		if err != nil {
			return tenure.InvalidField("recipients-file", "--recipients-file: %s", err)
		}
		lock.Recipients = append(lock.Recipients, backup.ParseKeys(text)...)
	}
	if len(lock.Recipients) == 0 || c.PassphraseFile != "" {
		var err error
		if lock.Passphrase, err = passphrase(c.PassphraseFile); err != nil {
			return err
		}
		if lock.Passphrase.IsZero() {
			return tenure.InvalidField("recipient", "a backup is always encrypted: give --recipient or --recipients-file, or a passphrase by --passphrase-file or TENURE_BACKUP_PASSPHRASE")
		}
	}
	b, by, done, err := openBackups(e, c.Local, false)
	if err != nil {
		return err
	}
	if b.NoExports, err = switchedOff("TENURE_BACKUP_EXPORTS_ENABLED", c.Exports); err != nil {
		return errors.Join(err, done())
	}
	began := time.Now()
	line := newProgress(e.stderr, "written")
	sum, err := b.CreateFile(e.ctx, by, c.File, lock, line.tell, func() { line.next("read back") })
	line.end()
	if err = errors.Join(err, done()); err != nil {
		return err
	}
	size := int64(0)
	if info, err := os.Stat(c.File); err == nil {
		size = info.Size()
	}
	view := summaryView(sum.Header)
	view["sha256"], view["file"], view["bytes"] = sum.Digest, c.File, size
	return local{JSON: c.JSON}.print(e, view, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d rows of %d tables, as of %s; %d bytes, read back and found whole, in %s.\n", c.File, sum.Rows(), len(sum.Tables), short(sum.At), size, time.Since(began).Round(10*time.Millisecond))
		fmt.Fprintln(w, "The key-encryption key (TENURE_KEY_URL) is not in it: without that, the provider keys in it stay sealed.")
	})
}

// openBackups opens the database alone: the key, which may be what is lost, is not
// needed. fresh makes what is not there, and brings it up to date.
func openBackups(e *env, settings config.Local, fresh bool) (*backup.Backups, tenure.Principal, func() error, error) {
	cfg, err := settings.Check()
	if err != nil {
		return nil, tenure.Principal{}, nil, err
	}
	b, done, err := app.OpenBackups(e.ctx, cfg, built(), fresh)
	return b, operator(), done, err
}

// switchedOff reads a setting that is true or false.
func switchedOff(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "", "true", "1", "yes":
		return false, nil
	case "false", "0", "no":
		return true, nil
	}
	return true, config.Wrong(name, fmt.Sprintf("%q is neither true nor false", value), "true")
}

func summaryView(h backup.Header) map[string]any {
	tables := map[string]int64{}
	for _, t := range h.Tables {
		tables[t.Name] = t.Rows
	}
	return map[string]any{
		"at": stamp(h.At), "version": h.Version, "schema": h.Schema, "install": h.Install, "database": h.Database,
		"rows": h.Rows(), "tables": tables, "feed": h.Feed, "audit": h.Audit,
	}
}

type backupVerify struct {
	unlocking
	File string `arg:"" help:"The backup; - is standard input."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (backupVerify) Help() string {
	return "Example:\n\n  tenure backup verify --identity backup.key 2026-11-22.age\n\nIt needs no data directory. Exit status 2: it does not open, or is not whole."
}

// Run implements the verb.
func (c *backupVerify) Run(e *env) error {
	with, f, err := c.open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	line := newProgress(e.stderr, "read")
	sum, err := backup.Verify(e.ctx, f, with, line.tell)
	line.end()
	if err != nil {
		return err
	}
	view := summaryView(sum.Header)
	view["sha256"] = sum.Digest
	return local{JSON: c.JSON}.print(e, view, func(w io.Writer) {
		fmt.Fprintf(w, "%s is whole: %d rows of %d tables, as of %s, by Tenure %s.\n", c.File, sum.Rows(), len(sum.Tables), short(sum.At), sum.Version)
	})
}

type backupInspect struct {
	unlocking
	File string `arg:"" help:"The backup; - is standard input."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Help implements kong.HelpProvider.
func (backupInspect) Help() string {
	return "Example:\n\n  tenure backup inspect --identity backup.key 2026-11-22.age\n\nIt reads the beginning only: 'backup verify' reads all of it."
}

// Run implements the verb.
func (c *backupInspect) Run(e *env) error {
	with, f, err := c.open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h, err := backup.Inspect(f, with)
	if err != nil {
		return err
	}
	return local{JSON: c.JSON}.print(e, summaryView(h), func(w io.Writer) {
		fmt.Fprintf(w, "as of\t%s\nby\tTenure %s, schema %d, %s\ninstallation\t%s\nrows\t%d\n", short(h.At), h.Version, h.Schema, h.Database, h.Install, h.Rows())
		for _, t := range h.Tables {
			if t.Rows > 0 {
				fmt.Fprintf(w, "  %s\t%d\n", t.Name, t.Rows)
			}
		}
	})
}
