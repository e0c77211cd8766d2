package app

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/backup"
	"github.com/tenure-gateway/tenure/internal/config"
)

// OpenBackups opens the database for a backup or, where fresh is set, for a restore:
// then it is made where there is none, brought up to date, and nobody may serve from it
// until done. The key-encryption key is not opened.
func OpenBackups(ctx context.Context, cfg *config.Checked, version string, fresh bool) (b *backup.Backups, done func() error, err error) {
	ctx = tenure.Everywhere(ctx)
	if !fresh {
		if err := readyToCopy(ctx, cfg); err != nil {
			return nil, nil, err
		}
	}
	db, err := openStore(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	if fresh {
		if err := db.Lease(); err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
	}
	return &backup.Backups{DB: db, Version: version, Dir: cfg.Home}, db.Close, nil
}

// readyToCopy refuses to migrate for a backup: that is made before a migration.
func readyToCopy(ctx context.Context, cfg *config.Checked) error {
	if cfg.Postgres.IsZero() {
		if _, err := os.Stat(cfg.Database); errors.Is(err, os.ErrNotExist) {
			return &tenure.Error{Kind: tenure.NotFound, Code: "no_data", Msg: fmt.Sprintf("there is no Tenure data at %s", cfg.Database)}
		}
	}
	s, err := Schema(ctx, cfg)
	if err != nil {
		return err
	}
	if s.Pending() {
		return &tenure.Error{
			Kind: tenure.Conflict, Code: "schema_pending",
			Msg: fmt.Sprintf("the database's schema is of version %d, and this program's of %d: make the backup with the program that the database is used by", s.Version, s.Needed),
		}
	}
	return nil
}
