// Package storetest is the conformance suite of the store: what every supported
// database must do, said once. It owns the cases; a database joins by opening
// itself for them.
//
// It tests no act and no edge, and nothing that only one database has.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// Open opens a fresh database for a test. hand runs a statement as an operator
// would: in another process, through the database's own shell.
type Open func(t *testing.T) (db *store.DB, hand func(statement string))

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, *fixture)
	}{
		{"a fresh database has the default tenant and workspace", freshDefaults},
		{"transactions are all or nothing and do not nest", transactions},
		{"waiting transactions fail alone", failAlone},
		{"acts that share a transaction stand or fall alone", sharedActs},
		{"whoever has lost their authority is refused before anything is committed", refusedBeforeCommit},
		{"many writers at once lose nothing", manyWriters},
		{"a panic in a transaction undoes it and nothing else", panics},
		{"user names are unique without regard to case", uniqueNames},
		{"a deleted user's name is free and the id is gone", tombstones},
		{"deactivation ends tokens and sessions for good", deactivation},
		{"a leaver's service accounts are flagged for a new owner", orphans},
		{"whoever gets another id leaves what they had", movedUser},
		{"service accounts end for good and leave their name", accounts},
		{"service accounts are seen by the highest role in their workspace", accountsSeen},
		{"service accounts that a hand ends take their tokens along", accountsByHand},
		{"of two rotations of a token one happens", rotations},
		{"requests for tokens move once from state to state", tokenRequests},
		{"standings tell what Admit decides by", standings},
		{"nothing outlives its exception", outlived},
		{"tenants do not see each other", tenants},
		{"policies are each tenant's own", policies},
		{"super admins count while they are active", superAdmins},
		{"a session that lapsed stays so", lapses},
		{"use is counted by tenant and minute", usage},
		{"what models used is added up, each batch once", modelUse},
		{"what providers claim may be more than a number holds", immenseUse},
		{"of each key it is known who used it last, and what for", keyUse},
		{"what models used is reckoned by other rates, of one model on one day", reckoned},
		{"what models used is summed up for limits, where there is one on it", limitedUse},
		{"requests under limits are written by each replica and read by the others", limitRequests},
		{"what was used is told with the prices in force", priced},
		{"ends of access are kept with how long they took", revocations},
		{"an overview counts who has access", overview},
		{"audit events are counted by kind and time", eventCounts},
		{"activity is one's own, once and in order", activity},
		{"a new role ends sessions, also by hand", roleEndsSessions},
		{"sessions are read with their limits", sessionLimits},
		{"a second factor is judged by the policy in force", secondFactors},
		{"a session without a second factor lives as long as its exception", letIn},
		{"lists page without gaps", paging},
		{"audit events live and die with their transaction", auditInTx},
		{"the feed tells every change of authority", feedTells},
		{"the feed does not tell of last use", feedQuiet},
		{"the feed knows when it has lost something", feedGap},
		{"edits by hand reach the feed and end what they must", byHand},
		{"times written by hand are understood", handTimes},
		{"last use is batched, right to the second, and audited once", lastUse},
		{"providers keep their sealed keys", providers},
		{"a provider is let off where it may be by its own exception alone, while that is in force", exceptedProvider},
		{"groups have unique names and members as rows", groups},
		{"whoever is deleted is in no group", membersLeave},
		{"members added at once are all there", membersAtOnce},
		{"conditions choose what they say", conditions},
		{"orders put what is absent last and lead from place to place", orders},
		{"connectors have names and tokens of their own, and end with them", connectors},
		{"a connector's tokens expire together", connectorRotation},
		{"a connector's end by hand ends its tokens and is told", connectorsByHand},
		{"a connector's figures are batched and learn its pace", connectorUse},
		{"what is done under a key is noted with it, once", once},
		{"workspaces are listed from a point of view and end with what is in them", workspaces},
		{"a workspace goes on in an outage for as long as the policy lets it", outageGrace},
		{"roles come through groups too, and the highest counts", rolesThroughGroups},
		{"what is in a workspace is counted, and what of it hangs on one role", counted},
		{"who loses the last role in a workspace loses the tokens there", lastRole},
		{"and by a changed key too", lastRoleByKey},
		{"members of a workspace come in pages from all sources", memberPages},
		{"what somebody had is remembered when its row goes", pastHoldings},
		{"notices are told once, read once and owed until they are sent", noticesOwed},
		{"audit events are found by id, by name and by request", auditFound},
		{"what is told once is told once by many", toldOnce},
		{"a suspended tenant's credentials are dead", tenantRows},
		{"a tenant has one OIDC connection, with a name and domains of its own", oidcConnections},
		{"a connection or a link that a hand takes away ends sessions", oidcByHand},
		{"what may be used once is used once", onceOnly},
		{"a session knows how its person signed in", signIns},
		{"drift is read in one stream, with live tokens only", driftStream},
		{"people are looked through by their names and what they have", people},
		{"tokens and events are looked through by what they are and whom they concern", looks},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newFixture(t, open)) })
	}
}

// fixture is a database with a person, a token and a session in it.
type fixture struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // a test's own
	db      *store.DB
	hand    func(string)
	user    tenure.User
	token   tenure.Token
	secret  tenure.Secret
	session tenure.Session
	cookie  tenure.Secret
}

