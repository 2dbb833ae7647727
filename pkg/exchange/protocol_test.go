package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

func TestOpenIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*exchangev1.Open)
		want   string
	}{
		"version":  {func(o *exchangev1.Open) { o.MinVersion, o.MaxVersion = 2, 3 }, "version: this node speaks versions 1 to 1, the neighbour 2 to 3"},
		"node":     {func(o *exchangev1.Open) { o.NodeId = "site/paris" }, `node: the neighbour says it is "site/paris", and its certificate "site/london"`},
		"role":     {func(o *exchangev1.Open) { o.Role = exchangev1.Role_ROLE_CORE }, "role: to ROLE_HUB the neighbour must be ROLE_BRANCH, and says it is ROLE_CORE"},
		"domain":   {func(o *exchangev1.Open) { o.Domain = "example.com" }, `domain: this node belongs to "example.org", the neighbour to "example.com"`},
		"epoch":    {func(o *exchangev1.Open) { o.BootEpoch = 0 }, "protocol error: Open without a boot epoch"},
		"hold":     {func(o *exchangev1.Open) { o.HoldMs = 999 }, "protocol error: a hold time below one second"},
		"accepted": {func(o *exchangev1.Open) { o.MaxVersion = 9 }, ""},
	} {
		p := newPair(t, siteConfig(), hubConfig(), Nothing{}, Nothing{})
		p.a.handle(Start{}, p.now)
		p.b.handle(Start{}, p.now)
		test.change(p.a.wire[0].GetOpen())
		p.settle()
		got := ""
		if p.b.over != nil {
			got = CodeName(p.b.over.Code) + ": " + p.b.over.Text
			if p.a.over == nil || p.a.over.Text != p.b.over.Text || p.a.over.Local {
				t.Errorf("%s: the neighbour is not told: %v", name, p.a.over)
			}
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestHoldIsTheSmallerOne(t *testing.T) {
	t.Parallel()
	site := siteConfig()
	site.Hold, site.Keepalive = 4500*time.Millisecond, 1500*time.Millisecond
	p := newPair(t, site, hubConfig(), Nothing{}, Nothing{})
	p.start()
	if p.a.peer.Hold != site.Hold || p.b.peer.Hold != site.Hold {
		t.Fatalf("hold %v and %v", p.a.peer.Hold, p.b.peer.Hold)
	}
	p.wait(time.Minute) // the hub must have sent keepalives more often than it would by itself
	if p.a.over != nil {
		t.Fatal(p.a.over.Err())
	}
}

// unknown is a frame of a later version.
func unknown() *exchangev1.Frame {
	f := &exchangev1.Frame{}
	f.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
	return f
}

func TestFrameOutOfPlaceIsNamed(t *testing.T) {
	t.Parallel()
	digest := &exchangev1.Frame{Kind: &exchangev1.Frame_Digest{Digest: &exchangev1.Digest{}}}
	health := &exchangev1.Frame{Kind: &exchangev1.Frame_Health{Health: &exchangev1.Health{}}}
	refresh := &exchangev1.Frame{Kind: &exchangev1.Frame_RefreshRequest{RefreshRequest: &exchangev1.RefreshRequest{}}}
	directory := &exchangev1.Frame{Kind: &exchangev1.Frame_Directory{Directory: &exchangev1.Directory{}}}
	end := &exchangev1.Frame{Kind: &exchangev1.Frame_EndRefresh{EndRefresh: &exchangev1.EndRefresh{Filter: "x"}}}
	open := &exchangev1.Frame{Kind: &exchangev1.Frame_Open{Open: &exchangev1.Open{}}}
	large := &exchangev1.Frame{Kind: &exchangev1.Frame_Update{Update: &exchangev1.Update{Withdraw: []*exchangev1.Withdraw{
		{Nlri: &exchangev1.Nlri{Key: strings.Repeat("1", minWindow+1)}},
	}}}}
	for _, test := range []struct {
		frame *exchangev1.Frame
		early bool // before the session is established
		want  string
	}{
		{digest, false, "capability not agreed: Digest needs the capability digest"},
		{health, false, "capability not agreed: Health needs the capability health"},
		{refresh, false, "capability not agreed: RefreshRequest needs the capability refresh"},
		{unknown(), false, "capability not agreed: frame 99, which this version does not know"},
		{&exchangev1.Frame{}, false, "capability not agreed: an empty frame"},
		{directory, false, "protocol error: Directory goes from hub to site alone"},
		{end, false, "protocol error: EndRefresh without BeginRefresh"},
		{open, false, "protocol error: a second Open"},
		{digest, true, "protocol error: Digest before both sides confirmed"},
		{large, false, fmt.Sprintf("flow control: Update of %d bytes, and %d are granted", proto.Size(large), minWindow-2*2-2)},
	} {
		site, hub := siteConfig(), hubConfig()
		site.Capabilities = []exchangev1.Capability{exchangev1.Capability_CAPABILITY_DIRECTORY} // no refresh
		hub.Window = minWindow
		p := newPair(t, site, hub, Nothing{}, Nothing{})
		if test.early {
			p.b.handle(Start{}, p.now)
		} else {
			p.start()
		}
		p.b.handle(Received{Frame: test.frame}, p.now)
		if p.b.over == nil || !p.b.over.Local || CodeName(p.b.over.Code)+": "+p.b.over.Text != test.want {
			t.Errorf("%s: ended with %v, want %s", frameName(test.frame), p.b.over, test.want)
		}
	}
}

// TestMalformedRouteIsAWithdrawal sends one bad route after another: the session lives, the route goes.
func TestMalformedRouteIsAWithdrawal(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*exchangev1.Update, *exchangev1.Announce){
		"digits":       func(_ *exchangev1.Update, a *exchangev1.Announce) { a.Nlri.Key = "4x" },
		"lengths":      func(_ *exchangev1.Update, a *exchangev1.Announce) { a.Nlri.MinLen = 5 },
		"huge length":  func(_ *exchangev1.Update, a *exchangev1.Announce) { a.Nlri.MaxLen = 260 },
		"no family":    func(_ *exchangev1.Update, a *exchangev1.Announce) { a.Nlri.Family = 0 },
		"no nlri":      func(_ *exchangev1.Update, a *exchangev1.Announce) { a.Nlri = nil },
		"attributes":   func(_ *exchangev1.Update, a *exchangev1.Announce) { a.Attributes = 7 },
		"path id 0":    func(_ *exchangev1.Update, a *exchangev1.Announce) { a.PathId = 0 },
		"revisions":    func(_ *exchangev1.Update, a *exchangev1.Announce) { a.Revisions = nil },
		"no origin":    func(u *exchangev1.Update, _ *exchangev1.Announce) { u.Attributes[0].Origin = nil },
		"foreign path": func(u *exchangev1.Update, _ *exchangev1.Announce) { u.Attributes[0].AdvPath[0].Node = "site/x" },
		"transit": func(u *exchangev1.Update, a *exchangev1.Announce) {
			u.Attributes[0].Origin.Node = "site/x"
			u.Attributes[0].AdvPath = append([]*exchangev1.PathElement{{Node: "site/x"}}, u.Attributes[0].AdvPath...)
			a.Revisions = []uint64{1, 1}
		},
		"window":   func(u *exchangev1.Update, _ *exchangev1.Announce) { u.Attributes[0].Window = &exchangev1.Window{} },
		"too long": func(u *exchangev1.Update, _ *exchangev1.Announce) { u.Attributes[0].Communities = make([]string, 65) },
	} {
		book := NewBook("site/london", 7)
		book.Set(london("4", "50"))
		p := newPair(t, siteConfig(), hubConfig(), book, Nothing{})
		p.start()
		changed := london("4", "50")
		changed[digits("4", 4)].Cost = 1
		book.Set(changed)
		p.a.handle(Changed{}, p.now)
		p.now = p.now.Add(time.Second)
		p.a.handle(Tick{}, p.now)
		u := p.a.wire[0].GetUpdate()
		keyKept := proto.Clone(u.Announce[0].Nlri)
		spoil(u, u.Announce[0])
		p.settle()
		want := "50/4 "
		if !proto.Equal(keyKept, u.Announce[0].Nlri) {
			want = "4/4 50/4 " // what cannot be read cannot be withdrawn
		}
		if got := p.b.list(); got != want {
			t.Errorf("%s: hub has %q, want %q", name, got, want)
		}
		if s := p.b.session.Stats(); s.Malformed != 1 || s.MalformedLast == "" || p.b.over != nil {
			t.Errorf("%s: %d malformed (%s), over %v", name, s.Malformed, s.MalformedLast, p.b.over)
		}
	}
}

// TestCreditIsKept sends far more than the window to a neighbour that reads slowly.
func TestCreditIsKept(t *testing.T) {
	t.Parallel()
	const routes = 20_000
	hub := hubConfig()
	hub.Window = minWindow
	book := NewBook("site/london", 7)
	list := make(map[federation.NLRI]*federation.Attributes, routes)
	shared := &federation.Attributes{Origin: federation.Origin{Site: "london"}}
	for i := range routes {
		list[digits(fmt.Sprintf("%05d", i), 5)] = shared
	}
	book.Set(list)
	p := newPair(t, siteConfig(), hub, book, Nothing{})
	p.a.handle(Start{}, p.now)
	p.b.handle(Start{}, p.now)
	for len(p.b.wire) > 0 { // the site hears everything, the hub nothing but the handshake
		step(p.b, p.a, p.now)
		if len(p.a.wire) > 0 && !free(p.a.wire[0]) {
			break
		}
		step(p.a, p.b, p.now)
	}
	inFlight, largest := uint64(0), 0
	for _, f := range p.a.wire {
		if !free(f) {
			inFlight += uint64(proto.Size(f))
			largest = max(largest, proto.Size(f))
		}
	}
	if inFlight > minWindow || inFlight < minWindow-minCredit || largest > MaxBatch {
		t.Errorf("%d bytes in flight, the largest frame %d; granted are %d", inFlight, largest, minWindow)
	}
	waiting := len(p.a.wire)
	p.now = p.now.Add(6 * time.Second)
	p.a.handle(Tick{}, p.now)
	p.a.handle(Stop{Code: exchangev1.CeaseCode_CEASE_CODE_ADMINISTRATIVE}, p.now)
	if late := p.a.wire[waiting:]; len(late) != 2 || late[0].GetKeepalive() == nil || late[1].GetCease() == nil {
		t.Errorf("Keepalive and Cease wait for credit: %d frames", len(late))
	}

	p = newPair(t, siteConfig(), hub, book, Nothing{})
	p.start()
	if got := len(p.b.sink.Routes()); got != routes || !p.b.synced || p.b.over != nil {
		t.Errorf("%d of %d routes arrived, over %v", got, routes, p.b.over)
	}
	if resume := p.b.session.Resume(); resume != (Resume{Epoch: 7, Version: routes}) {
		t.Errorf("resume from %+v", resume)
	}
}

func TestOversizedRouteIsNotSent(t *testing.T) {
	t.Parallel()
	book := NewBook("site/london", 7)
	list := london("4", "50")
	list[digits("50", 4)].Media.Codecs = []string{strings.Repeat("x", MaxAttributes)}
	book.Set(list)
	p := newPair(t, siteConfig(), hubConfig(), book, Nothing{})
	p.start()
	if got := p.b.list(); got != "4/4 " || p.a.session.Stats().Oversized != 1 {
		t.Errorf("hub has %q, %d were too large", got, p.a.session.Stats().Oversized)
	}
}
