package tenure

import "time"

// NoticeID names a notice.
type NoticeID string

// Severity is how much a notice matters.
type Severity string

// The severities.
const (
	Info    Severity = "info"    // good to know
	Warning Severity = "warning" // something ends, or should be done, soon
	Alert   Severity = "alert"   // somebody should look now
)

// The kinds of notice.
const (
	NoticeTokenExpiring   = "token_expiring"       // a token is near its end
	NoticeRotationDue     = "rotation_due"         // a token's secret is near the age at which the policy wants a new one
	NoticeRotationOverdue = "rotation_overdue"     // it has passed that age
	NoticeKeyDue          = "provider_key_due"     // a provider's key is near the age at which a new one is wanted
	NoticeKeyOverdue      = "provider_key_overdue" // it has passed that age
	NoticeExceptionEnding = "exception_ending"     // an exception is near its end
	NoticeRemedyOverdue   = "remedy_overdue"       // the remedy of an exception is not made
	NoticeControlFailed   = "control_failed"       // an exception is out of force: its live check failed
	NoticeBeliefsRead     = "beliefs_read"         // somebody read another's beliefs by an exception; told once of each
	NoticeAccountEnding   = "account_ending"       // a service account is near its end date
	NoticeAccountOrphaned = "account_orphaned"     // a service account needs a new owner
	NoticeTokenReused     = "token_reused"         // a secret that was rotated away was used
	NoticeTokenLeaked     = "token_leaked"         // somebody reported a token
	NoticeRootUsed        = "root_used"            // the root token was used; told once an hour
	NoticeApprovalOff     = "approval_off"         // scopes of administration need no second person any more
	NoticeDatabaseBack    = "database_back"        // the database was found at an earlier state
	NoticeVaultSealed     = "vault_sealed"         // stored secrets cannot be opened
	NoticeTampered        = "vault_tampered"       // a sealed row was changed or moved
	NoticeAuditReplaced   = "audit_replaced"       // the audit log's history is another than what was signed
	NoticeAuditFault      = "audit_fault"          // the audit log was changed
	NoticeKeyRefused      = "provider_key_refused" // a provider does not accept a key any more
	NoticeReviewDue       = "review_due"           // somebody has items of an access review to decide
	NoticeReviewOverdue   = "review_overdue"       // and the time for it is over
	NoticeTrustRequested  = "trust_requested"      // somebody asks for evidence on the trust page
	NoticeSinkBehind      = "sink_behind"          // an audit sink accepts nothing any more
	NoticeHoldPlaced      = "audit_hold_placed"    // a legal hold was placed: nothing of the audit log is removed or erased
	NoticeHoldReleased    = "audit_hold_released"  // a legal hold was released
	NoticeTest            = "test"                 // an administrator asked for it
)

// Notice is one thing that people should know before it hurts.
type Notice struct {
	ID         NoticeID
	Tenant     TenantID
	At         time.Time
	Kind       string
	Severity   Severity
	User       UserID // whom it concerns beside the administrators, or empty
	ObjectKind string // "token", "provider_key", "service_account", "root_token", "policy", "database", "vault", "audit", "audit_sink", "trust_request"
	ObjectID   string
	Object     string // for people
	Message    string // a sentence
	Dedupe     string // one notice for each, in the tenant
	ReadAt     time.Time
	ReadBy     string
	Attempts   int // of the webhook
}
