package tenure

import "time"

// ProviderKind is the wire format that a provider speaks.
type ProviderKind string

// The kinds of provider.
const (
	OpenAI    ProviderKind = "openai"    // OpenAI and anything compatible with it
	Anthropic ProviderKind = "anthropic" // Anthropic and anything compatible with it
)

// Provider is a workspace's access to a model provider. Its keys are rows of their own.
type Provider struct {
	ID        ProviderID
	Tenant    TenantID
	Workspace WorkspaceID
	Name      string // unique in the workspace; the "provider" of provider/model
	Kind      ProviderKind
	BaseURL   string // with "/v1" for openai, without it for anthropic, as the SDKs have it
	Last4     string // the last four characters of the key that is used first, for people
	Reference string // where that key is kept; "": sealed here
	Headers   []ProviderHeader
	MadeBy    UserID // the person who made it, or empty
	CreatedBy string // who made it, for people
	CreatedAt time.Time
	UpdatedAt time.Time
	// LastUsedAt is when a model last answered a request by one of its keys, to the
	// second; zero: never.
	LastUsedAt time.Time
	// Exception is the one of RuleProviderNetwork that it hangs on, or empty, and the
	// time in which that lets it be where the policy does not; zero: never.
	Exception                     ExceptionID
	ExceptionFrom, ExceptionUntil time.Time
}

// Excepted reports whether an exception lets the provider be at now where any policy
// could let it be.
func (p Provider) Excepted(now time.Time) bool {
	return !now.Before(p.ExceptionFrom) && now.Before(p.ExceptionUntil)
}

// Egress is where the provider may be at now, beside the public internet: where the
// policy lets all of its tenant be, or by its exception.
func (p Provider) Egress(policy Egress, now time.Time) Egress {
	if p.Excepted(now) {
		return EgressAll
	}
	return policy
}

// ProviderHeader is a header that a provider gets with every request, beside its key: an
// organisation, a version of its interface. It is no secret.
type ProviderHeader struct{ Name, Value string }

// HeadersByName are the headers of a provider, for showing them; nil: it has none.
func (p Provider) HeadersByName() map[string]string {
	if len(p.Headers) == 0 {
		return nil
	}
	out := make(map[string]string, len(p.Headers))
	for _, h := range p.Headers {
		out[h.Name] = h.Value
	}
	return out
}

// KeyState is where a version of a provider's key is in its life.
type KeyState string

// The states of a version, in their order.
const (
	KeyStaged  KeyState = "staged"  // stored, and not used
	KeyActive  KeyState = "active"  // used
	KeyOverlap KeyState = "overlap" // its successor is used; it is a last resort until RetireAt
	KeyRetired KeyState = "retired" // what was sealed is destroyed
)

// DefaultKeyName is what a provider's key is called that was given no name.
const DefaultKeyName = "default"

// ProviderKey is one version of a key of a provider, without the key itself. The
// versions of a key have its name.
type ProviderKey struct {
	ID          KeyID
	Tenant      TenantID
	Workspace   WorkspaceID
	Provider    ProviderID
	Name        string // unique in the provider, but for its versions
	Version     int64  // from 1
	State       KeyState
	Position    int    // lower ones are used first
	Weight      int    // its share among those of the same position
	Reference   string // where it is kept; "": sealed here
	Last4       string // its last four characters, for people; "": it is short
	Fingerprint string // the same for the same key in the same installation; "": not known
	MadeBy      UserID // the person who made it, or empty
	CreatedBy   string // who made it, for people
	CreatedAt   time.Time
	ActivatedAt time.Time
	CheckedAt   time.Time // zero: never
	Check       KeyCheck  // how that went
	CheckError  string    // what was wrong, for people
	RetireAt    time.Time // when a version in overlap is retired
	RetiredAt   time.Time
	RotateEvery int // in days, whoever looks after it is reminded; 0: never
}

// KeyCheck is how it went when a provider was asked with a key.
type KeyCheck string

// What a check found.
const (
	CheckNone        KeyCheck = ""            // there was none
	CheckPassed      KeyCheck = "passed"      // the provider has listed its models
	CheckRefused     KeyCheck = "refused"     // 401 or 403: the provider does not accept the key
	CheckFailed      KeyCheck = "failed"      // it answered something else
	CheckUnreachable KeyCheck = "unreachable" // it did not answer
)
