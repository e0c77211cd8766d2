package vault

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/store"
)

// load gets the keys. The ring that it gives is sealed where they cannot be had; an
// error is a fault of the database or, before anything is sealed, of the settings.
func (k *MasterKey) load(ctx context.Context) (*ring, error) {
	r := &ring{since: k.db.Now()}
	var known [3]string
	for i, name := range [...]string{metaInstall, metaRoot, metaCheck} {
		var err error
		if known[i], err = k.db.Meta(ctx, name); err != nil {
			r.why = err
			return r, err
		}
	}
	var stored, check string
	r.install, stored, check = known[0], known[1], known[2]
	made, err := k.name(ctx, r, stored, check)
	if err == nil && stored == "" {
		if stored, err = k.firstRoot(ctx, r, check); err == nil && stored != "" {
			err = r.parse(stored)
		}
	}
	if err == nil && stored != "" {
		err = k.openRoot(ctx, r)
	}
	if err != nil {
		r.why = err
	}
	var problem *keys.Error
	var none *tenure.Error // there is no key, and none is made
	if errors.As(err, &problem) && problem.Problem != keys.Exposed && !errors.As(err, &none) {
		err = nil
		if made { // of two first starts another was first, and nothing is sealed with this file
			err = os.Remove(keys.FileOf(k.urls.Present))
		}
	}
	return r, err
}

// name opens the KEKs of the settings, reads what is known of the root key, and tells
// whether a file was made. Its error is that of the one that wraps.
func (k *MasterKey) name(ctx context.Context, r *ring, stored, check string) (made bool, err error) {
	var damaged error
	if stored != "" {
		damaged = r.parse(stored)
	}
	present, made, err := k.present(ctx, stored != "" || check != "")
	r.named = append(r.named, named{k.urls.Present, present, err})
	for _, url := range k.urls.Previous {
		kek, err := k.openKEK(ctx, url)
		r.named = append(r.named, named{url, kek, err})
	}
	if err == nil {
		err = damaged
	}
	return made, err
}

// openKEK opens a KEK. The client of a key service is made once, however often it is
// looked for; a file is read anew.
func (k *MasterKey) openKEK(ctx context.Context, url string) (keys.KEK, error) {
	k.mu.RLock()
	kek := k.services[url]
	k.mu.RUnlock()
	if kek != nil {
		return kek, nil
	}
	kek, err := keys.Open(ctx, url, k.opt)
	if err != nil {
		return nil, err
	}
	if keys.FileOf(url) == "" {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.services == nil {
			k.services = map[string]keys.KEK{}
		}
		k.services[url] = kek
	}
	return kek, nil
}

// present opens the KEK that wraps, and tells whether it has made it; what is no
// *keys.Error refuses the settings. A file that is not there is made, unless something
// was sealed by an earlier one.
func (k *MasterKey) present(ctx context.Context, known bool) (_ keys.KEK, made bool, _ error) {
	kek, err := k.openKEK(ctx, k.urls.Present)
	if err == nil && !k.look {
		keys.Tidy(k.urls.Present)
	}
	if err == nil || keys.FileOf(k.urls.Present) == "" {
		return kek, false, err
	}
	sealed, cerr := k.db.CountSealed(ctx)
	switch {
	case cerr != nil:
		return nil, false, cerr
	case !keys.Is(err, keys.Missing) && !known && sealed == 0:
		return nil, false, errors.New(err.Error()) // nothing can wait for it: the setting is wrong
	case !keys.Is(err, keys.Missing):
		return nil, false, err
	case known || sealed > 0:
		var missing *keys.Error
		_ = errors.As(err, &missing)
		return nil, false, &keys.Error{
			Label: missing.Label, Problem: keys.Missing, Do: fmt.Sprintf("%d secrets are sealed by the one that was there, put it back", sealed),
		}
	case k.look:
		return nil, false, fs.ErrNotExist
	case k.find:
		return nil, false, noKey(keys.FileOf(k.urls.Present), err)
	}
	if err := keys.Make(k.urls.Present); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, err
	} else if err == nil {
		made = true
	}
	kek, err = k.openKEK(ctx, k.urls.Present)
	return kek, made, err
}

// noKey says that there is no key yet to whoever makes none.
func noKey(what string, err error) error {
	return &tenure.Error{
		Kind: tenure.NotFound, Code: "no_data", Err: err,
		Msg: fmt.Sprintf("there is no key-encryption key at %s; run \"tenure serve\" first, or name the right TENURE_HOME or TENURE_KEY_URL", what),
	}
}

// firstRoot makes the installation's root key, once: of processes that start at once,
// all take what the first has stored. Where a file was known before there was a root
// key, it must be among the keys; where nothing was known, nothing may be sealed.
func (k *MasterKey) firstRoot(ctx context.Context, r *ring, check string) (string, error) {
	if check != "" && !r.hasFile(check) {
		return "", &keys.Error{
			Label: r.present().About().Label, Problem: keys.Wrong, Do: "put the right one back",
			Err: errors.New("it is not the one that this database was sealed with"),
		}
	}
	if check == "" {
		sealed, err := k.db.CountSealed(ctx)
		if err != nil {
			return "", err
		}
		if sealed > 0 {
			return "", &keys.Error{
				Label: r.present().About().Label, Problem: keys.Wrong, Do: "restore the row vault.root of the table meta from a backup, or begin anew by \"tenure vault reset\"",
				Err: fmt.Errorf("the root key of this database is gone, and what is sealed is not: %d", sealed),
			}
		}
	}
	if k.look {
		return "", nil
	}
	if k.find {
		return "", noKey(r.present().About().Label, errors.New("the database has no root key yet"))
	}
	text, err := k.newRoot(ctx, r)
	if err != nil {
		return "", err
	}
	err = k.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		first, err := tx.FirstMeta(ctx, metaRoot, text)
		if err == nil && first {
			err = tx.DropMeta(ctx, metaCheck)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	return k.db.Meta(ctx, metaRoot)
}

// newRoot is a root key that was never used, as it is stored.
func (k *MasterKey) newRoot(ctx context.Context, r *ring) (string, error) {
	root := make([]byte, keys.Size)
	_, _ = rand.Read(root) // crypto/rand never fails (Go 1.24 and later)
	wrapped, by, err := r.present().Wrap(ctx, root, r.boundRoot())
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(storedRoot{KEK: by, Key: wrapped, At: k.db.Now().UTC()})
	return string(text), err
}
