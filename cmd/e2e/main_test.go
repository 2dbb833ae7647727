package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
)

// bin is the folder of the built programs.
var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = rig.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// patience bounds what a test waits for in all; the machine may be busy with other tests.
const patience = 90 * time.Second

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// users are the extensions of an office under test.
var users = []node.User{
	{Name: "4001", Password: "kettle-bridge-4001-lamp", Display: "Reception"},
	{Name: "4002", Password: "kettle-bridge-4002-lamp"},
	{Name: "4003", Password: "kettle-bridge-4003-lamp"},
}

func password(user string) string {
	for _, u := range slices.Concat(users, farUsers) {
		if u.Name == user {
			return u.Password
		}
	}
	return ""
}

// office starts an L-MSS that stands alone.
func office(t *testing.T, extra string) *node.Node {
	t.Helper()
	return startOffice(t, node.Options{Users: users, Extra: extra})
}

// startOffice starts an L-MSS that is stopped with the test, and then looked for what it left.
func startOffice(t *testing.T, opt node.Options) *node.Node {
	t.Helper()
	opt.Bin = bin
	n, err := node.Start(limit(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	rigtest.CleanUp(t, n)
	return n
}

// tones are what the users' phones send, in hertz. None is a harmonic of another.
var tones = map[string]float64{"4001": 440, "4002": 620, "4003": 910, "1001": 770, "1002": 1090, "1003": 530}

// register starts a user's phone and registers it. At the end of the test it must have seen nothing wrong but what the
// test allows.
func register(t *testing.T, n *node.Node, opt phone.Options, allowed ...phone.Rule) *phone.Phone {
	t.Helper()
	p := newPhone(t, n, opt, allowed...)
	must(t, p.Register(limit(t)))
	return p
}

func newPhone(t *testing.T, n *node.Node, opt phone.Options, allowed ...phone.Rule) *phone.Phone {
	t.Helper()
	if opt.Password == "" {
		opt.Password = password(opt.Name)
	}
	if opt.Tone == 0 {
		opt.Tone = tones[opt.Name]
	}
	return rigtest.Phone(t, n, opt, allowed...)
}

// connect makes a call between two phones, answers it, and waits until each hears the other.
func connect(t *testing.T, from, to *phone.Phone) (out, in *phone.Call) {
	t.Helper()
	ctx := limit(t)
	out, err := from.Dial(ctx, to.Name())
	must(t, err)
	in = arrives(t, out, to)
	must(t, in.Ring())
	must(t, out.WaitRinging(ctx))
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	hearEachOther(t, out, in, tones[from.Name()], tones[to.Name()])
	return out, in
}

func hearEachOther(t *testing.T, out, in *phone.Call, outTone, inTone float64) {
	t.Helper()
	ctx := limit(t)
	must(t, out.Voice().WaitTone(ctx, inTone))
	must(t, in.Voice().WaitTone(ctx, outTone))
	if out.Voice().Contains(outTone) || in.Voice().Contains(inTone) {
		t.Error("a phone hears itself")
	}
}

// arrives waits for a call at the phone that it is for; its end before is a failure that says why.
func arrives(t *testing.T, out *phone.Call, to *phone.Phone) *phone.Call {
	t.Helper()
	select {
	case in := <-to.Incoming():
		return in
	case <-out.Ended():
		status, reason := out.Status()
		t.Fatalf("the call for %s ended with %d %s", to.Name(), status, reason)
	case <-limit(t).Done():
		t.Fatalf("no call came to %s", to.Name())
	}
	return nil
}
