package discovery_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/tmss/directory/directorytest"
	"github.com/mss-federation/mss/tmss/discovery"
)

func TestMain(m *testing.M) { directorytest.Main(m) }

// hub is one hub's directory, running.
type hub struct {
	*discovery.Directory

	cache string
	stop  func()
}

// start runs a hub's directory; epoch zero means that the hub is not registered.
func start(t *testing.T, client *clientv3.Client, id string, epoch uint64, change ...func(*discovery.Options)) *hub {
	t.Helper()
	o := discovery.Options{
		Domain: "example.org", Client: client, Cache: filepath.Join(t.TempDir(), "directory.json"),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if epoch > 0 {
		o.Self = discovery.Hub{
			ID: federation.HubID(id), GRPC: "192.0.2.7:5443", SIP: map[string]string{"tls": "192.0.2.7:5061"},
			Epoch: epoch, Version: "1.0.0", Protocol: 1,
		}
	}
	for _, c := range change {
		c(&o)
	}
	d, err := discovery.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return &hub{Directory: d, cache: o.Cache, stop: stop}
}

// await waits until something is true of the directory.
func (h *hub) await(t *testing.T, within time.Duration, what string, is func() bool) {
	t.Helper()
	deadline := time.After(within)
	for {
		changed := h.Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("not within %v: %s; status %+v", within, what, h.Status())
		}
	}
}

func (h *hub) awaitLive(t *testing.T) {
	t.Helper()
	h.await(t, 10*time.Second, "live", func() bool { return h.Status().Live })
}

func (h *hub) present(id federation.HubID) bool {
	found, ok := h.View().Hub(id)
	return ok && found.Gone.IsZero()
}

func london(owns ...discovery.Block) discovery.Site {
	return discovery.Site{ID: "london", Owns: owns}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	a, b := start(t, m.Client(t), "a", 0), start(t, m.Client(t), "b", 0)
	a.awaitLive(t)
	b.awaitLive(t)
	ctx := t.Context()
	site := london(discovery.Block{Prefix: "4", MinLen: 4, MaxLen: 4})
	if err := a.PutSite(ctx, site, "alice"); err != nil {
		t.Fatal(err)
	}
	got, ok := a.View().Site("london") // a writer sees its own change at once
	if !ok || got.Changed.By != "alice" || got.Changed.Revision == 0 || got.Owns[0].Prefix != "4" {
		t.Fatalf("got %+v, %v", got, ok)
	}
	if err := b.PutSite(ctx, site, "bob"); fault.KindOf(err) != fault.Exists {
		t.Errorf("made twice: %v", err)
	}
	b.await(t, 5*time.Second, "the site at b", func() bool { _, ok := b.View().Site("london"); return ok })

	first, second := got, got
	first.Disabled = true
	if err := a.PutSite(ctx, first, "alice"); err != nil {
		t.Fatal(err)
	}
	second.Static = "udp 192.0.2.9:5060"
	if err := b.PutSite(ctx, second, "bob"); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "alice") {
		t.Errorf("changed by two: %v", err)
	}
	if err := a.DeleteSite(ctx, "london", got.Changed.Revision); fault.KindOf(err) != fault.Conflict {
		t.Errorf("deleted as it was before: %v", err)
	}
	now, _ := a.View().Site("london")
	if err := a.DeleteSite(ctx, "london", now.Changed.Revision); err != nil {
		t.Fatal(err)
	}
	if err := a.PutSite(ctx, now, "alice"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("changed after its end: %v", err)
	}
	b.await(t, 5*time.Second, "no site at b", func() bool { _, ok := b.View().Site("london"); return !ok })

	route := discovery.Route{ID: "hongkong", Block: discovery.Block{Prefix: "+1555010", MinLen: 7, MaxLen: 11}, Via: "site/hongkong", Cost: 10}
	if err := a.PutRoute(ctx, route, "alice"); err != nil {
		t.Fatal(err)
	}
	made, _ := a.View().Route("hongkong")
	if made.Via != "site/hongkong" || made.Block.NLRI("example.org").Family != federation.E164 {
		t.Errorf("route %+v", made)
	}
	if err := a.DeleteRoute(ctx, "hongkong", made.Changed.Revision); err != nil || len(a.View().Routes) != 0 {
		t.Errorf("deleted: %v, %v", err, a.View().Routes)
	}
}

func TestDocumentsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, nobody(t), "a", 0)
	for name, site := range map[string]discovery.Site{
		"no name":   {},
		"bad name":  {ID: "Lon don"},
		"letters":   london(discovery.Block{Prefix: "4x", MinLen: 4, MaxLen: 4}),
		"lengths":   london(discovery.Block{Prefix: "4", MinLen: 5, MaxLen: 4}),
		"too short": london(discovery.Block{Prefix: "4444", MinLen: 1, MaxLen: 3}),
		"static":    {ID: "london", Static: "192.0.2.7"},
		"transport": {ID: "london", Static: "tls 192.0.2.7:5061"},
	} {
		if err := h.PutSite(t.Context(), site, "alice"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	block := discovery.Block{Prefix: "4", MinLen: 4, MaxLen: 4}
	for name, route := range map[string]discovery.Route{
		"no name":  {Block: block},
		"operator": {ID: "x", Block: block, Via: "operator/alice"},
		"no role":  {ID: "x", Block: block, Via: "london"},
	} {
		if err := h.PutRoute(t.Context(), route, "alice"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// nobody is a client of a directory that is not there.
func nobody(t *testing.T) *clientv3.Client {
	t.Helper()
	d := identitytest.NewDomain(t, "example.org")
	return directorytest.Client(t, d, "127.0.0.1:1")
}

// slack is what a busy machine may add to a bound.
const slack = 500 * time.Millisecond

// refused wants a write to be refused in time, with a sentence that says what still works.
func refused(t *testing.T, h *hub) {
	t.Helper()
	begin := time.Now()
	err := h.PutSite(t.Context(), london(), "alice")
	if took := time.Since(begin); fault.KindOf(err) != fault.Unavailable || took > 2*time.Second+slack {
		t.Errorf("after %v: %v", took, err)
	}
	for _, word := range []string{"no quorum", "Calls, registrations and route exchange go on"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v does not say %q", err, word)
		}
	}
}

// The directory is killed and stays away for a while: views stay, writes are refused, and everything is back
// by itself.
func TestKilled(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	a, b := start(t, m.Client(t), "a", 1), start(t, m.Client(t), "b", 1)
	a.await(t, 10*time.Second, "b at a", func() bool { return a.present("b") && a.present("a") })
	m.Kill(t)
	a.await(t, 10*time.Second, "out of reach", func() bool { return !a.Status().Live })
	refused(t, a)
	if !a.present("b") {
		t.Error("a hub vanished because the directory did")
	}
	m.Run(t)
	m.Await(t)
	begin := time.Now()
	a.awaitLive(t)
	b.await(t, 10*time.Second, "registered again", func() bool { return b.Status().Registered })
	if err := b.PutSite(t.Context(), london(), "alice"); err != nil {
		t.Fatal(err)
	}
	a.await(t, 10*time.Second, "watch resumed", func() bool { _, ok := a.View().Site("london"); return ok && a.present("b") })
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("whole again after %v", took)
	}
}

// The directory is stopped, so that nothing closes and nothing answers: the silence is noticed.
func TestStopped(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	a := start(t, m.Client(t), "a", 1)
	a.await(t, 10*time.Second, "registered", func() bool { return a.Status().Live && a.present("a") })
	m.Stop(t)
	refused(t, a)
	a.await(t, 15*time.Second, "out of reach", func() bool { return !a.Status().Live })
	refused(t, a)
	m.Continue(t)
	a.await(t, 10*time.Second, "back", func() bool { return a.Status().Live && a.Status().Registered && a.present("a") })
	if err := a.PutSite(t.Context(), london(), "alice"); fault.KindOf(err) != fault.Internal && fault.KindOf(err) != fault.Exists {
		t.Errorf("a write afterwards: %v", err) // Exists: one that was refused has arrived
	}
}

// A lease or entry that went away behind the hub's back is made again.
func TestEntryLost(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	client := m.Client(t)
	a := start(t, client, "a", 1)
	a.await(t, 10*time.Second, "registered", func() bool { return a.present("a") })
	leases, err := client.Leases(t.Context())
	if err != nil || len(leases.Leases) != 1 {
		t.Fatalf("%v, %v", leases, err)
	}
	if _, err := client.Revoke(t.Context(), leases.Leases[0].ID); err != nil {
		t.Fatal(err)
	}
	a.await(t, 5*time.Second, "gone", func() bool { return !a.present("a") })
	a.await(t, 10*time.Second, "lease lost, registered again", func() bool { return a.present("a") })
	if _, err := client.Delete(t.Context(), "/nodes/a"); err != nil {
		t.Fatal(err)
	}
	a.await(t, 5*time.Second, "gone again", func() bool { return !a.present("a") })
	a.await(t, 10*time.Second, "entry lost, registered again", func() bool { return a.present("a") && a.Status().Registered })
}

// A hub that stops takes its entry away; others remember its addresses. A changed address is seen.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	a, b := start(t, m.Client(t), "a", 0), start(t, m.Client(t), "b", 1)
	a.await(t, 10*time.Second, "b at a", func() bool { return a.present("b") })
	self, _ := a.View().Hub("b")
	self.GRPC = "192.0.2.8:5443"
	b.SetSelf(self)
	a.await(t, 5*time.Second, "b's new address", func() bool { got, _ := a.View().Hub("b"); return got.GRPC == "192.0.2.8:5443" })
	b.stop()
	a.await(t, 3*time.Second, "b gone", func() bool { return !a.present("b") })
	if got, ok := a.View().Hub("b"); !ok || got.GRPC != "192.0.2.8:5443" {
		t.Errorf("b is forgotten: %+v", got)
	}
}

// Of two processes with one identity, the later start has the entry, and the other does not fight.
func TestTwoWithOneIdentity(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	old := start(t, m.Client(t), "a", 1)
	old.await(t, 10*time.Second, "registered", func() bool { return old.Status().Registered })
	late := start(t, m.Client(t), "a", 2)
	late.await(t, 10*time.Second, "registered", func() bool { return late.Status().Registered })
	old.await(t, 10*time.Second, "pushed out", func() bool { return !old.Status().Registered })
	if got, _ := late.View().Hub("a"); got.Epoch != 2 {
		t.Errorf("entry of epoch %d", got.Epoch)
	}
}

// With nothing but its own disk, a hub knows what it knew.
func TestStartFromDisk(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	first := start(t, m.Client(t), "a", 1, func(o *discovery.Options) { o.KeepKeys = true })
	first.awaitLive(t)
	if err := first.PutSite(t.Context(), london(discovery.Block{Prefix: "4", MinLen: 4, MaxLen: 4}), "alice"); err != nil {
		t.Fatal(err)
	}
	if err := first.Invite(t.Context(), "secret-hash", discovery.Invitation{Node: "mss://example.org/site/paris", Expires: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	first.await(t, 5*time.Second, "a cookie key", func() bool { return len(first.View().Keys) == 1 })
	first.await(t, 5*time.Second, "registered", func() bool { return first.present("a") })
	first.stop()
	private(t, first.cache, "secret-hash")

	again := start(t, nobody(t), "a", 0, func(o *discovery.Options) { o.Cache = first.cache })
	if d := discovery.Differences(first.View(), again.View()); len(d) != 0 {
		t.Errorf("differs: %+v", d)
	}
	if again.Status().Live {
		t.Error("it believes to be live")
	}
	if got, ok := again.View().Site("london"); !ok || got.Changed.Revision == 0 {
		t.Errorf("site %+v", got)
	}
	refused(t, again)

	_, err := discovery.New(discovery.Options{Domain: "example.net", Cache: first.cache})
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("another domain's copy: %v", err)
	}
}

// What changed while a hub was away, and was compacted since, comes as differences all the same.
func TestCompacted(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	client := m.Client(t)
	a := start(t, client, "a", 0)
	a.awaitLive(t)
	for _, id := range []federation.SiteID{"london", "paris"} {
		if err := a.PutSite(t.Context(), discovery.Site{ID: id}, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	a.stop()
	writer := start(t, client, "b", 0)
	writer.awaitLive(t)
	seen, _ := writer.View().Site("london")
	if err := writer.DeleteSite(t.Context(), "london", seen.Changed.Revision); err != nil {
		t.Fatal(err)
	}
	if err := writer.PutSite(t.Context(), discovery.Site{ID: "hongkong"}, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), writer.View().Revision); err != nil {
		t.Fatal(err)
	}
	again := start(t, client, "a", 0, func(o *discovery.Options) { o.Cache = a.cache })
	before := a.View()
	again.await(t, 10*time.Second, "the whole directory", func() bool { return again.View().Revision >= writer.View().Revision })
	got := discovery.Differences(before, again.View())
	want := []discovery.Difference{{Noun: "site", ID: "hongkong", Now: true}, {Noun: "site", ID: "london", Before: true}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("differences %+v", got)
	}
}

// A document that nobody understands is left out; the rest stands, and the copy on disk is written.
func TestStrangeDocuments(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	client := m.Client(t)
	a := start(t, client, "a", 0)
	a.awaitLive(t)
	for key, value := range map[string]string{
		"/config/sites/broken": "{\xff", "/config/sites/renamed": `{"id":"other"}`, "/config/sites/empty": "",
		"/config/later/x": "of a later version", "/keys/cookie/x": `{}`, "/nodes/z": `{"id":"z","grpc":"nowhere"}`,
	} {
		if _, err := client.Put(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.PutSite(t.Context(), london(), "alice"); err != nil {
		t.Fatal(err)
	}
	v := a.View()
	if len(v.Sites) != 1 || len(v.Keys) != 0 || len(v.Hubs) != 0 {
		t.Errorf("view %+v", v)
	}
	a.stop()
	again := start(t, nobody(t), "a", 0, func(o *discovery.Options) { o.Cache = a.cache })
	if d := discovery.Differences(v, again.View()); len(d) != 0 {
		t.Errorf("differs: %+v", d)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	m := directorytest.Start(t, d)
	a := start(t, m.Client(t), "a", 0)
	a.awaitLive(t)
	for range 2 { // twice: one entry
		if err := a.Revoke(t.Context(), d.Node(identity.Site, "london"), ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Revoke(t.Context(), d.Node(identity.Site, "paris"), "stolen"); err != nil {
		t.Fatal(err)
	}
	list := a.View().Revoked
	if len(list) != 2 || list.Revoked(d.CredentialsAt(t, identity.Site, "london", time.Now().Add(-time.Hour)).Leaf()) == "" {
		t.Errorf("list %+v", list)
	}
}

// Of those who spend one token at once, one gets it.
func TestSpend(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	a := start(t, m.Client(t), "a", 0)
	pass := func(discovery.Invitation) error { return nil }
	want := discovery.Invitation{Node: "mss://example.org/site/london", By: "alice", Expires: time.Now().Add(time.Minute).UTC().Round(0)}
	if err := a.Invite(t.Context(), "hash", want); err != nil {
		t.Fatal(err)
	}
	no := fault.New("join", fault.Denied, "", "another name")
	if _, err := a.Spend(t.Context(), "hash", func(discovery.Invitation) error { return no }); fault.KindOf(err) != fault.Denied {
		t.Errorf("not admitted: %v", err)
	}
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			got, err := a.Spend(t.Context(), "hash", pass)
			if err == nil && got != want {
				t.Errorf("got %+v", got)
			}
			results <- err
		}()
	}
	won := 0
	for range cap(results) {
		if err := <-results; err == nil {
			won++
		} else if fault.KindOf(err) != fault.NotFound {
			t.Errorf("lost with %v", err)
		}
	}
	if won != 1 {
		t.Errorf("spent %d times", won)
	}
	if _, err := a.Spend(t.Context(), "other", pass); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown: %v", err)
	}
	if err := a.Invite(t.Context(), "old", discovery.Invitation{Expires: time.Now().Add(-time.Minute)}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("expired: %v", err)
	}
}

// Two hubs make one key; a hub that met an unknown one asks anew.
func TestCookieKeys(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	keep := func(o *discovery.Options) { o.KeepKeys = true }
	a, b := start(t, m.Client(t), "a", 0, keep), start(t, m.Client(t), "b", 0, keep)
	for _, h := range []*hub{a, b} {
		h.await(t, 10*time.Second, "a key", func() bool { return len(h.View().Keys) > 0 })
	}
	a.Refresh()
	a.awaitLive(t)
	x, y := a.View().Keys, b.View().Keys
	if len(x) != 1 || len(y) != 1 || x[0] != y[0] || x[0].Secret == [32]byte{} {
		t.Errorf("%d and %d keys", len(x), len(y))
	}
}

// Two hubs that make the same key agree on the one that came first: cookies made with the other would be worth nothing.
func TestFirstCookieKeyStays(t *testing.T) {
	t.Parallel()
	client := directorytest.Start(t, identitytest.NewDomain(t, "example.org")).Client(t)
	a, b := start(t, client, "a", 0), start(t, client, "b", 0)
	made := func(h *hub) string {
		if err := discovery.MakeKey(h.Directory, t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		got, err := client.Get(t.Context(), discovery.CookiePrefix+"7")
		if err != nil || len(got.Kvs) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		return string(got.Kvs[0].Value)
	}
	if first, second := made(a), made(b); first != second {
		t.Error("the second maker replaced the key of the first")
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	m := directorytest.Start(t, identitytest.NewDomain(t, "example.org"))
	a := start(t, m.Client(t), "a", 0)
	a.awaitLive(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	differences := make(chan []discovery.Difference, 8)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Follow(ctx, func(before, now *discovery.View) { differences <- discovery.Differences(before, now) })
	}()
	<-differences // what there is at the start
	if err := a.PutSite(t.Context(), london(), "alice"); err != nil {
		t.Fatal(err)
	}
	if got := <-differences; len(got) != 1 || got[0] != (discovery.Difference{Noun: "site", ID: "london", Now: true}) {
		t.Errorf("got %+v", got)
	}
	cancel()
	<-ended
}
