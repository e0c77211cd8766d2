package api

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/backup"
	"github.com/tenure-gateway/tenure/internal/web"
)

// BackupLock is what a backup is encrypted to.
type BackupLock struct {
	Passphrase string   `json:"passphrase,omitempty" minLength:"12" maxLength:"1000" doc:"Or recipients" example:"correct horse battery staple"`
	Recipients []string `json:"recipients,omitempty" maxItems:"20" doc:"Public keys of age; or a passphrase"`
}

// Restored is what a restore has done.
type Restored struct {
	At         time.Time        `json:"at" doc:"Of when the backup is"`
	Rows       int64            `json:"rows"`
	DryRun     bool             `json:"dry_run" doc:"Everything was undone"`
	VouchedBy  string           `json:"vouched_by" doc:"Who knows the backup to be one that was made here: sha256, the name of a list, audit log"`
	Sessions   int64            `json:"sessions_ended"`
	Ended      map[string]int64 `json:"ended" doc:"What stays ended, because it had in what was replaced, by kind"`
	Gone       map[string]int64 `json:"gone" doc:"What was ended, because what was replaced had it no more, by kind"`
	Lost       map[string]int64 `json:"lost" doc:"What was made since, and is no more, by table"`
	Lists      []RestoredList   `json:"lists" doc:"What the lists have ended"`
	AuditKept  int64            `json:"audit_kept" doc:"Events of what was replaced that are kept"`
	KnownUntil time.Time        `json:"known_until" doc:"What ended later, and is on no list, lives again"`
}

// RestoredList is what one list has ended.
type RestoredList struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	Ended   int    `json:"ended"`
	Unknown int    `json:"unknown" doc:"Of what the backup does not have"`
	Events  int    `json:"events" doc:"Of the audit log that it has"`
	Vague   int    `json:"vague" doc:"Events that say how many have left a group, and not who"`

	Tenants []tenure.TenantID `json:"tenants" doc:"Those of whose ends it has all, from the backup on"`
}

// The trailers of a backup.
const (
	backupRows   = "Tenure-Backup-Rows"
	backupDigest = "Tenure-Backup-Sha256"
	backupError  = "Tenure-Backup-Error"
)

// fieldLimit bounds the parts of a restore beside the backup itself.
const fieldLimit = 64 << 20

// pieceTime is how long a restore waits for the next piece of what is sent.
const pieceTime = time.Minute

func (a *API) mountBackup(m *mounting) {
	tags := []string{"Administration: backup"}
	operation(m, tenure.CreateBackup, huma.Operation{
		OperationID: "create-backup", Method: http.MethodPost, Path: "/api/v1/admin/backup", Tags: tags, Summary: "Everything, of every tenant, as one encrypted file",
		Description: "The answer is a stream. Its trailers tell that it is whole, " + backupRows + " and " + backupDigest + ", or why it is not, " + backupError + ".",
		Responses: map[string]*huma.Response{"200": {Description: "The backup, in the format of age", Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
		}}},
	}, a.createBackup)
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: doc} }
	file := func(doc string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Format: "binary", Description: doc}
	}
	operation(m, tenure.RestoreBackup, huma.Operation{
		OperationID: "restore-backup", Method: http.MethodPost, Path: "/api/v1/admin/restore", Tags: tags, Summary: "Put a backup of this installation in the place of all that there is",
		Description: "All of it, or nothing, in one transaction. Whoever serves goes on serving: reads see the state before until the end, writes wait once the whole file has come in. Every session ends. The file comes last.",
	}, a.restoreBackup)
	// Told afterwards: the library would read the body by it.
	m.api.OpenAPI().Paths["/api/v1/admin/restore"].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
		Type: huma.TypeObject, Required: []string{"backup"}, Properties: map[string]*huma.Schema{
			"passphrase": text("Or identity"), "identity": text("A secret key of age; or passphrase"),
			"replace":     text("true: the database is to be replaced. It holds at least whoever asks, so that without it nothing is done"),
			"sha256":      text("The backup's; needed where neither the audit log here nor a list of revocations tells that it was made"),
			"dry_run":     text("true: everything is undone at the end"),
			"seen":        file("seen.json of a replica's home; may be given again"),
			"revocations": file("What has ended since: ids, digests or first characters of tokens, or the audit log as JSON; may be given again"),
			"backup":      file("The backup, after all others"),
		},
	}}}}
}

