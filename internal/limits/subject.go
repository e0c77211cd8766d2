package limits

import (
	"context"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/access"
	"github.com/tenure-gateway/tenure/internal/store"
)

// target finds what a limit is to be on. Invalid: there is no such subject, or not in
// the workspace.
func target(ctx context.Context, tx *store.Tx, by tenure.Principal, spec Spec) (tenure.UsageLimit, error) {
	row := tenure.UsageLimit{Tenant: by.Tenant(), Kind: spec.Kind}
	if err := access.Admits(by, tenure.SetLimit); err != nil {
		return row, err
	}
	if spec.Workspace != "" {
		if spec.Kind == tenure.LimitTenant || spec.Kind == tenure.LimitWorkspace {
			return row, tenure.InvalidField("workspace", "a limit on a tenant or a workspace is in none")
		}
		w, err := tx.Workspace(ctx, by.Tenant(), spec.Workspace)
		if err == nil {
			row.Workspace = w.ID
			err = mayIn(ctx, tx, by, tenure.SetLimit, w.ID)
		}
		if tenure.IsKind(err, tenure.NotFound) {
			return row, tenure.InvalidField("workspace", "there is no workspace %q", tenure.Shown(spec.Workspace))
		}
		if err != nil {
			return row, err
		}
	} else if err := access.Check(by, tenure.SetLimit); err != nil {
		return row, err
	}
	err := whose(ctx, tx, spec, &row)
	if tenure.IsKind(err, tenure.NotFound) {
		return row, tenure.InvalidField("subject", "there is no such %s %q", words[spec.Kind], tenure.Shown(spec.Subject))
	}
	return row, err
}

// words are the kinds of subjects, for people.
var words = map[string]string{
	tenure.LimitTenant: "tenant", tenure.LimitWorkspace: "workspace", tenure.LimitUser: "user", tenure.LimitAccount: "service account", tenure.LimitToken: "token",
}

// whose fills in whom a limit is on.
func whose(ctx context.Context, tx *store.Tx, spec Spec, row *tenure.UsageLimit) error {
	switch spec.Kind {
	case tenure.LimitTenant:
		row.Subject = string(row.Tenant)
		if spec.Subject != "" && spec.Subject != row.Subject {
			return tenure.ErrNotFound
		}
	case tenure.LimitWorkspace:
		w, err := tx.Workspace(ctx, row.Tenant, spec.Subject)
		row.Subject, row.Name = string(w.ID), w.Name
		return err
	case tenure.LimitUser:
		u, err := tx.User(ctx, row.Tenant, tenure.UserID(spec.Subject))
		if tenure.IsKind(err, tenure.NotFound) {
			u, err = tx.UserByName(ctx, row.Tenant, spec.Subject)
		}
		if err != nil {
			return err
		}
		row.Subject, row.Name = string(u.ID), u.UserName
		if row.Workspace == "" {
			return nil
		}
		role, err := tx.RoleIn(ctx, row.Tenant, row.Workspace, u.ID)
		if err == nil && role == "" {
			return tenure.ErrNotFound
		}
		return err
	case tenure.LimitAccount:
		a, err := tx.Account(ctx, row.Tenant, tenure.ServiceAccountID(spec.Subject), tx.Now())
		row.Subject, row.Name = string(a.ID), a.Name
		return within(*row, a.Workspace, err)
	case tenure.LimitToken:
		t, err := tx.Token(ctx, row.Tenant, tenure.TokenID(spec.Subject))
		row.Subject, row.Name = string(t.Family), t.Name // a rotation changes nothing
		return within(*row, t.Workspace, err)
	default:
		return tenure.InvalidField("kind", "expected tenant, workspace, user, service_account or token")
	}
	return nil
}

// within answers NotFound for what lies in another workspace than the limit counts in.
func within(row tenure.UsageLimit, ws tenure.WorkspaceID, err error) error {
	if err == nil && row.Workspace != "" && row.Workspace != ws {
		return tenure.ErrNotFound
	}
	return err
}
