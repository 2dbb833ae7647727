package discovery

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/tmss/cookie"
)

const (
	keyLifetime = 24 * time.Hour
	// keyRetired is how long a key is kept after its successor was made: the 48 hours for which it is
	// accepted, and a day for clocks and for a hub that was away.
	keyRetired = 72 * time.Hour
	keyPace    = time.Minute
)

// keyPlan is what to do about the domain's cookie keys.
type keyPlan struct {
	make   cookie.KeyID // zero: nothing
	remove []cookie.KeyID
}

// planKeys decides from the keys that there are: pure. Each hub comes to the same plan.
func planKeys(keys []cookie.Key, now time.Time) keyPlan {
	var plan keyPlan
	ordered := slices.SortedFunc(slices.Values(keys), func(a, b cookie.Key) int { return a.Made.Compare(b.Made) })
	for i := range len(ordered) - 1 {
		if now.Sub(ordered[i+1].Made) > keyRetired {
			plan.remove = append(plan.remove, ordered[i].ID)
		}
	}
	if len(ordered) > 0 && now.Sub(ordered[len(ordered)-1].Made) < keyLifetime {
		return plan
	}
	plan.make = 1
	for _, k := range keys {
		plan.make = max(plan.make, k.ID+1)
	}
	return plan
}

func cookieKeyName(id cookie.KeyID) string { return strconv.FormatUint(uint64(id), 10) }

// keepKeys makes a key a day, whichever hub comes first. It acts only on a view that is live: an old one
// has old keys.
func (d *Directory) keepKeys(ctx context.Context) {
	for ctx.Err() == nil {
		changed := d.Changed()
		if d.Status().Live {
			if err := d.tendKeys(ctx, planKeys(d.View().Keys, time.Now())); err != nil && ctx.Err() == nil {
				d.options.Logger.WarnContext(ctx, "cookie keys not tended", slog.Any("error", err))
			}
			wait(ctx, keyPace)
			continue
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

func (d *Directory) tendKeys(ctx context.Context, plan keyPlan) error {
	if plan.make != 0 {
		if err := d.makeKey(ctx, plan.make); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	for _, id := range plan.remove {
		if _, err := d.options.Client.Delete(ctx, cookiePrefix+cookieKeyName(id)); err != nil {
			return refusal("remove cookie key", cookieKeyName(id), err)
		}
	}
	return nil
}

// makeKey adds the key unless another hub was first; that is as good.
func (d *Directory) makeKey(ctx context.Context, id cookie.KeyID) error {
	doc := keyDocument{Secret: make([]byte, len(cookie.Key{}.Secret)), Made: time.Now().UTC()}
	_, _ = rand.Read(doc.Secret) // never fails: crypto/rand.Read
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	key := cookiePrefix + cookieKeyName(id)
	_, err = d.options.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(text))).Commit()
	if err != nil {
		return refusal("make cookie key", cookieKeyName(id), err)
	}
	return nil
}
