package store

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenure-gateway/tenure"
)

// ModelUse adds up what models used: noted on the request's path without waiting
// for anything, written behind in batches. Rows are merged by addition, so that
// replicas do not wait for each other's figures; each batch has an id, and one of
// which nobody knows whether it was written is tried again and counts once. A crash
// loses usageFlush of it.
type ModelUse struct {
	DB *DB
	// Counted is told of each use as it is noted: it does not wait, and nothing else is
	// noted meanwhile. After is called when what was noted before a flush is written. nil:
	// nobody is.
	Counted func(NotedUse)
	// Price gives what the tokens of a tenant's provider and model cost on a day, if
	// anybody knows. It does not wait, and is called one at a time.
	Price func(tenant tenure.TenantID, provider, model string, day time.Time) (tenure.Rates, bool)
	After func(context.Context) error

	mu    sync.Mutex
	noted map[modelKey]*modelRow
	named map[modelKey]int // how many models, by what is noted of which

	flushing sync.Mutex
	batches  []modelBatch // what is being written
	swept    int64        // the day on which old rows were removed last
}

// NotedUse is a use of models that is noted, as limits count it.
type NotedUse struct {
	Tenant    tenure.TenantID
	Workspace tenure.WorkspaceID
	User      tenure.UserID
	Account   tenure.ServiceAccountID
	Line      tenure.TokenID // of the token
	Day       int64          // since 1970, UTC
	Tokens    int64          // input and output
	Spend     int64          // in millionths of the currency
	Unpriced  int64          // requests of which nobody knows what they cost
}

// AskedModel is what a request was answered by.
type AskedModel struct {
	Provider tenure.ProviderID
	Key      tenure.KeyID // of the provider, with which it was asked
	Name     string       // the provider's
	Model    string       // by the provider's name for it
}

type modelKey struct {
	tenant   tenure.TenantID
	day      int64
	token    tenure.TokenID
	space    tenure.WorkspaceID
	provider tenure.ProviderID
	key      tenure.KeyID
	model    string
}

type modelRow struct {
	modelKey
	user     tenure.UserID
	account  tenure.ServiceAccountID
	line     tenure.TokenID
	provided string // the provider's name
	requests int64
	use      tenure.ModelUse
	last     int64 // second
	price    price
	apart    *money // of a row of several models: each has a price of its own
}

// price is what is known of the price of a model.
type price struct {
	rates tenure.Rates
	known bool
}

// of is what a use costs, or of how many requests nobody knows it.
func (p price) of(use tenure.ModelUse, requests int64) money {
	if !p.known {
		return money{unpriced: requests}
	}
	return money{spend: p.rates.Of(use)}
}

// money is what something costs, in millionths, and how many requests are not in it.
type money struct{ spend, unpriced int64 }

// costs is what the row costs as a whole.
func (r *modelRow) costs() money {
	if r.apart != nil {
		return *r.apart
	}
	return r.price.of(r.use, r.requests)
}

type modelBatch struct {
	id   string
	rows []*modelRow
}

const (
	// modelUseKept is how long the use of models is remembered.
	modelUseKept = 400 * 24 * time.Hour
	// modelUseWaiting is how many rows wait while the database is silent; what
	// would need another one is lost.
	modelUseWaiting = 100_000
	// modelUseBatch is how many rows are written in one transaction.
	modelUseBatch = 2000
	// modelsNamed is how many models one token with a provider's key is counted by, by
	// their names, between two flushes; what is beyond them is counted together.
	modelsNamed = 100
	otherModels = "other"
	// freshenWait is how long a reader of figures waits for a flush that goes on.
	freshenWait = time.Second
	// batchesKept is how long a batch can be tried again.
	batchesKept = 24 * time.Hour
)

