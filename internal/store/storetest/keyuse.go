package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/store"
)

// keyUse: of each version of a key it is known who used it last, whichever replica wrote
// that first, and what was used with it.
func keyUse(t *testing.T, f *fixture) {
	today := f.db.Now().UTC().Truncate(24 * time.Hour)
	f.tx(func(ctx context.Context, tx *store.Tx) error {
		err := tx.InsertProvider(ctx, tenure.Provider{ID: "p", Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Name: "openai", Kind: tenure.OpenAI, CreatedAt: tx.Now(), UpdatedAt: tx.Now()})
		for i, id := range []tenure.KeyID{"k1", "k2", "k3"} {
			if err == nil {
				err = tx.InsertProviderKey(ctx, tenure.ProviderKey{
					ID: id, Tenant: tenure.DefaultTenant, Workspace: tenure.DefaultWorkspace, Provider: "p", Name: string(id), Version: 1,
					State: tenure.KeyActive, Position: i + 1, Weight: 1, CreatedAt: tx.Now(),
				}, store.SealedKey{Sealed: []byte("x"), DataKey: []byte("y")})
			}
		}
		return err
	})
	feed := f.feed()
	one, two := &store.ModelUse{DB: f.db}, &store.ModelUse{DB: f.db}
	use := tenure.ModelUse{Input: 10, Output: 5}
	note := func(m *store.ModelUse, key tenure.KeyID, user tenure.UserID, token tenure.TokenID, at time.Time) {
		m.Note(asker(t, tenure.DefaultTenant, user, token), store.AskedModel{Provider: "p", Key: key, Name: "openai", Model: "gpt"}, at, use)
	}
	note(one, "k1", f.user.ID, f.token.ID, today.Add(2*time.Hour))
	note(one, "k2", "gone", "gone too", today.Add(-time.Hour))
	note(two, "k1", "bob", "his", today.Add(time.Hour)) // earlier, and written later
	note(two, "of another provider", "bob", "his", today)
	for _, m := range []*store.ModelUse{one, two} {
		if err := m.Flush(f.ctx); err != nil {
			t.Fatal(err)
		}
	}
	uses, err := f.db.KeyUses(f.ctx, tenure.DefaultTenant, "p", today, today)
	if err != nil || len(uses) != 3 {
		t.Fatalf("%+v %v", uses, err)
	}
	k1, k2, k3 := uses[0], uses[1], uses[2]
	if k1.Key != "k1" || !k1.LastAt.Equal(today.Add(2*time.Hour)) || k1.User != f.user.ID || k1.Who != f.user.UserName || k1.Token != f.token.ID || k1.TokenName != f.token.Name {
		t.Errorf("the first was last used: %+v", k1)
	}
	if k1.Requests != 2 || k1.ModelUse != use.Plus(use) || k1.Unpriced != 2 {
		t.Errorf("with the first: %+v", k1)
	}
	if !k2.LastAt.Equal(today.Add(-time.Hour)) || k2.User != "gone" || k2.Who != "" || k2.Requests != 0 {
		t.Errorf("the second, which was used yesterday: %+v", k2)
	}
	if !k3.LastAt.IsZero() || k3.Requests != 0 {
		t.Errorf("the third, which was not: %+v", k3)
	}
	if uses, err := f.db.KeyUses(f.ctx, "other", "p", today, today); err != nil || len(uses) != 0 {
		t.Errorf("to another tenant: %+v %v", uses, err)
	}
	sums, err := f.db.ModelUses(f.ctx, store.ModelUseFilter{Tenant: tenure.DefaultTenant, From: today, To: today, By: tenure.UseByKey})
	if err != nil || len(sums) != 2 || sums[0].ID != "k1" || sums[0].Name != "openai k1 v1" || sums[0].Requests != 2 || sums[1].Name != "" {
		t.Errorf("by key: %+v %v", sums, err)
	}
	p, err := f.db.Provider(f.ctx, tenure.DefaultTenant, "p")
	if err != nil || !p.LastUsedAt.Equal(today.Add(2*time.Hour)) {
		t.Errorf("the provider was last used at %v, %v", p.LastUsedAt, err)
	}
	if news, err := feed.Poll(f.ctx); len(news.Changes) > 0 || news.Lost || err != nil {
		t.Errorf("the use of keys made the feed tell %v, %v", news, err)
	}
}
