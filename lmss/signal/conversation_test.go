package signal

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/lmss/call"
	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/siptransport"
)

var update = flag.Bool("update", false, "write what the conversations say now into testdata")

// TestConversations plays every script of testdata/conversations: commands, a line of dashes, and what
// the phones then see on the wire, in order. After each, no call, leg or transaction is left and every
// call has one CDR.
func TestConversations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			commands, want, _ := strings.Cut(string(text), "----\n")
			var got string
			synctest.Test(t, func(t *testing.T) { got = converse(t, commands) })
			if *update {
				if err := os.WriteFile(file, []byte(commands+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("the conversation differs\n--- want\n%s--- got\n%s", want, got)
			}
		})
	}
}

// converse plays the commands and returns the transcript, with the CDRs at its end.
func converse(t *testing.T, commands string) string {
	t.Helper()
	address := netip.MustParseAddrPort("192.0.2.100:5060")
	sc := newScene(t, address)
	ledger := &ledger{records: map[string]cdr.Record{}, calls: map[string][]byte{}}
	var hubs func() *uplink.Uplink
	if strings.Contains(commands, "# with hubs") {
		reach := uplink.ReachYes
		if strings.Contains(commands, "# voice unreachable") {
			reach = uplink.ReachNo
		}
		hubs = withHubs(t, sc, reach)
	}
	if strings.Contains(commands, "# C is a hub") {
		hubs = func() *uplink.Uplink { return withStaticHub(t, sc, "C") }
	}
	dns := zoneResolver(t, commands)
	defer dns.Close()
	relay := &voice{open: map[uint64]bool{}, port: 30000, scene: sc} // outlives a restart
	start := func() (*site, func()) {
		s := conversationSite(t, sc, ledger, func(p *parts) {
			p.media = relay
			withNames(t, p, dns)
			if strings.Contains(commands, "# direct") {
				p.media, p.call.Anchor = nil, false
			}
			if hubs != nil {
				p.uplink = hubs()
			}
		})
		return s, runSite(t, s, ledger)
	}
	s, stop := start()
	for _, name := range []string{"A", "B", "C"} {
		sc.phone(name)
	}
	defer func() { stop() }()
	defer sc.close()
	settle()
	for line := range strings.Lines(commands) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		sc.mu.Lock()
		sc.say("> %s", line)
		sc.mu.Unlock()
		if line == "restart" {
			stop()
			s, stop = start()
			settle()
			sc.show()
			continue
		}
		sc.run(line)
	}
	<-time.After(3 * time.Minute) // every transaction's life is over
	settle()
	sc.show()
	for _, r := range s.runners {
		if n, legs := r.Sizes(); n != 0 || legs != 0 {
			t.Errorf("%d calls and %d legs are left", n, legs)
		}
	}
	for _, w := range s.stack.Stats().Workers {
		if w.Servers != 0 || w.Clients != 0 || w.Panics != 0 {
			t.Errorf("%d server and %d client transactions are left, %d panics", w.Servers, w.Clients, w.Panics)
		}
	}
	if v, anchored := s.media.(*voice); anchored && len(v.open) != 0 {
		open := v.open
		t.Errorf("%d voice endpoints are left", len(open))
	}
	ledger.write(sc)
	return sc.out.String()
}