// Note adds one request that a model answered. It never waits for the database.
func (m *ModelUse) Note(p tenure.Principal, asked AskedModel, at time.Time, use tenure.ModelUse) {
	key := modelKey{p.Tenant(), day(at), p.Token(), cmp.Or(p.Workspace(), tenure.DefaultWorkspace), asked.Provider, asked.Key, asked.Model}
	m.mu.Lock()
	defer m.mu.Unlock()
	row, ok := m.noted[key]
	if !ok {
		key = m.fold(key)
		row, ok = m.noted[key]
	}
	folded := key.model != asked.Model || key.model == otherModels // of several models
	if !ok {
		if len(m.noted) >= modelUseWaiting {
			return
		}
		if m.noted == nil {
			m.noted = make(map[modelKey]*modelRow)
		}
		row = &modelRow{modelKey: key, user: p.User(), account: p.Account(), line: p.Line(), provided: asked.Name}
		if folded {
			row.apart = &money{}
		} else {
			row.price = m.priceOf(key, asked)
		}
		m.noted[key] = row
	}
	cost := row.price
	if folded {
		cost = m.priceOf(key, asked)
	}
	row.requests++
	row.use = row.use.Plus(use)
	row.last = max(row.last, at.Unix())
	spent := cost.of(use, 1)
	if row.apart != nil {
		row.apart.spend, row.apart.unpriced = row.apart.spend+spent.spend, row.apart.unpriced+spent.unpriced
	}
	if m.Counted != nil {
		m.Counted(row.counts(use, spent))
	}
}

func (m *ModelUse) priceOf(key modelKey, asked AskedModel) price {
	var p price
	if m.Price != nil {
		p.rates, p.known = m.Price(key.tenant, asked.Name, asked.Model, DayTime(key.day))
	}
	return p
}

// fold is the key under which a model is counted of which nothing is noted yet.
func (m *ModelUse) fold(key modelKey) modelKey {
	of := key
	of.model = ""
	if m.named[of] >= modelsNamed {
		key.model = otherModels
		return key
	}
	if m.named == nil {
		m.named = make(map[modelKey]int)
	}
	m.named[of]++
	return key
}

// counts is a use of what the row is of.
func (r *modelRow) counts(use tenure.ModelUse, m money) NotedUse {
	return NotedUse{r.tenant, r.space, r.user, r.account, r.line, r.day, use.Input + use.Output, m.spend, m.unpriced}
}

// Settle shows what is noted and not written yet. What is noted meanwhile waits until
// settle returns. It is for After.
func (m *ModelUse) Settle(settle func(iter.Seq[NotedUse])) {
	m.mu.Lock()
	defer m.mu.Unlock()
	settle(func(yield func(NotedUse) bool) {
		for _, row := range m.noted {
			if !yield(row.counts(row.use, row.costs())) {
				return
			}
		}
	})
}

// Day is the day of an instant, since 1970 and in UTC.
func Day(t time.Time) int64 { return day(t) }

// DayTime is the beginning of a day.
func DayTime(day int64) time.Time { return time.Unix(day*24*60*60, 0).UTC() }

func day(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// Run writes behind until ctx ends, and then once more.
func (m *ModelUse) Run(ctx context.Context, report func(error)) {
	WriteBehind(ctx, usageFlush, m.Flush, report)
}

// Flush writes what has been noted, of all tenants, whoever asks for it.
func (m *ModelUse) Flush(ctx context.Context) error {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	if err := m.flush(ctx); err != nil || m.After == nil {
		return err
	}
	return m.After(behind(ctx))
}

// behind is for what is done for everybody, whoever's request set it off.
func behind(ctx context.Context) context.Context {
	return tenure.Everywhere(tenure.WithoutOrigin(tenure.WithoutAsker(ctx)))
}

// Freshen writes what has been noted for whoever reads figures: where a flush goes on for
// longer than freshenWait, what it has not written is not in them.
func (m *ModelUse) Freshen(ctx context.Context) error {
	for until := time.Now().Add(freshenWait); !m.flushing.TryLock(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) || ctx.Err() != nil {
			return nil
		}
	}
	defer m.flushing.Unlock()
	return m.flush(ctx)
}

