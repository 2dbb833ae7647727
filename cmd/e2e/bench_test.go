package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/chain"
	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/bench/load"
	"github.com/mss-federation/mss/cmd/internal/bench/voice"
)

// benchFiles are the scenarios of "make bench".
var benchFiles = filepath.Join("..", "..", "deploy", "bench")

// TestBenchSmoke is what "make bench" does, short, slow and without budgets: every contender carries all its calls, and
// every caller sees its 180. The machine may be busy, so that phones may have to repeat themselves.
func TestBenchSmoke(t *testing.T) {
	t.Parallel()
	place := load.Place{Bin: bin, Files: benchFiles}
	for _, c := range contender.All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r, err := load.Run(limit(t), place, c, load.Load{Rate: 20, Seconds: 5})
			must(t, err)
			if r.Failed != 0 || r.Lost180 != 0 {
				t.Errorf("%d failed, %d lost 180s of %d: %s", r.Failed, r.Lost180, r.Load.Calls(), r.Trouble)
			}
			if r.CPU <= 0 || r.Elapsed < 4*time.Second {
				t.Errorf("used %v of processor in %v", r.CPU, r.Elapsed)
			}
		})
	}
}

// TestBenchRelaySmoke: every relay passes the voice of both ends of calls, and what it used is counted.
func TestBenchRelaySmoke(t *testing.T) {
	t.Parallel()
	for _, relay := range contender.Relays() {
		t.Run(relay.Name, func(t *testing.T) {
			t.Parallel()
			r, err := voice.Run(limit(t), bin, relay, voice.Load{Calls: 50, Length: 2 * time.Second, Warm: time.Second})
			must(t, err)
			if r.Sent != 10000 || r.Loss() > 0.001 || r.Strange != 0 || r.CPU <= 0 || r.Talkers <= 0 {
				t.Errorf("%+v", r)
			}
			if relay.Name == contender.RelayMedia && r.Overtaken != 0 {
				t.Errorf("%d packets were overtaken", r.Overtaken)
			}
		})
	}
}

// hung is a relay that hangs as soon as calls are led through it.
type hung struct{ contender.RelayServer }

func (h hung) Lead(ctx context.Context, calls []contender.Ends) ([]contender.Ends, error) {
	led, err := h.RelayServer.Lead(ctx, calls)
	return led, errors.Join(err, syscall.Kill(h.PID(), syscall.SIGSTOP))
}

// Stop lets it go on first; ours is ended by its supervisor when it hangs for long.
func (h hung) Stop() error {
	err := syscall.Kill(h.PID(), syscall.SIGCONT)
	if errors.Is(err, syscall.ESRCH) {
		err = nil
	}
	return errors.Join(err, h.RelayServer.Stop())
}

// TestBenchNoticesAHungRelay: what it does not pass on is lost.
func TestBenchNoticesAHungRelay(t *testing.T) {
	t.Parallel()
	for _, relay := range contender.Relays() {
		t.Run(relay.Name, func(t *testing.T) {
			t.Parallel()
			hanging := contender.Relay{Name: relay.Name, Start: func(ctx context.Context, setup contender.RelaySetup) (contender.RelayServer, error) {
				server, err := relay.Start(ctx, setup)
				return hung{server}, err
			}}
			r, err := voice.Run(limit(t), bin, hanging, voice.Load{Calls: 5, Length: 400 * time.Millisecond})
			must(t, err)
			if r.Sent != 200 || r.Received != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestBenchHeldSmoke: all calls come up, and memory is read of the processes that carry them.
func TestBenchHeldSmoke(t *testing.T) {
	t.Parallel()
	r, err := load.Hold(limit(t), load.Place{Bin: bin, Files: benchFiles}, load.Held{Calls: 100, Warm: 20, Rate: 20, Rest: time.Second})
	must(t, err)
	for _, m := range []load.Memory{r.SignalBefore, r.MediaBefore, r.SignalAfter, r.MediaAfter} {
		if m.Resident < 1<<20 || m.Heap != -1 { // without a collection nothing is known of the heap
			t.Errorf("measured %+v", r)
		}
	}
}

// TestBenchNoticesBrokenCalls: callers who prove no password are refused, and that is what is counted.
func TestBenchNoticesBrokenCalls(t *testing.T) {
	t.Parallel()
	c, err := contender.Named(contender.Shipped)
	must(t, err)
	c[0].Digest = false
	r, err := load.Run(limit(t), load.Place{Bin: bin, Files: benchFiles}, c[0], load.Load{Rate: 20, Seconds: 1})
	must(t, err)
	if r.Failed != 20 || r.Trouble == "" {
		t.Errorf("%d of 20 calls failed, sipp says %q", r.Failed, r.Trouble)
	}
}

// TestBenchNoticesLostRinging: the 180s of a callee that sends none are lost, and its calls go on.
func TestBenchNoticesLostRinging(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	must(t, os.CopyFS(files, os.DirFS(benchFiles)))
	callee := filepath.Join(files, "uas.xml")
	text, err := os.ReadFile(callee)
	must(t, err)
	before, rest, ok1 := strings.Cut(string(text), "<send>") // the first is the 180
	_, after, ok2 := strings.Cut(rest, "</send>")
	if !ok1 || !ok2 {
		t.Fatalf("no message in %s", callee)
	}
	must(t, os.WriteFile(callee, []byte(before+after), 0o600))
	c, err := contender.Named(contender.Core)
	must(t, err)
	r, err := load.Run(limit(t), load.Place{Bin: bin, Files: files}, c[0], load.Load{Rate: 20, Seconds: 1})
	must(t, err)
	if r.Failed != 0 || r.Lost180 != 20 {
		t.Errorf("%d failed and %d lost 180s of 20, none of which was sent", r.Failed, r.Lost180)
	}
}

// TestChainSmoke is what "make e2e-chain" does, for five seconds: calls between two offices over two hubs are set up,
// carry voice both ways and end. What was sent again is not judged: the machine may be busy.
func TestChainSmoke(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	c, err := chain.Open(ctx, chain.Options{Bin: bin, Files: benchFiles})
	must(t, err)
	t.Cleanup(func() { must(t, c.Close()) })
	calls, err := c.Calls(ctx, chain.Load{Rate: 10, Seconds: 3, Hold: time.Second})
	must(t, err)
	if calls.Failed != 0 || calls.Lost180 != 0 {
		t.Errorf("%d failed, %d lost 180s of %d: %s", calls.Failed, calls.Lost180, calls.Calls, calls.Trouble)
	}
	voice, err := c.Voice(ctx, chain.Load{Rate: 3, Seconds: 2, Hold: time.Second})
	must(t, err)
	if voice.Calls != 6 || voice.Failed != 0 || len(voice.Trouble) != 0 {
		t.Errorf("%d of %d calls failed: %v", voice.Failed, voice.Calls, voice.Trouble)
	}
	// 50 packets a second from each end; a busy machine's first and last are not to the millisecond.
	if want := uint64(6 * 2 * 50); voice.Sent < want*9/10 || voice.Loss() > 0.001 {
		t.Errorf("%d packets sent, about %d should be, and %d received", voice.Sent, want, voice.Received)
	}
	repeats, err := c.Repeats(ctx)
	must(t, err)
	if len(repeats) != 4 {
		t.Errorf("%+v", repeats)
	}
	for _, r := range repeats {
		if want := uint64(chain.RequestsOfCall * (calls.Calls + voice.Calls)); r.Hub && r.Passed < want {
			t.Errorf("%s passed %d requests, at least %d should be: calls took another way", r.Node, r.Passed, want)
		}
	}
}
