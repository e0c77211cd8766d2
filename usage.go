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