// createBackup streams a backup. What goes wrong before its first byte is answered
// as everywhere.
func (a *API) createBackup(ctx context.Context, in *body[BackupLock]) (*huma.StreamResponse, error) {
	lock := backup.Lock{Passphrase: tenure.NewSecret(in.Body.Passphrase), Recipients: in.Body.Recipients}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		r, w := humago.Unwrap(hctx)
		out := &backupBody{w: w}
		sum, err := a.Backups.Create(ctx, web.Principal(ctx), out, lock, nil)
		switch {
		case err == nil:
			w.Header().Set(backupRows, strconv.FormatInt(sum.Rows(), 10))
			w.Header().Set(backupDigest, sum.Digest)
		case !out.begun:
			web.EventOf(ctx).Err = err
			Fail(w, r, err)
		default:
			web.EventOf(ctx).Err = err
			w.Header().Set(backupError, tenure.AsError(err).Msg)
		}
	}}, nil
}

// backupBody sets the headers when the first byte comes.
type backupBody struct {
	w     http.ResponseWriter
	begun bool
}

// Write implements io.Writer.
func (b *backupBody) Write(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		h := b.w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", `attachment; filename="tenure-`+time.Now().UTC().Format("2006-01-02T150405Z")+`.age"`)
		h.Set("Trailer", backupRows+", "+backupDigest+", "+backupError)
	}
	return b.w.Write(p)
}

// restoreIn takes the request as it is: the backup is read as it comes.
type restoreIn struct{ request huma.Context }

// Resolve implements huma.Resolver.
func (in *restoreIn) Resolve(ctx huma.Context) []error {
	in.request = ctx
	return nil
}

func (a *API) restoreBackup(ctx context.Context, in *restoreIn) (*body[Restored], error) {
	r, w := humago.Unwrap(in.request)
	// The server's own limit is for bodies of a few megabytes.
	arrived := web.Steadily(w, r, pieceTime)
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, tenure.InvalidField("backup", "a restore takes multipart/form-data: passphrase, replace, and the file backup last")
	}
	form := &restoreForm{options: backup.RestoreOptions{Serving: true}}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, tenure.InvalidField("backup", "the file backup is missing")
		}
		if err != nil {
			return nil, cutShort("backup", err)
		}
		if part.FormName() != "backup" {
			if err := form.field(part); err != nil {
				return nil, err
			}
			continue
		}
		file, err := a.Backups.Spool(web.Principal(ctx), part)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		arrived()
		by, err := web.Again(r) // hours may have passed, and whoever asked may have been let go
		if err != nil {
			return nil, err
		}
		out, err := a.Backups.Restore(ctx, by, file, form.with, form.options, nil)
		if err != nil {
			return nil, err
		}
		return &body[Restored]{showRestored(out)}, nil
	}
}

// cutShort is why no more of the form comes.
func cutShort(field string, err error) error {
	if tenure.IsKind(err, tenure.TooSlow) {
		return err
	}
	return tenure.InvalidField(field, "the form was cut short")
}

// restoreForm is what comes before the backup.
type restoreForm struct {
	with    backup.Unlock
	options backup.RestoreOptions
}

func (f *restoreForm) field(part *multipart.Part) error {
	limited := io.LimitReader(part, fieldLimit)
	name := part.FormName()
	switch name {
	case "seen":
		return f.options.Ends.AddSeen(part.FileName(), limited)
	case "revocations":
		return f.options.Ends.AddList(part.FileName(), limited)
	}
	text, err := io.ReadAll(io.LimitReader(part, 64<<10))
	if err != nil {
		return cutShort(name, err)
	}
	switch name {
	case "passphrase":
		f.with.Passphrase = tenure.NewSecret(string(text))
	case "identity":
		f.with.Identities = backup.ParseKeys(text)
	case "sha256":
		f.options.SHA256 = strings.TrimSpace(string(text))
	case "replace", "dry_run":
		yes, err := strconv.ParseBool(string(text))
		if err != nil {
			return tenure.InvalidField(name, "%s is true or false", name)
		}
		if name == "replace" {
			f.options.Replace = yes
		} else {
			f.options.DryRun = yes
		}
	default:
		return tenure.InvalidField(name, "a restore has no field %q", name)
	}
	return nil
}

func showRestored(r backup.Restored) Restored {
	out := Restored{
		At: r.At.UTC(), Rows: r.Replaced.Rows, //nolint:staticcheck // the header's are a method
		DryRun: r.DryRun, VouchedBy: r.VouchedBy, Sessions: r.Sessions, Ended: r.Ended, Gone: r.Gone, Lost: r.Lost,
		Lists: make([]RestoredList, 0, len(r.Lists)), AuditKept: r.AuditKept, KnownUntil: r.KnownUntil.UTC(),
	}
	for _, l := range r.Lists {
		out.Lists = append(out.Lists, RestoredList{Name: l.Name, Entries: l.Entries, Ended: l.Ended, Unknown: l.Unknown, Events: l.Events, Vague: l.Vague, Tenants: append([]tenure.TenantID{}, l.Tenants...)})
	}
	return out
}
