package tenure

import "time"

// Usage is how much a tenant asked in a span of time.
type Usage struct {
	Start    time.Time
	Requests int64 // to models
	Refused  int64 // anywhere: 401, 403 and 429
	Failed   int64 // to models: 5xx
}

// A Stream is one request in flight to a model.
type Stream struct {
	ID             string // of the request (X-Request-Id)
	Who            string // the person, or the service account
	User           UserID
	ServiceAccount ServiceAccountID
	Token          TokenID // empty for the root token that the operator sets
	TokenName      string
	Workspace      WorkspaceID
	WorkspaceName  string
	Provider       string // empty as long as it is not known
	Model          string // by the name that the provider gets; empty as long as it is not known
	Action         Action
	Started        time.Time
}

// What a Revocation is of.
const (
	RevokedUser      = "user"
	RevokedToken     = "token"
	RevokedTokens    = "tokens" // many at once
	RevokedSession   = "session"
	RevokedAccount   = "service_account"
	RevokedMember    = "membership"
	RevokedMapping   = "group_mapping"
	RevokedWorkspace = "workspace"
	RevokedConnector = "connector"
	RevokedTenant    = "tenant"
	RevokedRoot      = "root_token"
	RevokedStream    = "stream"
)

// A Revocation is one end of access, as it went.
type Revocation struct {
	At       time.Time
	What     string // of what: RevokedUser, …
	ObjectID string
	Object   string // for people
	Actor    string
	Ended    Ended
	Gone     bool // it is one even where nothing was left to end; not kept
}

// RevocationSteps are the bounds by which RevocationTimes counts.
var RevocationSteps = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
}

// RevocationTimes is how long ends of access took, from the start of each until the
// last stream was told to end.
type RevocationTimes struct {
	Count           int64
	Median, Slowest time.Duration
	// Within counts those below each of RevocationSteps and not below the one before;
	// Slower are all others.
	Within [len(RevocationSteps)]int64
	Slower int64
}

// Overview counts who has access in a tenant at an instant.
type Overview struct {
	People   int // with a live personal access token
	Accounts int // service accounts with a live token
	Tokens   int // live ones of both
	Unused   int // of these, those not used for long
	Ending   int // of these, those that end soon
	Orphans  int // service accounts without an owner
	Drifting int // active people whom SCIM did not provision
	SCIM     int // active people whom it did
	Alerts   int // notices that matter and that nobody has read
	// Ages counts the live tokens by their age: those younger than each of TokenAges,
	// and those that are older than all.
	Ages [len(TokenAges) + 1]int
}

// TokenAges are the bounds by which an Overview counts the ages of tokens.
var TokenAges = [...]time.Duration{7 * day, 30 * day, 90 * day, 180 * day, 365 * day}

const day = 24 * time.Hour
