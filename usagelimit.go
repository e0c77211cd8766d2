package tenure

import "time"

// LimitID names a limit on the use of models.
type LimitID string

// What a limit is on.
const (
	LimitTenant    = "tenant"
	LimitWorkspace = "workspace"
	LimitUser      = "user"
	LimitAccount   = "service_account"
	LimitToken     = "token"
)

// A UsageLimit bounds what one subject asks of models. All limits that bear on a
// request hold.
type UsageLimit struct {
	ID        LimitID
	Tenant    TenantID
	Kind      string      // of the subject: LimitTenant, …
	Subject   string      // its id
	Line      string      // of a token, the first of its line of rotations; else the subject
	Name      string      // for people; empty: it is not there any more
	Workspace WorkspaceID // what is asked in it alone is counted; empty: everywhere
	// WorkspaceName is for people; empty where Workspace is, or where it is not there.
	WorkspaceName string
	Bounds        UsageBounds
	CreatedBy     string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// UsageBounds are the bounds of a limit; 0 is none.
type UsageBounds struct {
	RequestsPerMinute int64 // in any 60 seconds
	TokensPerDay      int64 // input and output, of a day in UTC
	SpendPerMonth     int64 // in millionths of the installation's currency, of a month in UTC
}

// Some reports whether there is any bound.
func (b UsageBounds) Some() bool { return b != UsageBounds{} }
