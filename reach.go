package tenure

import "context"

// ReachKey is the key under which a context carries whose rows it is about.
type ReachKey struct{}

// Everyone is the reach of what the installation does for all tenants.
const Everyone = "*"

// Everywhere gives a context whose statements see and write the rows of every
// tenant: for looking up a credential, for work behind the requests, and for what
// is about the whole installation.
func Everywhere(ctx context.Context) context.Context {
	return context.WithValue(ctx, ReachKey{}, Everyone)
}

// Within gives a context whose statements see and write the rows of one tenant.
func Within(ctx context.Context, tenant TenantID) context.Context {
	return context.WithValue(ctx, ReachKey{}, string(tenant))
}

// ReachOf is the tenant whose rows a statement may touch, or "*" for all: what was
// said, else the tenant of whoever asks. Where nobody has said and nobody asks it
// is "", and no row may be touched.
func ReachOf(ctx context.Context) string {
	if reach, ok := ctx.Value(ReachKey{}).(string); ok {
		return reach
	}
	if asker := AskerOf(ctx); asker.Valid() {
		return string(asker.Tenant())
	}
	return ""
}
