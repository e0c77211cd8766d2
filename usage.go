package tenure

import "time"

// Usage is how much a tenant asked in a span of time.
type Usage struct {
	Start    time.Time
	Requests int64 // to models
	Refused  int64 // anywhere: 401, 403 and 429
	Failed   int64 // to models: 5xx
}

// A Revocation is one end of access, as it went.
type Revocation struct {
	At       time.Time
	What     string // of what: "user", "token", "session", …
	ObjectID string
	Object   string // for people
	Actor    string
	Ended    Ended
}

// Overview counts who has access in a tenant at an instant.
type Overview struct {
	People   int // with a live personal access token
	Accounts int // service accounts with a live token
	Tokens   int // live ones of both
	Unused   int // of these, those not used for long
	Ending   int // of these, those that end soon
	Orphans  int // service accounts without an owner
}
