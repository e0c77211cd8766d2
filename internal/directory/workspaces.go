package directory

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/audit"
	"github.com/tenure-gateway/tenure/internal/live"
	"github.com/tenure-gateway/tenure/internal/store"
)

// WorkspaceRole is a workspace and what the asker is in it.
type WorkspaceRole = store.WorkspaceRole

// WorkspaceSpec says what a workspace is to be. What is nil stays as it is; of a
// new workspace, a nil About is empty and nil Models are every model.
type WorkspaceSpec struct {
	Name   *string
	About  *string
	Models []string // patterns, as tenure.ParseModels reads them
	// OutageGrace is how long the tokens go on while the database is away: whole
	// seconds. It is set of a workspace that is there.
	OutageGrace *time.Duration
	// Exception is the one of tenure.RuleBestEffort by which they do.
	Exception *tenure.ExceptionID
}

// apply writes what the spec says into w.
func (s WorkspaceSpec) apply(w *tenure.Workspace) error {
	if s.Name != nil {
		if err := checkWorkspaceName(*s.Name); err != nil {
			return err
		}
		w.Name = *s.Name
	}
	if s.About != nil {
		if err := tenure.CheckText("about", *s.About); err != nil {
			return err
		}
		w.About = *s.About
	}
	if s.Models != nil {
		models, err := tenure.ParseModels(s.Models)
		if err != nil {
			return err
		}
		w.Models = models
	}
	if s.OutageGrace != nil {
		w.OutageGrace = *s.OutageGrace
	}
	if s.Exception != nil {
		w.Exception = *s.Exception
	} else if w.OutageGrace == 0 {
		w.Exception = ""
	}
	return nil
}

// idForm is the form of an id. Some ids are names of their own, as "default" is.
var idForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// checkWorkspaceName answers Invalid for what is no name of a workspace. It can
// stand in a path in place of the id: so it is neither a way in it, nor another's id.
func checkWorkspaceName(name string) error {
	if err := tenure.CheckName(name, tenure.MaxName, "Research"); err != nil {
		return err
	}
	if name == "." || name == ".." {
		return tenure.InvalidField("name", "a path cannot have %q in it as a name; take another, for example \"Research\"", name)
	}
	if idForm.MatchString(name) {
		return tenure.InvalidField("name", "the name has the form of an id; take another, for example \"Research\"")
	}
	return nil
}

// unique answers Conflict when another workspace has the name, in any case.
func unique(ctx context.Context, tx *store.Tx, w tenure.Workspace) error {
	names, err := tx.WorkspaceNames(ctx, w.Tenant)
	for id, name := range names {
		if id != w.ID && strings.EqualFold(name, w.Name) {
			return &tenure.Error{
				Kind: tenure.Conflict, Code: "uniqueness", Field: "name",
				Msg: fmt.Sprintf("a workspace named %q exists already; upper and lower case make no difference", name),
			}
		}
	}
	return err
}

// OwnWorkspaces lists the workspaces in which the asker has a role; of a service
// account, the one that it is in.
func (d *Directory) OwnWorkspaces(ctx context.Context, by tenure.Principal, after tenure.WorkspaceID, limit int) ([]WorkspaceRole, error) {
	if err := access.Check(by, tenure.ListWorkspaces); err != nil {
		return nil, err
	}
	switch {
	case by.User() != "":
		return d.DB.Workspaces(ctx, store.WorkspaceFilter{Tenant: by.Tenant(), User: by.User(), After: after, Limit: limit})
	case by.Account() != "" && after == "":
		w, err := d.DB.Workspace(ctx, by.Tenant(), string(by.Workspace()))
		return []WorkspaceRole{{Workspace: w}}, err
	}
	return []WorkspaceRole{}, nil
}

// Workspaces lists the workspaces that the asker may read about, in the order of
// their making: all of the tenant, or those in which they have a role.
func (d *Directory) Workspaces(ctx context.Context, by tenure.Principal, after tenure.WorkspaceID, limit int) ([]WorkspaceRole, error) {
	return d.FindWorkspaces(ctx, by, "", after, limit)
}

// FindWorkspaces is Workspaces, of those that have part in their name or their
// description, without regard to case.
func (d *Directory) FindWorkspaces(ctx context.Context, by tenure.Principal, part string, after tenure.WorkspaceID, limit int) ([]WorkspaceRole, error) {
	f := store.WorkspaceFilter{Tenant: by.Tenant(), Viewpoint: by.User(), Part: part, After: after, Limit: limit}
	if access.Check(by, tenure.ReadWorkspace) != nil {
		if by.User() == "" {
			return d.OwnWorkspaces(ctx, by, after, limit)
		}
		if err := access.Check(by, tenure.ListWorkspaces); err != nil {
			return nil, err
		}
		f.User = by.User()
	}
	return d.DB.Workspaces(ctx, f)
}

