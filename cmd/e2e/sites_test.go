package e2e

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// TestTwoSites is a whole call between phones of two offices, both ways and over each pair of transports: ringing,
// voice, hold, codec, INFO, hang-up from either side, and the records that it leaves.
func TestTwoSites(t *testing.T) {
	t.Parallel()
	d := twoSites(t)
	for _, c := range []struct {
		name     string
		from, to phone.Options
	}{
		{"UDP to UDP", phone.Options{Name: "4001"}, phone.Options{Name: "1001"}},
		{"TCP to UDP", phone.Options{Name: "4001", Transport: phone.TCP}, phone.Options{Name: "1001"}},
		{"UDP to TCP", phone.Options{Name: "4001"}, phone.Options{Name: "1001", Transport: phone.TCP}},
		{"TCP to TCP", phone.Options{Name: "1001", Transport: phone.TCP}, phone.Options{Name: "4001", Transport: phone.TCP}},
		{"TLS to TLS", phone.Options{Name: "4001", Transport: phone.TLS}, phone.Options{Name: "1001", Transport: phone.TLS}},
		{"UDP to TLS", phone.Options{Name: "1001"}, phone.Options{Name: "4001", Transport: phone.TLS}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := limit(t)
			a, b := d.register(t, c.from), d.register(t, c.to)
			out, in := connect(t, a, b)
			ownOffice(t, d, a, out)
			ownOffice(t, d, b, in)
			holdBothWays(t, a, b, out, in)
			must(t, out.Reinvite(ctx, voice.PCMA))
			must(t, in.Voice().WaitTone(ctx, tones[a.Name()]))
			infoArrives(t, out, in, '5')
			infoArrives(t, in, out, '#')
			must(t, in.SendOptions(ctx))
			must(t, out.Hangup(ctx))
			must(t, in.WaitEnded(ctx))
			d.oneRecordEach(t, out, in)
			out, in = connect(t, b, a)
			must(t, in.Hangup(ctx))
			must(t, out.WaitEnded(ctx))
			d.oneRecordEach(t, out, in)
			d.noVoicePorts(t)
			must(t, a.Unregister(ctx))
			must(t, b.Unregister(ctx))
		})
	}
}

// ownOffice wants a phone's voice to go to its own office.
func ownOffice(t *testing.T, d *domain, p *phone.Phone, c *phone.Call) {
	t.Helper()
	if got, want := c.RemoteVoice().Addr(), d.of(p.Name()).Addr(); got != want {
		t.Errorf("voice of %s goes to %v, not to its own office %v", p.Name(), got, want)
	}
}

// holdBothWays lets each phone hold the call and resume it.
func holdBothWays(t *testing.T, a, b *phone.Phone, out, in *phone.Call) {
	t.Helper()
	ctx := limit(t)
	for _, side := range []struct {
		call *phone.Call
		far  float64
	}{{out, tones[b.Name()]}, {in, tones[a.Name()]}} {
		must(t, side.call.Hold(ctx))
		must(t, side.call.Voice().WaitSilence(ctx))
		must(t, side.call.Resume(ctx))
		must(t, side.call.Voice().WaitTone(ctx, side.far))
	}
}

func infoArrives(t *testing.T, from, to *phone.Call, digit rune) {
	t.Helper()
	must(t, from.SendInfo(limit(t), digit))
	if infos := to.Infos(); !slices.ContainsFunc(infos, func(s string) bool { return strings.Contains(s, "Signal="+string(digit)) }) {
		t.Errorf("INFO with %q came as %q", digit, infos)
	}
}

// TestTwoSitesEarlyMediaAndDelayedOffer are the two other ways of offer and answer, over the hub.
func TestTwoSitesEarlyMediaAndDelayedOffer(t *testing.T) {
	t.Parallel()
	d := twoSites(t)
	earlyMediaAndDelayedOffer(t, d.register(t, phone.Options{Name: "4001"}), d.register(t, phone.Options{Name: "1001"}))
}

// TestTwoSitesCallsThatDoNotComeUp are the ends before an answer, and numbers that lead nowhere.
func TestTwoSitesCallsThatDoNotComeUp(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	d := twoSites(t)
	a, b := d.register(t, phone.Options{Name: "4001"}), d.register(t, phone.Options{Name: "1001"})

	out, in := ringing(t, a, b)
	must(t, out.Cancel(ctx))
	must(t, in.WaitEnded(ctx))
	wantStatus(t, out, 487)

	for _, refusal := range []int{486, 603} {
		out, in = ringing(t, a, b)
		must(t, in.Reject(refusal, "No"))
		must(t, out.WaitEnded(ctx))
		wantStatus(t, out, refusal)
	}

	for _, c := range []struct {
		number, because string
		status          int
	}{
		{"7123", "it is in nobody's block", 404},
		{"1999", "it is in Hong Kong's block, but no user has it", 404},
		{"1002", "no phone is registered", 480},
		{"4999", "it is in London's own block, but no user has it", 404},
	} {
		began := time.Now()
		out, err := a.Dial(ctx, c.number)
		must(t, err)
		must(t, out.WaitEnded(ctx))
		if got, reason := out.Status(); got != c.status {
			t.Errorf("%s, although %s, ended with %d %s, want %d", c.number, c.because, got, reason, c.status)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s was refused after %v", c.number, took)
		}
	}
	d.noVoicePorts(t)
	out, in = connect(t, b, a)
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
}