func (m *ModelUse) flush(ctx context.Context) error {
	// What an earlier attempt left, and then once what was noted since: of what comes
	// meanwhile there is no end while there is traffic.
	for left := true; left; {
		if left = len(m.batches) > 0; !left {
			m.batches = m.take()
		}
		if err := m.writeAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// writeAll writes the batches that wait. One that the database refuses for what is in
// it is written row by row, and a row that it refuses is lost: it would be refused for
// ever, and everything behind it would wait.
func (m *ModelUse) writeAll(ctx context.Context) error {
	ctx = behind(ctx)
	var lost error
	for len(m.batches) > 0 {
		b := m.batches[0]
		err := m.DB.Tx(ctx, func(ctx context.Context, tx *Tx) error { return m.write(ctx, tx, b) })
		switch {
		case err == nil:
			m.swept = day(m.DB.Now())
		case tenure.AsError(err).Kind == tenure.Unavailable || ctx.Err() != nil || m.DB.Ping(ctx) != nil:
			return err
		case len(b.rows) > 1:
			m.batches = slices.Concat(m.split(b.rows, len(b.rows)/2), m.batches[1:])
			continue
		default:
			lost = fmt.Errorf("the use of model %q by a token is lost, the database refuses it: %w", b.rows[0].model, err)
		}
		m.batches = m.batches[1:]
	}
	return lost
}

// take makes batches of what was noted, in the order of the rows' keys: of two
// replicas that write at once, none waits for the other in a circle.
func (m *ModelUse) take() []modelBatch {
	m.mu.Lock()
	noted := m.noted
	m.noted, m.named = nil, nil
	m.mu.Unlock()
	rows := slices.Collect(maps.Values(noted))
	slices.SortFunc(rows, func(x, y *modelRow) int {
		return cmp.Or(cmp.Compare(x.tenant, y.tenant), cmp.Compare(x.day, y.day), cmp.Compare(x.token, y.token),
			cmp.Compare(x.space, y.space), cmp.Compare(x.provider, y.provider), cmp.Compare(x.model, y.model), cmp.Compare(x.key, y.key))
	})
	return m.split(rows, modelUseBatch)
}

// split makes batches of so many rows.
func (m *ModelUse) split(rows []*modelRow, size int) []modelBatch {
	var out []modelBatch
	for part := range slices.Chunk(rows, size) {
		out = append(out, modelBatch{tenure.NewID(m.DB.Now()), part})
	}
	return out
}

// write adds the batch, unless it was already.
func (m *ModelUse) write(ctx context.Context, tx *Tx, b modelBatch) error {
	n, err := tx.exec(ctx, `INSERT INTO usage_batches (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, b.id, stamp(tx.now))
	if err != nil || n == 0 {
		return err
	}
	for rest := b.rows; len(rest) > 0; {
		size := batchSize(len(rest))
		if err := addModelUse(ctx, tx, rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	if err := touchKeys(ctx, tx, b.rows); err != nil {
		return err
	}
	if today := day(tx.now); m.swept != today {
		if _, err := tx.exec(ctx, `DELETE FROM model_usage WHERE day < $1`, day(tx.now.Add(-modelUseKept))); err != nil {
			return err
		}
		_, err = tx.exec(ctx, `DELETE FROM usage_batches WHERE at < $1`, stamp(tx.now.Add(-batchesKept)))
	}
	return err
}

// batchSize is how many of so many rows are written by one statement: of few sizes, so
// that their texts are kept prepared.
func batchSize(rows int) int {
	for _, size := range []int{64, 8} {
		if rows >= size {
			return size
		}
	}
	return 1
}

func addModelUse(ctx context.Context, tx *Tx, rows []*modelRow) error {
	var w where
	values := make([]string, 0, len(rows))
	for _, r := range rows {
		var in []string
		cost := r.costs()
		for _, v := range []any{
			r.tenant, r.day, r.token, r.space, r.provider, r.model, r.key, r.user, r.account, r.provided,
			r.requests, r.use.Input, r.use.CacheReads, r.use.CacheWrites, r.use.Output, stamp(time.Unix(r.last, 0)), cost.spend, cost.unpriced,
		} {
			in = append(in, w.arg(v))
		}
		values = append(values, `(`+strings.Join(in, `, `)+`)`)
	}
	_, err := tx.exec(ctx, `INSERT INTO model_usage (tenant_id, day, token_id, workspace_id, provider_id, model, key_id, user_id, service_account_id, provider,
		requests, input, cache_reads, cache_writes, output, last_at, spend, unpriced) VALUES `+strings.Join(values, `, `)+`
		ON CONFLICT (tenant_id, day, token_id, workspace_id, provider_id, model, key_id) DO UPDATE SET provider = excluded.provider,
		requests = model_usage.requests + excluded.requests, input = model_usage.input + excluded.input,
		cache_reads = model_usage.cache_reads + excluded.cache_reads, cache_writes = model_usage.cache_writes + excluded.cache_writes,
		output = model_usage.output + excluded.output, spend = model_usage.spend + excluded.spend, unpriced = model_usage.unpriced + excluded.unpriced,
		last_at = CASE WHEN excluded.last_at > model_usage.last_at THEN excluded.last_at ELSE model_usage.last_at END`, w.args...)
	return err
}