// WorkspaceCounts tell how much is in a workspace.
type WorkspaceCounts = store.WorkspaceCounts

// CountWorkspace counts what is in a workspace that the asker may read about.
func (d *Directory) CountWorkspace(ctx context.Context, by tenure.Principal, idOrName string) (WorkspaceCounts, error) {
	w, err := within(ctx, d.DB, by, idOrName, tenure.ReadWorkspace)
	if err != nil {
		return WorkspaceCounts{}, err
	}
	return d.DB.CountWorkspace(ctx, by.Tenant(), w.ID, d.DB.Now())
}

// reader is what of the store a look at a workspace needs: the database or a
// transaction on it.
type reader interface {
	Workspace(ctx context.Context, tenant tenure.TenantID, idOrName string) (tenure.Workspace, error)
	RoleIn(ctx context.Context, tenant tenure.TenantID, ws tenure.WorkspaceID, user tenure.UserID) (tenure.Role, error)
}

// within reads a workspace of the asker's tenant, with the asker's role in it, and
// judges the action there. NotFound: there is none, or it is not theirs to see.
func within(ctx context.Context, r reader, by tenure.Principal, idOrName string, action tenure.Action) (WorkspaceRole, error) {
	w, err := r.Workspace(ctx, by.Tenant(), idOrName)
	if err != nil {
		return WorkspaceRole{}, err
	}
	role := tenure.Role("")
	if by.User() != "" {
		if role, err = r.RoleIn(ctx, by.Tenant(), w.ID, by.User()); err != nil {
			return WorkspaceRole{}, err
		}
	}
	return WorkspaceRole{Workspace: w, Role: role}, access.Within(by, action, tenure.ReadWorkspace, access.RoleIn(by, w.ID, role))
}

// Workspace reads a workspace by its id or its name.
func (d *Directory) Workspace(ctx context.Context, by tenure.Principal, idOrName string) (WorkspaceRole, error) {
	w, err := within(ctx, d.DB, by, idOrName, tenure.ReadWorkspace)
	if err != nil {
		return WorkspaceRole{}, err
	}
	return w, nil
}

// WorkspaceFor reads a workspace for who may do an action there, whether or not they
// may read about it otherwise.
func (d *Directory) WorkspaceFor(ctx context.Context, by tenure.Principal, idOrName string, action tenure.Action) (WorkspaceRole, error) {
	w, err := within(ctx, d.DB, by, idOrName, action)
	if err != nil {
		return WorkspaceRole{}, err
	}
	return w, nil
}

// CreateWorkspace makes a workspace, without members. Invalid: the spec is wrong,
// and how. Conflict: the name is taken.
func (d *Directory) CreateWorkspace(ctx context.Context, by tenure.Principal, spec WorkspaceSpec) (tenure.Workspace, error) {
	var w tenure.Workspace
	if err := access.Check(by, tenure.CreateWorkspace); err != nil {
		return w, err
	}
	if spec.Name == nil {
		return w, tenure.InvalidField("name", "a workspace needs a name, for example \"Research\"")
	}
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		w = newWorkspace(tx.Now(), by.Tenant())
		if err := spec.apply(&w); err != nil {
			return err
		}
		if err := unique(ctx, tx, w); err != nil {
			return err
		}
		if err := tx.InsertWorkspace(ctx, w); err != nil {
			return err
		}
		return tx.Append(ctx, audit.WorkspaceCreated(by, w))
	})
	if err != nil {
		return tenure.Workspace{}, fmt.Errorf("create workspace: %w", err)
	}
	return w, nil
}

func newWorkspace(now time.Time, tenant tenure.TenantID) tenure.Workspace {
	return tenure.Workspace{ID: tenure.WorkspaceID(tenure.NewID(now)), Tenant: tenant, Models: tenure.Models{tenure.AnyModel}, CreatedAt: now}
}

// isDefault answers Conflict for the workspace "default", in which newcomers begin.
func isDefault(w tenure.Workspace, what string) error {
	if w.Name != string(tenure.DefaultWorkspace) {
		return nil
	}
	return &tenure.Error{
		Kind: tenure.Conflict, Code: "default_workspace",
		Msg: "the workspace \"default\" cannot be " + what + ": whoever is new begins there",
	}
}

