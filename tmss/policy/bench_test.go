package policy

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
	"github.com/mss-federation/mss/tmss/routetable"
)

// BenchmarkFullSync carries 100 k routes from one hub's table to another's, over the wire's bytes.
func BenchmarkFullSync(b *testing.B) {
	const routes = 100_000
	p := offices(b)
	from := newHub(b, "hub/a")
	shared := route("hongkong", digits("1", 4)).Attributes
	var told []federation.Route
	for i := range routes {
		n := federation.NLRI{Domain: "example.org", Family: federation.Enterprise, Key: fmt.Sprintf("1%06d", i), MinLen: 7, MaxLen: 7}
		told = append(told, federation.Route{NLRI: n, PathID: 1, Attributes: shared, Revisions: []uint64{1}})
	}
	from.in["site/hongkong"] = NewInbound(from.table, "site/hongkong", func() *Policy { return p }, HubLimit)
	owner, err := New("example.org", []Site{{ID: "hongkong", Prefixes: []federation.NLRI{{Domain: "example.org", Family: federation.Enterprise, Key: "1", MinLen: 7, MaxLen: 7}}}})
	if err != nil {
		b.Fatal(err)
	}
	from.policy, p = owner, owner
	from.tell("site/hongkong", told...)
	for b.Loop() {
		table := routetable.New(routetable.Options{Self: "hub/b", Epoch: 1})
		in := NewInbound(table, "hub/a", func() *Policy { return p }, Limit{})
		config := exchange.Config{Self: "hub/a", Peer: "hub/b", Domain: "example.org", Epoch: 1, Role: exchange.RoleCore}
		a := exchange.New(config, NewOutbound(from.table, "hub/b", 10))
		config.Self, config.Peer = "hub/b", "hub/a"
		z := exchange.New(config, exchange.Nothing{})
		bytes := shuttle(b, a, z, in)
		if got, _ := table.Snapshot().Routes(); got != routes || len(table.Lookup("1000001").Paths) != 1 {
			b.Fatalf("%d routes arrived", got)
		}
		b.ReportMetric(float64(bytes)/routes, "B/route")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/routes, "ns/route")
}

// shuttle carries frames until both are silent, and counts their bytes.
func shuttle(b *testing.B, a, z *exchange.Session, in *Inbound) (bytes int) {
	b.Helper()
	var toZ, toA []*exchangev1.Frame
	act := func(actions []exchange.Action, out *[]*exchangev1.Frame) {
		for _, action := range actions {
			switch x := action.(type) {
			case exchange.Send:
				*out = append(*out, x.Frame)
			case exchange.Deliver:
				if out == &toA {
					in.Apply(noon, x.Deltas)
				}
			case exchange.End:
				b.Fatal(x.Err())
			}
		}
	}
	carry := func(f *exchangev1.Frame) *exchangev1.Frame {
		raw, err := proto.Marshal(f)
		if err != nil {
			b.Fatal(err)
		}
		bytes += len(raw)
		copied := &exchangev1.Frame{}
		if err := proto.Unmarshal(raw, copied); err != nil {
			b.Fatal(err)
		}
		return copied
	}
	act(a.Handle(exchange.Start{}, noon), &toZ)
	act(z.Handle(exchange.Start{}, noon), &toA)
	for len(toZ)+len(toA) > 0 {
		if len(toZ) > 0 {
			f := toZ[0]
			toZ = toZ[1:]
			act(z.Handle(exchange.Received{Frame: carry(f)}, noon), &toA)
			continue
		}
		f := toA[0]
		toA = toA[1:]
		act(a.Handle(exchange.Received{Frame: carry(f)}, noon), &toZ)
	}
	return bytes
}
