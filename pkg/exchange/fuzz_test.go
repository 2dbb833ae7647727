package exchange

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// FuzzFrame sends a neighbour's bytes into an established session. Whatever they are, the session lives or
// ends with a Cease, and what it hands on is well formed.
func FuzzFrame(f *testing.F) {
	book := NewBook("site/london", 7)
	book.Set(london("4", "50"))
	p := newPair(f, siteConfig(), hubConfig(), book, Nothing{})
	for _, e := range []*end{p.a, p.b} {
		e.log = func(frame *exchangev1.Frame) {
			raw, err := proto.Marshal(frame)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, true)
			f.Add(raw, false)
		}
	}
	p.start()
	p.b.handle(RequestRefresh{Family: federation.Enterprise, Filter: "4"}, p.now)
	p.a.handle(Stop{Code: exchangev1.CeaseCode_CEASE_CODE_ADMINISTRATIVE}, p.now)
	p.settle()
	f.Fuzz(func(t *testing.T, raw []byte, established bool) {
		frame := &exchangev1.Frame{}
		if proto.Unmarshal(raw, frame) != nil {
			return // gRPC ends the stream itself
		}
		p := newPair(t, siteConfig(), hubConfig(), NewBook("site/london", 7), NewBook("hub/a", 3))
		if established {
			p.start()
		} else {
			p.b.handle(Start{}, p.now)
		}
		p.b.handle(Received{Frame: frame}, p.now)
		p.b.handle(Tick{}, p.now)
		for _, r := range p.b.sink.Routes() {
			if err := r.NLRI.Check(); err != nil || r.Attributes == nil || len(r.Revisions) != len(r.Attributes.AdvPath) {
				t.Errorf("handed on %+v: %v", r, err)
			}
		}
		if p.b.over != nil && p.b.over.Err() == nil {
			t.Error("ended without a reason")
		}
	})
}
