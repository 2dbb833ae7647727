package peering

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
)

// A hub that starts again has its routes at once, as stale, and asks other hubs only for what has changed since.
func TestRoutesAreKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "routes")
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t, "a", "b")
		defer w.close()
		a, b := w.hubs["a"], w.hubs["b"]
		a.connect("london", "4xxx")
		b.connect("hongkong", "1xxx")
		a.p.TrunkChanged("site/london", true)
		b.p.TrunkChanged("site/hongkong", true)
		<-time.After(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.p.Keep(ctx, path) }()
		<-time.After(saveEvery + time.Second)
		if err := os.Remove(path); err != nil {
			t.Errorf("nothing was written after %v: %v", saveEvery, err)
		}
		<-time.After(2 * saveEvery)
		if _, err := os.Stat(path); err == nil {
			t.Error("written again without a change")
		}
		a.connect("london", "4xxx", "40xx") // refused, and a change all the same
		<-time.After(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		a.close()

		again := newHubNamed(t, "a", 2, w.dialFrom("a"))
		w.hubs["a"] = again
		if !again.p.Restore(path) {
			t.Fatal("nothing restored")
		}
		again.want("1001", "hub/b stale")
		again.want("4001", "site/london stale")
		again.p.TrunkChanged("hub/b", true)
		again.p.SetHubs(w.list)
		<-time.After(3 * time.Second)
		again.want("1001", "hub/b")
		again.want("4001", "404") // no trunk came
		if p := again.p.Peer("hub/b"); p.Phase != Up || p.Stats.AnnouncedIn != 0 {
			t.Errorf("the routes were told again: %+v", p)
		}
		b.want("1001", "site/hongkong")
	})
}

// What is kept of another hub, or broken, is not used.
func TestUnfitRoutesAreNotUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "routes")
	synctest.Test(t, func(t *testing.T) {
		b := newHubNamed(t, "b", 1, nil)
		defer b.close()
		b.connect("hongkong", "1xxx")
		if err := b.p.save(path); err != nil {
			t.Fatal(err)
		}
		restore := func(name federation.HubID, path string) bool {
			t.Helper()
			h := newHubNamed(t, name, 2, nil)
			defer h.close()
			restored := h.p.Restore(path)
			if !restored {
				h.want("1001", "404")
			}
			return restored
		}
		if restore("a", path) || restore("b", path+"-none") || !restore("b", path) {
			t.Error("another hub's, or what is not there, is used, or one's own is not")
		}
		<-time.After(25 * time.Hour)
		if restore("b", path) {
			t.Error("what is too old is used")
		}
	})
}