func newFixture(t *testing.T, open Open) *fixture {
	t.Helper()
	db, hand := open(t)
	f := &fixture{t: t, ctx: tenure.Everywhere(context.Background()), db: db, hand: hand}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		f.user = person(tx.Now(), tenure.DefaultTenant, "Alice@Example.com")
		if err := tx.InsertUser(ctx, f.user); err != nil {
			return err
		}
		return tx.SetMembership(ctx, tenure.DefaultTenant, tenure.DefaultWorkspace, f.user.ID, tenure.Member)
	})
	f.token, f.secret = f.mint(f.user)
	f.session, f.cookie = f.signIn(f.user)
	return f
}

// ofDefault is the context of a request of the default tenant.
func ofDefault(ctx context.Context) context.Context {
	return context.WithValue(ctx, tenure.ReachKey{}, string(tenure.DefaultTenant))
}

func person(now time.Time, tenant tenure.TenantID, name string) tenure.User {
	return tenure.User{
		ID: tenure.UserID(tenure.NewID(now)), Tenant: tenant, UserName: name, Active: true, Role: tenure.Member,
		Source: tenure.SourceSCIM, Profile: []byte(`{"displayName":"x"}`), CreatedAt: now, UpdatedAt: now,
	}
}

func (f *fixture) tx(fn func(context.Context, *store.Tx) error) {
	f.t.Helper()
	if err := f.db.Tx(f.ctx, fn); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) mint(u tenure.User) (tenure.Token, tenure.Secret) {
	f.t.Helper()
	secret := tenure.NewToken(tenure.KindPAT)
	row := tenure.Token{
		Tenant: u.Tenant, Workspace: spaceOf(u.Tenant), User: u.ID, UserName: u.UserName, Name: "laptop", Kind: tenure.KindPAT,
		Prefix: secret.Reveal()[:tenure.TokenPrefixLength], Scopes: tenure.ScopeChat | tenure.ScopeModels,
	}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		row.ID, row.CreatedAt, row.ExpiresAt = tenure.TokenID(tenure.NewID(tx.Now())), tx.Now(), tx.Now().Add(time.Hour)
		return tx.InsertToken(ctx, row, tenure.DigestOf(secret.Reveal()))
	})
	return row, secret
}

// spaceOf is the first workspace of a tenant.
func spaceOf(tenant tenure.TenantID) tenure.WorkspaceID {
	if tenant == tenure.DefaultTenant {
		return tenure.DefaultWorkspace
	}
	return tenure.WorkspaceID(tenant + "-default")
}

func (f *fixture) signIn(u tenure.User) (tenure.Session, tenure.Secret) {
	f.t.Helper()
	secret := tenure.NewSessionSecret()
	s := tenure.Session{Tenant: u.Tenant, User: u.ID, SignIn: tenure.SignIn{Via: "proxy"}}
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		s.ID, s.CreatedAt, s.SeenAt = tenure.SessionID(tenure.NewID(tx.Now())), tx.Now(), tx.Now()
		s.ExpiresAt = tx.Now().Add(time.Hour)
		return tx.InsertSession(ctx, s, tenure.DigestOf(secret.Reveal()))
	})
	return s, secret
}

// standing reads the token's standing and admits it.
func (f *fixture) admitToken() error {
	f.t.Helper()
	s, err := f.db.TokenStanding(f.ctx, tenure.DigestOf(f.secret.Reveal()))
	if err != nil {
		return err
	}
	_, err = s.Admit(f.db.Now(), 0)
	return err
}

func (f *fixture) admitSession() error {
	f.t.Helper()
	s, err := f.db.SessionStanding(f.ctx, tenure.DigestOf(f.cookie.Reveal()))
	if err != nil {
		return err
	}
	_, err = s.Admit(f.db.Now(), 0)
	return err
}

// mustLive and mustDie say what has become of the fixture's credentials.
func (f *fixture) mustLive(what string) {
	f.t.Helper()
	if err := f.admitToken(); err != nil {
		f.t.Errorf("%s: the token is dead: %v", what, err)
	}
	if err := f.admitSession(); err != nil {
		f.t.Errorf("%s: the session is dead: %v", what, err)
	}
}

func (f *fixture) mustDie(what string) {
	f.t.Helper()
	if f.admitToken() == nil {
		f.t.Errorf("%s: the token lives", what)
	}
	if f.admitSession() == nil {
		f.t.Errorf("%s: the session lives", what)
	}
}

// feed opens the feed; next waits until it tells something.
func (f *fixture) feed() *store.Feed {
	f.t.Helper()
	feed, err := f.db.Feed(f.ctx, store.Mark{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = feed.Close() })
	return feed
}

func (f *fixture) next(feed *store.Feed) (changes []store.Change, lost bool) {
	f.t.Helper()
	for range 100 {
		news, err := feed.Poll(f.ctx)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(news.Changes) > 0 || news.Lost {
			return news.Changes, news.Lost
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, false
}

func tells(changes []store.Change, kind, id string) bool {
	for _, c := range changes {
		if c.Kind == kind && c.ID == id {
			return true
		}
	}
	return false
}