// ringing dials and rings.
func ringing(t *testing.T, from, to *phone.Phone) (out, in *phone.Call) {
	t.Helper()
	out, err := from.Dial(limit(t), to.Name())
	must(t, err)
	in = arrives(t, out, to)
	must(t, in.Ring())
	must(t, out.WaitRinging(limit(t)))
	return out, in
}

// TestTokenOnce: a token makes one node of the name that it was made for, once.
func TestTokenOnce(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	h := startHub(t)
	must(t, h.AddSite(ctx, "london", "4xxx"))
	must(t, h.AddSite(ctx, "hongkong", "1xxx"))
	prepare := func(site string) *node.Node {
		n, err := node.Prepare(node.Options{Bin: bin, Site: site, Numbers: []string{"4xxx"}, Users: users})
		must(t, err)
		rigtest.CleanUp(t, n)
		return n
	}
	token, err := h.SiteToken(ctx, "london")
	must(t, err)
	if err := prepare("hongkong").Join(ctx, token); err == nil || !strings.Contains(err.Error(), "hongkong") {
		t.Errorf("another office with London's token: %v", err)
	}
	london := prepare("london")
	must(t, london.Join(ctx, token)) // the other one did not spend it
	must(t, london.Run(ctx))
	must(t, london.WaitUplink(ctx, h.Name()))
	must(t, h.WaitRoutes(ctx, "london"))
	if err := prepare("london").Join(ctx, token); err == nil || !strings.Contains(err.Error(), "spent") {
		t.Errorf("the token a second time: %v", err)
	}
	second, err := node.PrepareHub(node.HubOptions{Bin: bin, Hub: "b"})
	must(t, err)
	rigtest.CleanUp(t, second)
	if err := second.Join(ctx, token); err == nil {
		t.Error("an office's token made a hub")
	}
	if err := errors.Join(london.WaitUplink(ctx, h.Name()), h.WaitRoutes(ctx, "london")); err != nil {
		t.Errorf("after the attempts: %v", err)
	}
}

// TestHubGoneOfficeCallsOn kills the only hub, in a call between offices: voice goes on, calls inside each office go on,
// calls to the other office are refused at once, and when the hub is back everything is as it was, the old call too.
func TestHubGoneOfficeCallsOn(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	d := twoSites(t)
	a, b := d.register(t, phone.Options{Name: "4001"}), d.register(t, phone.Options{Name: "1001", Transport: phone.TCP})
	c, e := d.register(t, phone.Options{Name: "4002", Transport: phone.TCP}), d.register(t, phone.Options{Name: "1002"})
	far, farIn := connect(t, a, b)
	_, err := d.hub.KillSupervisor()
	must(t, err)
	must(t, d.hub.Gone(within(t, 5*time.Second)))
	inside(t, c, d.register(t, phone.Options{Name: "4003"}))
	inside(t, e, d.register(t, phone.Options{Name: "1003", Transport: phone.TCP}))
	refusedQuickly(t, c, "1002")
	refusedQuickly(t, e, "4002")
	hearEachOther(t, far, farIn, tones["4001"], tones["1001"])

	began := time.Now()
	must(t, d.hub.Run(ctx))
	d.whole(t)
	t.Logf("session, trunks and routes were back %v after the hub's start", time.Since(began).Round(time.Millisecond))
	must(t, far.Hold(ctx))
	must(t, far.Voice().WaitSilence(ctx))
	must(t, far.Resume(ctx))
	hearEachOther(t, far, farIn, tones["4001"], tones["1001"])
	must(t, farIn.Hangup(ctx))
	must(t, far.WaitEnded(ctx))
	d.oneRecordEach(t, far, farIn)
	out, in := connect(t, b, c)
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
	d.noVoicePorts(t)
}

// inside is a call inside an office.
func inside(t *testing.T, from, to *phone.Phone) {
	t.Helper()
	out, in := connect(t, from, to)
	must(t, out.Hangup(limit(t)))
	must(t, in.WaitEnded(limit(t)))
	must(t, to.Unregister(limit(t)))
}

// refusedQuickly wants a call to the other office refused while no hub is there.
func refusedQuickly(t *testing.T, from *phone.Phone, number string) {
	t.Helper()
	began := time.Now()
	out, err := from.Dial(limit(t), number)
	must(t, err)
	must(t, out.WaitEnded(limit(t)))
	wantStatus(t, out, 480)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("refused after %v", took)
	}
}
