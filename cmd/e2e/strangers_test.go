package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/baresip"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/sipp"
	"github.com/mss-federation/mss/cmd/internal/rig/tone"
)

func registrarFor(n *node.Node, transport string) netip.AddrPort {
	switch transport {
	case "tcp":
		return n.TCP()
	case "tls":
		return n.TLS()
	}
	return n.UDP()
}

// startBaresip starts a baresip that is registered as user.
func startBaresip(t *testing.T, n *node.Node, user, transport string) *baresip.Agent {
	t.Helper()
	ctx := limit(t)
	a, err := baresip.Start(ctx, baresip.Options{Tone: tones[user]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("baresip %s:\n%s", user, a.Output())
		}
		a.Close()
	})
	must(t, a.Register(ctx, baresip.Account{
		User: user, Password: password(user), Registrar: registrarFor(n, transport), Transport: transport,
	}))
	return a
}

// TestTwoBaresips lets two phones of somebody else's making call each other, in one office and in two, both ways, over
// UDP, TCP and TLS: tones in both recordings, digits, hang-up from either side, hold and resume.
func TestTwoBaresips(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run("one office "+transport, func(t *testing.T) {
			t.Parallel()
			n := office(t, "")
			twoBaresips(t, n, n, "4001", "4002", transport)
		})
		t.Run("two offices "+transport, func(t *testing.T) {
			t.Parallel()
			d := twoSites(t)
			twoBaresips(t, d.london, d.hongkong, "4001", "1001", transport)
			d.noVoicePorts(t)
		})
	}
}

func twoBaresips(t *testing.T, near, far *node.Node, user, other, transport string) {
	t.Helper()
	a, b := startBaresip(t, near, user, transport), startBaresip(t, far, other, transport)
	uri := func(called string, office *node.Node) string {
		return fmt.Sprintf("sip:%s@%v;transport=%s", called, registrarFor(office, transport), transport)
	}
	baresipCall(t, a, b, uri(other, near), false)
	baresipCall(t, b, a, uri(user, far), true)
	heard(t, a, tones[other], tones[user])
	heard(t, b, tones[user], tones[other])
}

// baresipCall calls, talks, sends digits both ways, holds, resumes and hangs up.
func baresipCall(t *testing.T, from, to *baresip.Agent, uri string, calleeHangsUp bool) {
	t.Helper()
	ctx := limit(t)
	fromSeen, toSeen := len(from.Events()), len(to.Events())
	must(t, from.Dial(ctx, uri))
	_, toSeen, err := to.Wait(ctx, toSeen, "CALL_INCOMING")
	must(t, err)
	_, fromSeen, err = from.Wait(ctx, fromSeen, "CALL_RINGING")
	must(t, err)
	must(t, to.Accept(ctx))
	_, fromSeen, err = from.Wait(ctx, fromSeen, "CALL_ESTABLISHED")
	must(t, err)
	_, toSeen, err = to.Wait(ctx, toSeen, "CALL_ESTABLISHED")
	must(t, err)
	wait(ctx, 1500*time.Millisecond) // for the recordings, which end with the first re-INVITE
	digits := func(all string) {
		for _, digit := range all {
			must(t, from.Digit(ctx, digit))
			toSeen = wantDigit(t, to, toSeen, digit)
			must(t, to.Digit(ctx, digit))
			fromSeen = wantDigit(t, from, fromSeen, digit)
		}
	}
	digits("5#")
	must(t, from.Hold(ctx))
	must(t, from.Resume(ctx))
	digits("7*") // the voice's way is open again, both ways
	must(t, to.Hold(ctx))
	must(t, to.Resume(ctx))
	digits("0")
	if calleeHangsUp {
		from, to, fromSeen, toSeen = to, from, toSeen, fromSeen
	}
	must(t, from.Hangup(ctx))
	_, _, err = to.Wait(ctx, toSeen, "CALL_CLOSED")
	must(t, err)
	_, _, err = from.Wait(ctx, fromSeen, "CALL_CLOSED")
	must(t, err)
}

