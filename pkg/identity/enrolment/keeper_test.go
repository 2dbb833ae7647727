package enrolment_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/enrolment"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
)

// kept runs a Keeper over some days and notes when it asked.
type kept struct {
	source *identity.Source
	asked  []time.Duration // since the start
	path   string
	ended  chan error
	stop   context.CancelFunc
}

func keep(t *testing.T, d *identitytest.Domain, renew func(attempt int) error) *kept {
	t.Helper()
	k := &kept{
		source: d.Source(t, identity.Site, "london"), ended: make(chan error, 1),
		path: filepath.Join(t.TempDir(), identity.NodeFile),
	}
	start := time.Now()
	keeper := &enrolment.Keeper{
		Source: k.source, Path: k.path, Logger: slog.New(slog.DiscardHandler),
		Renew: func(context.Context) (*identity.Credentials, error) {
			k.asked = append(k.asked, time.Since(start))
			if err := renew(len(k.asked)); err != nil {
				return nil, err
			}
			return d.Credentials(t, identity.Site, "london"), nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	k.stop = cancel
	go func() { k.ended <- keeper.Run(ctx) }()
	return k
}

// pass lets time go by; the bubble's clock jumps.
func pass(d time.Duration) { <-time.After(d) }

func TestKeeperRenewsAtHalfLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, identitytest.NewDomain(t, "example.org"), func(int) error { return nil })
		first := k.source.Current()
		pass(30 * time.Hour)
		k.stop()
		if err := <-k.ended; err != nil {
			t.Error(err)
		}
		if len(k.asked) != 2 || k.asked[0] < 11*time.Hour+57*time.Minute || k.asked[0] > 12*time.Hour || k.asked[1] < 23*time.Hour {
			t.Errorf("asked at %v", k.asked)
		}
		stored, err := identity.LoadCredentials(k.path)
		if err != nil || !stored.Leaf().Equal(k.source.Current().Leaf()) || stored.Leaf().Equal(first.Leaf()) {
			t.Errorf("stored: %v", err)
		}
	})
}

// Cut off for a week: it goes on asking, at a measured pace, and comes back by itself.
func TestKeeperComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cut := time.Now().Add(7 * 24 * time.Hour)
		k := keep(t, identitytest.NewDomain(t, "example.org"), func(int) error {
			if time.Now().Before(cut) {
				return errors.New("cut off")
			}
			return nil
		})
		pass(7*24*time.Hour + time.Hour)
		k.stop()
		if err := <-k.ended; err != nil {
			t.Error(err)
		}
		if n := len(k.asked); n < 6*24*4 || n > 6*24*8 {
			t.Errorf("asked %d times", n)
		}
		if !k.source.Current().Leaf().NotAfter.After(time.Now()) {
			t.Error("it did not come back")
		}
	})
}

func TestKeeperGivesUpWhenLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keep(t, identitytest.NewDomain(t, "example.org"), func(int) error { return errors.New("cut off") })
		start := time.Now()
		if err := <-k.ended; fault.KindOf(err) != fault.Denied {
			t.Errorf("ended with %v", err)
		}
		if after := time.Since(start); after < 31*24*time.Hour || after > 32*24*time.Hour {
			t.Errorf("after %v", after)
		}
		k.stop()
	})
}
