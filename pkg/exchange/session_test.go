package exchange

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// end is one side of a simulated session.
type end struct {
	t       fataler
	session *Session
	sink    *Mirror
	over    *End
	heard   []Heard
	learned []Hub
	peer    *Peer
	synced  bool
	wire    []*exchangev1.Frame // left this end and not yet arrived
	log     func(*exchangev1.Frame)
	told    bool
}

func (e *end) handle(ev Event, now time.Time) {
	e.t.Helper()
	for _, action := range e.session.Handle(ev, now) {
		switch a := action.(type) {
		case Send:
			e.wire = append(e.wire, a.Frame)
			if e.log != nil {
				e.log(a.Frame)
			}
		case Deliver:
			e.sink.Apply(a.Deltas)
		case End:
			e.over = &a
		case Heard:
			e.heard = append(e.heard, a)
		case Learned:
			e.learned = a.Hubs
		case Established:
			e.peer = &a.Peer
		case Synchronised:
			e.synced = true
		}
	}
}

// pair is a session between two ends with a wire that loses nothing until it is cut.
type pair struct {
	t    fataler
	now  time.Time
	a, b *end
}

func siteConfig() Config {
	return Config{Self: "site/london", Domain: "example.org", Epoch: 7, Role: RoleBranch, Peer: "hub/a", Software: "test"}
}

func hubConfig() Config {
	return Config{Self: "hub/a", Domain: "example.org", Epoch: 3, Role: RoleHub, Peer: "site/london", Software: "test"}
}

// fataler is what tests and properties have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

func newPair(tb fataler, a, b Config, from, to Source) *pair {
	tb.Helper()
	p := &pair{t: tb, now: noon, a: &end{t: tb, sink: &Mirror{}}, b: &end{t: tb, sink: &Mirror{}}}
	p.a.session, p.b.session = New(a, from), New(b, to)
	for _, s := range []*Session{p.a.session, p.b.session} {
		if err := s.config.Validate(); err != nil {
			tb.Fatal(err)
		}
	}
	return p
}

func (p *pair) start() {
	p.a.handle(Start{}, p.now)
	p.b.handle(Start{}, p.now)
	p.settle()
}

// step carries one frame of a to b or the other way; false when there is none.
func step(from, to *end, now time.Time) bool {
	if len(from.wire) == 0 {
		return false
	}
	raw, err := proto.Marshal(from.wire[0])
	if err != nil {
		from.t.Fatal(err)
	}
	f := &exchangev1.Frame{}
	if err := proto.Unmarshal(raw, f); err != nil {
		from.t.Fatal(err)
	}
	from.wire = from.wire[1:]
	if u := f.GetUpdate(); u.GetVersion() > 0 && len(to.session.in.refreshing) > 0 {
		from.t.Fatal("inside a refresh an update stated a version")
	}
	to.handle(Received{Frame: f}, now)
	return true
}

func (p *pair) settle() {
	for moved := true; moved; {
		moved = step(p.a, p.b, p.now) || step(p.b, p.a, p.now)
	}
}

// wait lets time pass, with every deadline in between.
func (p *pair) wait(d time.Duration) {
	for until := p.now.Add(d); ; {
		next := until
		for _, e := range []*end{p.a, p.b} {
			if at := e.session.Deadline(); !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		p.now = next
		p.a.handle(Tick{}, p.now)
		p.b.handle(Tick{}, p.now)
		p.settle()
		if !p.now.Before(until) {
			return
		}
	}
}

func digits(key string, length uint8) federation.NLRI {
	return federation.NLRI{Domain: "example.org", Family: federation.Enterprise, Key: key, MinLen: length, MaxLen: length}
}

func london(keys ...string) map[federation.NLRI]*federation.Attributes {
	routes := map[federation.NLRI]*federation.Attributes{}
	for _, k := range keys {
		routes[digits(k, 4)] = &federation.Attributes{
			Origin:   federation.Origin{Site: "london"},
			Fallback: federation.Fallback{E164: "+15550100"},
		}
	}
	return routes
}

func (e *end) list() string {
	out := ""
	for _, r := range e.sink.Routes() {
		out += r.NLRI.String() + " "
	}
	return out
}

// TestSessionTellsAllAddresses: a hub may have several of one kind, and their order counts.
func TestSessionTellsAllAddresses(t *testing.T) {
	t.Parallel()
	p := newPair(t, siteConfig(), hubConfig(), NewBook("site/london", 7), Nothing{})
	hub := Hub{
		ID: "a", GRPC: "192.0.2.1:7000", GRPCAlso: []string{"[2001:db8::1]:7000"},
		SIP: []Address{{"tls", "192.0.2.1:5061"}, {"tls", "[2001:db8::1]:5061"}, {"udp", "192.0.2.1:5060"}},
	}
	p.b.handle(DirectoryChanged{Hubs: []Hub{hub}}, p.now)
	p.start()
	if len(p.a.learned) != 1 || !slices.Equal(p.a.learned[0].GRPCAddresses(), hub.GRPCAddresses()) ||
		!slices.Equal(p.a.learned[0].SIPAddresses("tls"), []string{"192.0.2.1:5061", "[2001:db8::1]:5061"}) {
		t.Fatalf("site learned %+v", p.a.learned)
	}
}

func TestSessionAnnouncesAndWithdraws(t *testing.T) {
	t.Parallel()
	book := NewBook("site/london", 7)
	book.Set(london("4", "50"))
	p := newPair(t, siteConfig(), hubConfig(), book, Nothing{})
	p.b.handle(DirectoryChanged{Hubs: []Hub{{ID: "a", GRPC: "192.0.2.1:7000"}, {ID: "b", GRPC: "192.0.2.2:7000"}}}, p.now)
	p.start()
	if p.a.peer == nil || p.b.peer == nil || !p.b.synced || !p.a.synced {
		t.Fatal("the session was not established on both sides")
	}
	if got := p.b.list(); got != "4/4 50/4 " {
		t.Fatalf("hub has %q", got)
	}
	if len(p.a.learned) != 2 || p.a.learned[1].GRPC != "192.0.2.2:7000" {
		t.Fatalf("site learned %v", p.a.learned)
	}
	book.Set(london("4", "51"))
	p.a.handle(Changed{}, p.now)
	p.settle()
	if got := p.b.list(); got != "4/4 51/4 " {
		t.Fatalf("a withdrawal did not leave at once: hub has %q", got)
	}
	book.Set(london("4", "51", "52"))
	p.a.handle(Changed{}, p.now)
	p.settle()
	if got := p.b.list(); got != "4/4 51/4 " {
		t.Fatalf("an announcement did not wait for others: hub has %q", got)
	}
	p.wait(50 * time.Millisecond)
	if got := p.b.list(); got != "4/4 51/4 52/4 " {
		t.Fatalf("hub has %q", got)
	}
	r := p.b.sink.Routes()[0]
	if r.Attributes.Fallback.E164 != "+15550100" || r.Attributes.Origin.Node != "site/london" || r.Revisions[0] == 0 {
		t.Fatalf("route arrived as %+v", r)
	}
	p.wait(time.Minute)
	if p.a.over != nil || p.b.over != nil || len(p.a.heard) < 12 {
		t.Fatalf("keepalives did not hold the session: %v %v, %d heard", p.a.over, p.b.over, len(p.a.heard))
	}
}
