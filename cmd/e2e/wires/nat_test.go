package wires

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/netns"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
)

const (
	natPatience = 90 * time.Second
	// forgets is how long the NATs remember a UDP flow, in seconds; usual ones do so for 30 to 120.
	forgets = 20
	// quiet is how long phones say nothing: every NAT on the way would have forgotten them.
	quiet = (forgets + 5) * time.Second
	// heardWithin is how soon voice passes again.
	heardWithin = 2 * time.Second
)

// natted is an office behind a NAT: L-MSS, phones and router are on one network.
type natted struct {
	*node.Node

	desk  *netns.Space // where the phones are
	at    netip.Addr   // their address
	users map[string]float64
}

// internet is a hub, and offices behind NATs, each with two phones. None knows of its NAT but by what its hub tells it.
type internet struct {
	t                *testing.T
	net              *netns.Net
	public           *netns.Switch
	hub              *node.Hub
	london, hongkong *natted
}

func newInternet(t *testing.T, forward bool) *internet {
	t.Helper()
	i := &internet{t: t}
	var err error
	i.net, err = netns.New()
	must(t, err)
	t.Cleanup(func() {
		if err := i.net.Close(); err != nil {
			t.Error(err)
		}
	})
	i.public, err = i.net.Switch(netip.MustParsePrefix("203.0.113.0/24"))
	must(t, err)
	space, wire := i.machine("hub", i.public)
	i.hub, err = node.StartHub(within(t, natPatience), node.HubOptions{Bin: bin, Addr: wire.Addr(), Inside: space.Do})
	must(t, err)
	rigtest.CleanUp(t, i.hub)
	i.london = i.office("london", "10.1.0.0/24", "4xxx", map[string]float64{"4001": 440, "4002": 620}, forward)
	i.hongkong = i.office("hongkong", "10.2.0.0/24", "1xxx", map[string]float64{"1001": 770, "1002": 1090}, false)
	ctx := within(t, natPatience)
	must(t, errors.Join(i.london.WaitUplink(ctx, "a"), i.hongkong.WaitUplink(ctx, "a"), i.hub.WaitRoutes(ctx, "london", "hongkong"),
		i.hub.WaitTakesCalls(ctx)))
	return i
}

