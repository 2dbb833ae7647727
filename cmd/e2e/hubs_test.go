package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/rigtest"
)

// twoHubs is a domain with a second hub: London has both and prefers a, Hong Kong has b alone.
func twoHubs(t *testing.T) (d *domain, b *node.Hub) {
	t.Helper()
	ctx := limit(t)
	d = &domain{hub: startHub(t)}
	token, err := d.hub.HubToken(ctx, "b")
	must(t, err)
	b, err = node.StartHub(ctx, node.HubOptions{Bin: bin, Hub: "b", Token: token})
	must(t, err)
	rigtest.CleanUp(t, b)
	d.london = d.join(t, node.Options{Site: "london", Numbers: []string{"4xxx"}, Users: users, Extra: "uplinks: [a, b]"})
	d.hongkong = d.join(t, node.Options{Site: "hongkong", Numbers: []string{"1xxx"}, Users: farUsers, Extra: "uplinks: [b]"})
	must(t, d.london.WaitUplink(ctx, "a"))
	must(t, d.london.WaitUplink(ctx, "b"))
	must(t, d.hongkong.WaitUplink(ctx, "b"))
	must(t, b.WaitRoutes(ctx, "london", "hongkong"))
	has(t, d.hub, "1xxx", "hub/b")
	for _, h := range []*node.Hub{d.hub, b} {
		must(t, h.WaitTakesCalls(ctx))
	}
	return d, b
}

// has waits until a hub sends calls for a prefix to a node.
func has(t *testing.T, h *node.Hub, prefix, hop string) {
	t.Helper()
	ctx := limit(t)
	for {
		routes, err := h.Routes(ctx)
		for _, r := range routes {
			if r.Prefix == prefix && r.Rank == 1 && r.NextHop == hop && !r.Down {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("hub %s has no way to %s over %s: %+v, %v", h.Name(), prefix, hop, routes, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// A hub that dies, or hangs, in a call from London over a and b to Hong Kong ends nothing: who talks goes on, holds,
// resumes and hangs up over b; who rings rings on and is answered; who calls next gets through.
func TestHubDiesInCalls(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(*testing.T, *node.Hub){
		"killed": func(t *testing.T, h *node.Hub) {
			t.Helper()
			_, err := h.KillSupervisor()
			must(t, err)
		},
		"stopped": freeze,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dieInCalls(t, die)
		})
	}
}

// freeze stops a hub's process until the test ends: its connections stay, and nothing answers.
func freeze(t *testing.T, h *node.Hub) {
	t.Helper()
	pid := h.PID(node.Supervisor)
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
	for ctx := limit(t); ; wait(ctx, time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		must(t, errors.Join(err, ctx.Err()))
		if strings.Contains(string(text), "State:\tT") {
			return
		}
	}
}

func dieInCalls(t *testing.T, die func(*testing.T, *node.Hub)) {
	t.Helper()
	d, _ := twoHubs(t)
	caller := d.register(t, phone.Options{Name: "4001"})
	other := d.register(t, phone.Options{Name: "4002"})
	callee := d.register(t, phone.Options{Name: "1001"})
	busy := d.register(t, phone.Options{Name: "1002"})
	ctx := limit(t)
	up, upIn := ring(t, caller, callee)
	must(t, upIn.Answer())
	must(t, up.WaitAnswered(ctx))
	d.explainFailure(t, up)
	early, earlyIn := ring(t, other, busy)
	d.explainFailure(t, early)

	if n := forwarded(t, d.hub); n < 2 {
		t.Errorf("hub a passed %d requests: the calls took another way", n)
	}
	die(t, d.hub)
	began := time.Now()
	must(t, up.Hold(ctx))
	t.Logf("held %v after the hub died", time.Since(began).Round(time.Millisecond))
	must(t, up.Resume(ctx))
	began = time.Now()
	must(t, earlyIn.Answer())
	must(t, early.WaitAnswered(ctx))
	t.Logf("the call that rang was answered %v after its callee did", time.Since(began).Round(time.Millisecond))
	must(t, up.Hangup(ctx))
	must(t, upIn.WaitEnded(ctx))
	must(t, earlyIn.Hangup(ctx))
	must(t, early.WaitEnded(ctx))

	began = time.Now()
	next, nextIn := ring(t, caller, callee)
	t.Logf("the next call rang after %v", time.Since(began).Round(time.Millisecond))
	must(t, nextIn.Answer())
	must(t, next.WaitAnswered(ctx))
	must(t, next.Hangup(ctx))
	must(t, nextIn.WaitEnded(ctx))
	d.noVoicePorts(t)
}

// ring dials from one phone to another until both know.
func ring(t *testing.T, from, to *phone.Phone) (out, in *phone.Call) {
	t.Helper()
	ctx := limit(t)
	out, err := from.Dial(ctx, to.Name())
	must(t, err)
	in, err = to.WaitIncoming(ctx)
	must(t, err)
	must(t, in.Ring())
	must(t, out.WaitRinging(ctx))
	return out, in
}

// forwarded is how many requests a hub has passed on.
func forwarded(t *testing.T, h *node.Hub) int {
	t.Helper()
	text, err := h.Ctl(limit(t), "status", "-o", "json")
	must(t, err)
	var status struct {
		Counters []struct {
			Name  string
			Value int
		}
	}
	must(t, json.Unmarshal([]byte(text), &status))
	for _, c := range status.Counters {
		if c.Name == "requests_forwarded" {
			return c.Value
		}
	}
	return 0
}