func wantDigit(t *testing.T, a *baresip.Agent, seen int, digit rune) int {
	t.Helper()
	e, seen, err := a.Wait(limit(t), seen, "CALL_DTMF_START")
	must(t, err)
	if e.Param != string(digit) {
		t.Errorf("digit %q came as %q", digit, e.Param)
	}
	return seen
}

// heard wants the far tone through nearly all of a recording, and nothing of the phone's own.
func heard(t *testing.T, a *baresip.Agent, far, own float64) {
	t.Helper()
	w, err := a.Heard()
	must(t, err)
	share := tone.Share(w.Samples, w.Rate, far, w.Rate/20)
	if len(w.Samples) < 2*w.Rate || share < 0.8 {
		t.Errorf("%.0f Hz in %.0f %% of %d samples", far, 100*share, len(w.Samples))
	}
	if tone.Contains(w.Samples, w.Rate, own) {
		t.Errorf("its own %.0f Hz in the recording", own)
	}
}

// TestBaresipAndOurPhone has tones measured while calls are held and resumed, from either side.
func TestBaresipAndOurPhone(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			ctx := limit(t)
			n := office(t, "")
			a := startBaresip(t, n, "4001", transport)
			b := register(t, n, phone.Options{Name: "4002"})
			out, err := b.Dial(ctx, "4001")
			must(t, err)
			_, seen, err := a.Wait(ctx, 0, "CALL_INCOMING")
			must(t, err)
			must(t, out.WaitRinging(ctx))
			must(t, a.Accept(ctx))
			must(t, out.WaitAnswered(ctx))
			must(t, out.Voice().WaitTone(ctx, tones["4001"]))
			must(t, a.Hold(ctx))
			sent := out.Stats().Sent
			must(t, a.Resume(ctx))
			must(t, out.Voice().WaitTone(ctx, tones["4001"]))
			eventually(t, "voice to go on after baresip's hold", func() bool { return out.Stats().Sent > sent+20 })
			must(t, out.Hold(ctx))
			must(t, out.Voice().WaitSilence(ctx))
			must(t, out.Resume(ctx))
			must(t, out.Voice().WaitTone(ctx, tones["4001"]))
			must(t, out.Hangup(ctx))
			_, _, err = a.Wait(ctx, seen, "CALL_CLOSED")
			must(t, err)
		})
	}
}

// freePort is a UDP port that is free on the loopback now.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	defer c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// TestSIPpBasic has SIPp call SIPp through the office: digest on each call, 180 mandatory, nothing sent twice.
func TestSIPpBasic(t *testing.T) {
	t.Parallel()
	const calls, rate = 100, 20
	ctx, cancel := context.WithTimeout(limit(t), time.Minute)
	defer cancel()
	n := office(t, "")
	callee := freePort(t)
	scenario := func(name string) string { return filepath.Join("testdata", "sipp", name) }
	_, err := sipp.Run(ctx, sipp.Options{
		Scenario: scenario("register.xml"), Target: n.UDP(), Local: callee, Calls: 1,
		Called: "4002", User: "4002", Password: password("4002"), Limit: 10 * time.Second,
	})
	must(t, err)
	uas, err := sipp.Start(ctx, sipp.Options{Scenario: scenario("uas.xml"), Target: n.UDP(), Local: callee, Calls: calls})
	must(t, err)
	stats, err := sipp.Run(ctx, sipp.Options{
		Scenario: scenario("uac.xml"), Target: n.UDP(), Local: freePort(t), Calls: calls, Rate: rate, Called: "4002",
		User: "4001", Password: password("4001"), Keys: map[string]string{"caller": "4001"}, Limit: 30 * time.Second,
	})
	if err != nil {
		t.Error(err)
	}
	other, err := uas.Wait()
	if err != nil {
		t.Error(err)
	}
	t.Logf("callers %+v, callees %+v", stats, other)
	if stats.Successful != calls || other.Successful != calls || stats.Retransmissions+other.Retransmissions > 0 {
		t.Errorf("callers %+v, callees %+v, want %d calls and nothing sent twice", stats, other, calls)
	}
	text, err := n.Ctl(ctx, "call", "list", "-o", "json")
	must(t, err)
	if text != "[]\n" {
		t.Errorf("calls left: %s", text)
	}
	noVoicePorts(t, n)
}
