package enrolment

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
)

// The Keeper's pace.
const (
	look       = 10 * time.Minute // the certificate's dates are compared with the clock at least this often
	firstRetry = 30 * time.Second
	lastRetry  = 10 * time.Minute
)

// Keeper renews a node's credentials at half of their life, for as long as it runs.
type Keeper struct {
	Source *identity.Source
	// Path is the file of the credentials. What cannot be written is used all the same.
	Path string
	// Renew gets new credentials: over Renew of this package, or from the hub's own authority.
	Renew  func(ctx context.Context) (*identity.Credentials, error)
	Logger *slog.Logger
}

// Run ends with ctx, and then with nil, or when the certificate expired so long ago that the node has to
// join again.
func (k *Keeper) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		leaf := k.Source.Current().Leaf()
		next := identity.RenewalOf(leaf, time.Now())
		wait := min(next.Wait+spread(firstRetry), look)
		switch next.Phase {
		case identity.Fresh:
			retry = firstRetry
		case identity.Lost:
			return fault.New("renew certificate", fault.Denied, k.Source.Current().Node.URI(),
				"it expired "+leaf.NotAfter.Format(time.DateOnly)+", too long ago to be renewed: join again with a new token")
		default:
			if k.renew(ctx, next.Phase) {
				continue
			}
			wait, retry = retry+spread(retry/2), min(2*retry, lastRetry)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// spread keeps nodes that started together apart.
func spread(d time.Duration) time.Duration { return rand.N(d) } //nolint:gosec // spreading load, no secret

// renew says whether new credentials are in place.
func (k *Keeper) renew(ctx context.Context, phase identity.Phase) bool {
	fresh, err := k.Renew(ctx)
	if err != nil {
		if ctx.Err() == nil {
			k.Logger.WarnContext(ctx, "certificate not renewed", slog.String("phase", string(phase)),
				slog.Time("expires", k.Source.Current().Leaf().NotAfter), slog.Any("error", err))
		}
		return false
	}
	if err := fresh.Save(k.Path); err != nil {
		k.Logger.ErrorContext(ctx, "renewed certificate not stored: a restart would begin with the old one", slog.Any("error", err))
	}
	k.Source.Set(fresh)
	k.Logger.InfoContext(ctx, "certificate renewed", slog.Time("expires", fresh.Leaf().NotAfter))
	return true
}