// runSite starts a site, with the calls that the last one had stored, and gives the way to kill it.
func runSite(t *testing.T, s *site, l *ledger) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var resume []func()
	for _, data := range l.stored() {
		home, err := call.HomeCallID(data)
		if err != nil {
			t.Fatal(err)
		}
		runner := s.runners[s.stack.Home(home)]
		c, _, err := runner.Restore(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range c.CallIDs() {
			s.stack.Adopt(id, s.stack.Home(home))
		}
		resume = append(resume, func() { runner.Resume(c, nil) })
	}
	if s.uplink != nil {
		running.Go(func() { _ = s.uplink.Run(ctx) })
	}
	running.Go(func() { _ = s.stack.Run(ctx) })
	for _, again := range resume {
		again()
	}
	running.Go(func() { _ = s.endpoint.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

func conversationSite(t *testing.T, sc *scene, ledger *ledger, change ...func(*parts)) *site {
	t.Helper()
	directory, err := user.NewDirectory()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)})
		u := user.User{
			Name: federation.User("400" + string(rune('1'+i))), Addresses: []netip.Prefix{netip.PrefixFrom(addr, 32)},
			Target: user.Target{Transport: siptransport.UDP, Address: netip.AddrPortFrom(addr, 5060)},
		}
		if u.Name == "4006" {
			u.Target = user.Target{} // reached by its registrations alone
		}
		if err := directory.Put(u); err != nil {
			t.Fatal(err)
		}
	}
	host := sc.net.Host(sc.site.Addr())
	conn, err := host.ListenUDP(context.Background(), sc.site)
	if err != nil {
		t.Fatal(err)
	}
	p := parts{
		call: call.Config{Domain: "example.org", Anchor: true}, realm: "example.org", users: directory, workers: 1,
		network: host, logger: testLogger(t), media: &voice{open: map[uint64]bool{}, port: 30000}, store: ledger,
		voice: func(a, _ netip.Addr) (netip.Addr, netip.Addr) { return a, a },
	}
	for _, c := range change {
		c(&p)
	}
	s, err := assemble(p)
	if err != nil {
		t.Fatal(err)
	}
	sc.registrar = s.bindings
	if err := s.endpoint.AddUDP(conn); err != nil {
		t.Fatal(err)
	}
	return s
}

// ledger is a store that remembers.
type ledger struct {
	mu      sync.Mutex
	saved   int
	delay   time.Duration // of a write; zero means 1 ms
	records map[string]cdr.Record
	order   []string
	calls   map[string][]byte // what a restart finds
	doubled bool
}

// stored are the records of calls that are up.
func (l *ledger) stored() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.calls))
}

func (l *ledger) SaveCall(id string, data []byte, _ cdr.Record, done func(error)) error {
	l.mu.Lock()
	l.saved++
	if l.calls != nil {
		l.calls[id] = data
	}
	l.mu.Unlock()
	time.AfterFunc(max(l.delay, time.Millisecond), func() { done(nil) })
	return nil
}

func (l *ledger) CloseCall(id string, closed cdr.Record, done func(error)) error {
	l.mu.Lock()
	if _, twice := l.records[id]; twice {
		l.doubled = true
	}
	l.records[id] = closed
	delete(l.calls, id)
	l.order = append(l.order, id)
	l.mu.Unlock()
	time.AfterFunc(time.Millisecond, func() { done(nil) })
	return nil
}

func (l *ledger) write(sc *scene) {
	if l.doubled {
		sc.t.Error("a CDR was written twice")
	}
	for _, id := range l.order {
		r := l.records[id]
		sc.say("CDR %s > %s callee=%s %s (%s) by %s status=%d answered=%v", r.Caller, r.Called, r.Callee,
			r.Termination.Class, r.Termination.Reason, r.Termination.By, r.Status, !r.AnswerAt.IsZero())
	}
}

// voice is a media process that opens what it is asked to.
type voice struct {
	mu   sync.Mutex
	open map[uint64]bool
	next uint64
	port int

	scene *scene // nil: nobody reads what it is told
}

func (v *voice) NewID() uint64 { v.mu.Lock(); defer v.mu.Unlock(); v.next++; return v.next }

func (v *voice) Open(spec media.EndpointSpec, done func(int, error)) {
	v.mu.Lock()
	v.open[spec.ID] = true
	v.port += 2
	port := v.port
	v.mu.Unlock()
	time.AfterFunc(time.Millisecond, func() { done(port, nil) })
}

// Aim tells the reader what is not usual.
func (v *voice) Aim(id uint64, aim media.Aim) {
	if v.scene == nil || aim.Learn == media.LearnNone && !aim.Keepalive {
		return
	}
	text := fmt.Sprintf("endpoint %d", id)
	if aim.Learn == media.LearnSource {
		text += " hears who speaks first"
	}
	if aim.RTP.IsValid() {
		text += " sends to " + aim.RTP.String()
	}
	if aim.Keepalive {
		text += " keeps its way open"
	}
	v.scene.mu.Lock()
	defer v.scene.mu.Unlock()
	v.scene.pending = append(v.scene.pending, heard{at: time.Now(), phone: "voice", text: text})
}

func (v *voice) Join(uint64, uint64) {}
func (v *voice) Close(id uint64, done func(media.Report)) {
	v.mu.Lock()
	delete(v.open, id)
	v.mu.Unlock()
	time.AfterFunc(time.Millisecond, func() { done(media.Report{Found: true, Final: true}) })
}