// announce waits until the hub knows of each office whether voice reaches it. An office learns that from its hub, and
// may have announced its numbers before.
func (i *internet) announce(want map[string]bool) {
	i.t.Helper()
	ctx := within(i.t, heardWithin)
	for {
		got := i.announced(ctx)
		if maps.Equal(got, want) {
			return
		}
		select {
		case <-ctx.Done():
			i.t.Fatalf("voice_direct of the offices is %v, want %v", got, want)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// knows wants an office to tell its operator whether voice reaches it.
func (n *natted) knows(t *testing.T, want string) {
	t.Helper()
	text, err := n.Ctl(within(t, natPatience), "status")
	if err != nil || !strings.Contains(text, "of other offices "+want) {
		t.Errorf("office %s says of its voice %v:\n%s", n.Site(), err, text)
	}
}

func (i *internet) announced(ctx context.Context) map[string]bool {
	i.t.Helper()
	text, err := i.hub.Ctl(ctx, "route", "list", "-o", "json")
	must(i.t, err)
	var routes []struct {
		Site        string
		Class       string
		VoiceDirect bool `json:"voice_direct"`
	}
	must(i.t, json.Unmarshal([]byte(text), &routes))
	direct := map[string]bool{}
	for _, r := range routes {
		if r.Class == "learned" {
			direct[r.Site] = r.VoiceDirect
		}
	}
	return direct
}

// machine is a space on a switch.
func (i *internet) machine(name string, s *netns.Switch) (*netns.Space, *netns.Wire) {
	i.t.Helper()
	space, err := i.net.Space(name)
	must(i.t, err)
	wire, err := s.Plug(space)
	must(i.t, err)
	return space, wire
}

// office makes an office and the router before it. With forward, the router forwards the voice ports.
func (i *internet) office(site, subnet, numbers string, users map[string]float64, forward bool) *natted {
	i.t.Helper()
	t := i.t
	inside, err := i.net.Switch(netip.MustParsePrefix(subnet))
	must(t, err)
	server, wire := i.machine(site, inside)
	router, gateway := i.machine(site+"-nat", inside)
	public, err := i.public.Plug(router)
	must(t, err)
	translate(t, router)
	_, err = server.Run("ip", "route", "add", "default", "via", gateway.Addr().String())
	must(t, err)
	o := node.Options{
		Bin: bin, Site: site, Numbers: []string{numbers}, Addr: wire.Addr(), Inside: server.Do,
		Extra: "media: {ports: 20000-20099}",
	}
	if forward {
		o.Advertise = map[netip.Addr]netip.Addr{wire.Addr(): public.Addr()}
		_, err = router.Run("iptables", "-w", "10", "-t", "nat", "-A", "PREROUTING", "-i", "eth1", "-p", "udp", "--dport", "20000:20099",
			"-j", "DNAT", "--to-destination", wire.Addr().String())
		must(t, err)
	}
	n := &natted{users: users}
	for name := range users {
		o.Users = append(o.Users, node.User{Name: name, Password: "kettle-bridge-" + name + "-lamp"})
	}
	ctx := within(t, natPatience)
	must(t, i.hub.AddSite(ctx, site, numbers))
	o.Token, err = i.hub.SiteToken(ctx, site)
	must(t, err)
	n.Node, err = node.Start(ctx, o)
	must(t, err)
	rigtest.CleanUp(t, n)
	desk, plug := i.machine(site+"-desk", inside)
	n.desk, n.at = desk, plug.Addr()
	return n
}

// translate makes a space a NAT router: eth0 is inside, eth1 outside. It forgets soon.
func translate(t *testing.T, router *netns.Space) {
	t.Helper()
	_, err := router.Run("iptables", "-w", "10", "-t", "nat", "-A", "POSTROUTING", "-o", "eth1", "-j", "MASQUERADE")
	must(t, err)
	for key, value := range map[string]int{
		"ipv4/ip_forward": 1, "netfilter/nf_conntrack_udp_timeout": forgets, "netfilter/nf_conntrack_udp_timeout_stream": forgets,
	} {
		_, err = router.Run("sh", "-c", fmt.Sprintf("echo %d >/proc/sys/net/%s", value, key))
		must(t, err)
	}
}

// register starts a phone at its office's desk.
func (n *natted) register(t *testing.T, name string) *phone.Phone {
	t.Helper()
	p := rigtest.Phone(t, n.Node, phone.Options{Name: name, Tone: n.users[name], Local: n.at, Inside: n.desk.Do})
	must(t, p.Register(within(t, natPatience)))
	return p
}

// connect makes a call in which each hears the other.
func connect(t *testing.T, from, to *phone.Phone, tones map[string]float64) (out, in *phone.Call) {
	t.Helper()
	ctx := within(t, natPatience)
	out, err := from.Dial(ctx, to.Name())
	must(t, err)
	select {
	case in = <-to.Incoming():
	case <-out.Ended():
		status, reason := out.Status()
		t.Fatalf("the call for %s ended with %d %s", to.Name(), status, reason)
	case <-ctx.Done():
		t.Fatalf("no call came to %s", to.Name())
	}
	must(t, in.Ring())
	must(t, out.WaitRinging(ctx))
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	must(t, out.Voice().WaitTone(within(t, heardWithin), tones[to.Name()]))
	must(t, in.Voice().WaitTone(within(t, heardWithin), tones[from.Name()]))
	return out, in
}

// TestNAT: both offices are behind a NAT, which is found out at the hub.
func TestNAT(t *testing.T) {
	t.Parallel()
	t.Run("one forwards its voice ports", oneForwards)
	t.Run("none forwards any", noneForwards)
}

// oneForwards: voice passes both ways whoever calls, through hold, and after a time in which nobody spoke.
func oneForwards(t *testing.T) {
	t.Parallel()
	i := newInternet(t, true)
	i.announce(map[string]bool{"london": true, "hongkong": false})
	i.london.knows(t, "reaches this one")
	i.hongkong.knows(t, "does not reach this one before it speaks: a NAT hides it from hub a")
	tones := map[string]float64{"4001": 440, "4002": 620, "1001": 770, "1002": 1090}
	a, b := i.london.register(t, "4001"), i.hongkong.register(t, "1001")
	c, d := i.london.register(t, "4002"), i.hongkong.register(t, "1002")
	ctx := within(t, natPatience)
	out, in := connect(t, a, b, tones)
	back, backIn := connect(t, d, c, tones)

	for _, side := range []struct {
		call *phone.Call
		far  float64
	}{{back, tones["4002"]}, {backIn, tones["1002"]}} {
		must(t, side.call.Hold(ctx))
		must(t, side.call.Voice().WaitSilence(ctx))
		must(t, side.call.Resume(ctx))
		must(t, side.call.Voice().WaitTone(within(t, heardWithin), side.far))
	}
	must(t, back.Hangup(ctx))
	must(t, backIn.WaitEnded(ctx))

	// What the office knows of its NAT outlives its server.
	old := i.hongkong.PID(node.Signal)
	_, err := i.hongkong.KillSignal()
	must(t, err)
	_, err = i.hongkong.WaitRestarted(ctx, node.Signal, old)
	must(t, err)
	must(t, i.hongkong.WaitReady(ctx))
	back, backIn = connect(t, d, c, tones)
	must(t, back.Hangup(ctx))
	must(t, backIn.WaitEnded(ctx))
	must(t, out.Voice().WaitTone(within(t, heardWithin), tones["1001"]))
	must(t, in.Voice().WaitTone(within(t, heardWithin), tones["4001"]))

	// Nobody speaks, and no SDP tells anybody. Then London does first: only keepalives of Hong Kong's office, which is
	// hidden, have kept the way to it open.
	mute(out, true)
	mute(in, true)
	must(t, in.Voice().WaitSilence(ctx))
	select {
	case <-time.After(quiet):
	case <-in.Ended():
		t.Fatal("the call ended while nobody spoke")
	}
	mute(out, false)
	must(t, in.Voice().WaitTone(within(t, heardWithin), tones["4001"]))
	mute(in, false)
	must(t, out.Voice().WaitTone(within(t, heardWithin), tones["1001"]))
	must(t, out.Hangup(ctx))
	must(t, in.WaitEnded(ctx))
}

// mute stops or starts a phone's voice without a word of it in SDP.
func mute(c *phone.Call, on bool) { c.Voice().Aim(c.RemoteVoice(), c.Codec(), !on) }

// noneForwards: calls between the offices are refused at once, and everybody can see why. Calls inside go.
func noneForwards(t *testing.T) {
	t.Parallel()
	i := newInternet(t, false)
	i.announce(map[string]bool{"london": false, "hongkong": false})
	a, b := i.london.register(t, "4001"), i.hongkong.register(t, "1001")
	other := i.london.register(t, "4002")
	const because = "neither office can be reached for voice"
	for _, way := range []struct {
		from, to *phone.Phone
		here     *natted
		there    *natted
	}{{a, b, i.london, i.hongkong}, {b, a, i.hongkong, i.london}} {
		ctx := within(t, natPatience)
		began := time.Now()
		out, err := way.from.Dial(ctx, way.to.Name())
		must(t, err)
		must(t, out.WaitEnded(ctx))
		if status, _ := out.Status(); status != 488 || time.Since(began) > heardWithin {
			t.Errorf("ended with %d after %v", status, time.Since(began))
		}
		if text := way.from.TranscriptText(); !strings.Contains(text, `Reason: SIP;cause=488;text="`+because) || !strings.Contains(text, `Warning: 399 `) {
			t.Error("the phone is not told why")
		}
		if len(way.to.Calls()) != 0 {
			t.Errorf("phone %s rang", way.to.Name())
		}
		for _, office := range []*natted{way.here, way.there} {
			if got := office.ends(ctx, t, way.from.Name(), way.to.Name()); len(got) != 1 || got[0].End != "unreachable" || !strings.HasPrefix(got[0].Reason, because) {
				t.Errorf("records of %s: %+v", office.Site(), got)
			}
		}
		trace, err := way.here.Ctl(ctx, "call", "trace", out.ID(), "--messages")
		if err != nil || !strings.Contains(trace, because) || !strings.Contains(trace, "X-MSS-Voice: unreachable") {
			t.Errorf("the trace does not say why: %v\n%s", err, trace)
		}
	}
	out, in := connect(t, a, other, map[string]float64{"4001": 440, "4002": 620})
	must(t, out.Hangup(within(t, natPatience)))
	must(t, in.WaitEnded(within(t, natPatience)))
}

// ended is what a record says of a call's end.
type ended struct{ Caller, Called, End, Reason string }

// ends are the ends of the calls from one number to another, by an office's records. The first is waited for: records
// are written after the phones know.
func (n *natted) ends(ctx context.Context, t *testing.T, from, to string) []ended {
	t.Helper()
	for {
		text, err := n.Ctl(ctx, "cdr", "list", "-o", "json")
		must(t, err)
		var all []ended
		must(t, json.Unmarshal([]byte(text), &all))
		all = slices.DeleteFunc(all, func(e ended) bool { return e.Caller != from || e.Called != to })
		if len(all) > 0 {
			return all
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s has no record of the call", n.Site())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