// mayGoOn judges who says how long a workspace's tokens go on while the database is
// away: it is how long somebody who was deactivated meanwhile may go on, too.
func mayGoOn(ctx context.Context, tx *store.Tx, by tenure.Principal, w *tenure.Workspace) error {
	const field = "outage_grace_seconds"
	if err := access.Check(by, tenure.SetOutageGrace); err != nil {
		return err
	}
	switch {
	case w.OutageGrace < 0 || w.OutageGrace > tenure.MaxOutageGrace || w.OutageGrace%time.Second != 0:
		return tenure.InvalidField(field, "expected whole seconds from 0 (strict) to %d", tenure.MaxOutageGrace/time.Second)
	case w.OutageGrace > 0 && w.GraceMax == 0:
		return &tenure.Error{
			Kind: tenure.Conflict, Code: "best_effort_not_allowed", Field: field,
			Msg: "the tenant's policy lets no workspace go on while the database is away; a super admin sets best_effort_max first",
		}
	case w.OutageGrace > w.GraceMax:
		return &tenure.Error{
			Kind: tenure.Conflict, Code: "best_effort_not_allowed", Field: field,
			Msg: fmt.Sprintf("the tenant's policy best_effort_max lets a workspace go on for %s at most", tenure.FormatSpan(w.GraceMax)),
		}
	}
	return excepted(ctx, tx, w)
}

// excepted answers Invalid when the exception of a workspace does not let its tokens go on
// while the database is away, and why not; it reads when it does.
func excepted(ctx context.Context, tx *store.Tx, w *tenure.Workspace) error {
	switch {
	case w.OutageGrace == 0 && w.Exception == "":
		return nil
	case w.OutageGrace == 0:
		return tenure.InvalidField("exception", "a workspace that is strict needs no exception")
	case w.Exception == "":
		return tenure.InvalidField("exception", "to go on while the database is away needs an exception of the rule %s; ask for one, and name it", tenure.RuleBestEffort)
	}
	x, err := tx.Exception(ctx, w.Tenant, w.Exception)
	if tenure.IsKind(err, tenure.NotFound) {
		return tenure.InvalidField("exception", "there is no exception %s", tenure.Shown(string(w.Exception)))
	}
	if err != nil {
		return err
	}
	w.ExceptionFrom, w.ExceptionEnds = x.From, x.End()
	return x.Opens(tenure.RuleBestEffort, tenure.Deviation{Tenant: w.Tenant, Workspace: w.ID}, tx.Now())
}

// UpdateWorkspace changes a workspace. Models that it does not list any more are
// refused from the next request on. Conflict: the name is taken, or it is that of
// the workspace "default"; or the policy does not let it go on for so long.
func (d *Directory) UpdateWorkspace(ctx context.Context, by tenure.Principal, idOrName string, spec WorkspaceSpec) (WorkspaceRole, error) {
	var w WorkspaceRole
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if w, err = within(ctx, tx, by, idOrName, tenure.UpdateWorkspace); err != nil {
			return err
		}
		before := w.Workspace
		if err := spec.apply(&w.Workspace); err != nil {
			return err
		}
		if w.Name != before.Name {
			if err := isDefault(before, "renamed"); err != nil {
				return err
			}
			if err := unique(ctx, tx, w.Workspace); err != nil {
				return err
			}
		}
		if w.OutageGrace != before.OutageGrace || w.Exception != before.Exception {
			if err := mayGoOn(ctx, tx, by, &w.Workspace); err != nil {
				return err
			}
		}
		if reflect.DeepEqual(before, w.Workspace) {
			return nil
		}
		if err := tx.UpdateWorkspace(ctx, w.Workspace); err != nil {
			return err
		}
		return tx.Append(ctx, audit.WorkspaceUpdated(by, before, w.Workspace))
	})
	if err != nil {
		return WorkspaceRole{}, fmt.Errorf("update workspace %s: %w", idOrName, err)
	}
	d.Live.Changed(ctx, store.Change{Kind: "workspace", ID: string(w.ID)})
	return w, nil
}

// DeleteWorkspace ends a workspace for good: its tokens, service accounts and open
// streams end, its providers' keys are forgotten, nobody is anything in it any
// more, and its name is free again. Conflict: it is the workspace "default".
func (d *Directory) DeleteWorkspace(ctx context.Context, by tenure.Principal, idOrName string) (tenure.Ended, error) {
	start := time.Now()
	var w WorkspaceRole
	var ended tenure.Ended
	err := d.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		var err error
		if w, err = within(ctx, tx, by, idOrName, tenure.DeleteWorkspace); err != nil {
			return err
		}
		if err := isDefault(w.Workspace, "deleted"); err != nil {
			return err
		}
		if ended, err = tx.DeleteWorkspace(ctx, by.Tenant(), w.ID, by.Label(), "workspace deleted"); err != nil {
			return err
		}
		return tx.Append(ctx, audit.WorkspaceDeleted(by, w.Workspace, ended))
	})
	if err != nil {
		return tenure.Ended{}, fmt.Errorf("delete workspace %s: %w", idOrName, err)
	}
	ended.Streams = d.Live.Cut(store.Change{Kind: "workspace", ID: string(w.ID)}, live.Workspace(w.ID), tenure.ErrRevoked)
	ended.Took = time.Since(start)
	d.Live.Ended(w.Tenant, tenure.Revocation{What: tenure.RevokedWorkspace, ObjectID: string(w.ID), Object: w.Name, Actor: by.Label(), Ended: ended, Gone: true})
	return ended, nil
}
