package tenure

import "time"

// ModelUse is how many tokens of a model were used, as the provider counted them.
type ModelUse struct {
	Input       int64 // all that the model read, from its cache too
	CacheReads  int64 // of Input, what it had in its cache
	CacheWrites int64 // of Input, what it put there
	Output      int64
}

// Plus is the sum of two uses.
func (u ModelUse) Plus(v ModelUse) ModelUse {
	return ModelUse{u.Input + v.Input, u.CacheReads + v.CacheReads, u.CacheWrites + v.CacheWrites, u.Output + v.Output}
}

// By what the use of models is summed up.
const (
	UseByDay       = "day"
	UseByWorkspace = "workspace"
	UseByUser      = "user" // people, and service accounts
	UseByToken     = "token"
	UseByProvider  = "provider"
	UseByKey       = "key" // of a provider: each version
	UseByModel     = "model"
)

// ModelUses is what models used, of one of what it is summed up by.
type ModelUses struct {
	ID       string // of a workspace, person, service account, token, provider or key; the model; the day as YYYY-MM-DD
	Name     string // for people; empty: it is not there any more
	Requests int64
	ModelUse
	Spend    int64     // in millionths of the installation's currency, of those that have a price
	Unpriced int64     // of the requests, those of which nobody knows what they cost
	LastAt   time.Time // of the last request, to the second
}

// KeyUse is how a version of a provider's key was used: last of all, and in some days.
type KeyUse struct {
	Key       KeyID
	LastAt    time.Time        // when a model last answered a request with it, to the second; zero: never
	User      UserID           // whose request that was,
	Account   ServiceAccountID // or which service account's; both empty: it was the root token's
	Who       string           // their name, for people; empty: they are not there any more
	Token     TokenID          // with which token; empty: the root token that the operator sets
	TokenName string           // for people
	// Requests, the tokens and what they cost are of the days.
	Requests int64
	ModelUse
	Spend    int64 // in millionths of the currency, of those that have a price
	Unpriced int64 // of the requests, those of which nobody knows what they cost
}
