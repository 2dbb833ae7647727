package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of these tests; the machine may be busy.
const patience = 20 * time.Second

// bench is one supervisor with one child on one UDP and one TCP socket.
type bench struct {
	t        *testing.T
	udp, tcp *Socket
	events   chan Event
	dumps    string
	cancel   context.CancelFunc
	hurry    chan struct{}
	ended    chan error
}

func startBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	b := &bench{
		t:      t,
		udp:    mustBind(t, BindUDP, Bind{Name: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}),
		tcp:    mustBind(t, ListenTCP, Bind{Name: "tcp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}),
		events: make(chan Event, 1000),
		dumps:  filepath.Join(t.TempDir(), "dumps"),
		hurry:  make(chan struct{}),
		ended:  make(chan error, 1),
	}
	opts := Options{
		Children: []Child{{
			Name: "echo", Env: []string{roleVariable + "=child"},
			Config: []byte("config-1"), Sockets: []*Socket{b.udp, b.tcp},
		}},
		DumpDir: b.dumps,
		Hurry:   b.hurry,
		OnEvent: func(e Event) { b.events <- e },
	}
	if change != nil {
		change(&opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() { b.ended <- Run(ctx, opts) }()
	t.Cleanup(b.stop)
	return b
}

func mustBind(t *testing.T, bind func(context.Context, Bind) (*Socket, error), b Bind) *Socket {
	t.Helper()
	s, err := bind(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (b *bench) stop() {
	b.cancel()
	_ = b.wait() // tests that care about it ask themselves
}

// wait waits for Run's end and says how it ended; more than once is fine.
func (b *bench) wait() error {
	select {
	case err := <-b.ended:
		b.ended <- err
		return err
	case <-time.After(patience):
		b.t.Error("Run does not end")
		return nil
	}
}

// expect waits for an event of this kind and returns it; others before it are dropped.
func (b *bench) expect(kind EventKind) Event {
	b.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-b.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			b.t.Fatalf("no %q", kind)
		}
	}
}

// say sends one datagram to the child.
func (b *bench) say(text string) *net.UDPConn {
	b.t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.udp.Addr))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte(text)); err != nil {
		b.t.Fatal(err)
	}
	return conn
}

// answer reads the child's answer.
func (b *bench) answer(conn *net.UDPConn) string {
	b.t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		b.t.Fatal(err)
	}
	buf := make([]byte, 1500)
	n, err := conn.Read(buf)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(buf[:n])
}

func (b *bench) ask(text, want string) {
	b.t.Helper()
	if got := b.answer(b.say(text)); got != want {
		b.t.Fatalf("answer %q, want %q", got, want)
	}
}

// Each start gets what is fresh at that moment, and the same configuration.
func TestFreshBytesAreThoseOfTheStart(t *testing.T) {
	t.Parallel()
	var starts atomic.Int32
	b := startBench(t, func(o *Options) {
		o.Children[0].Fresh = func() []byte { return fmt.Appendf(nil, "+fresh-%d", starts.Add(1)) }
	})
	for i := range 3 {
		pid := b.expect(Ready).PID
		b.ask("hello", fmt.Sprintf("%d config-1+fresh-%d hello", pid, i+1))
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKilledChildComesBackOnTheSameSocket(t *testing.T) {
	t.Parallel()
	b := startBench(t, nil)
	first := b.expect(Ready)
	b.ask("hello", fmt.Sprintf("%d config-1 hello", first.PID))
	if group, err := syscall.Getpgid(first.PID); err != nil || group != first.PID {
		t.Errorf("process group %d, %v: a terminal's Ctrl-C would reach the child", group, err)
	}

	killed := time.Now()
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	gone := b.expect(Exited)
	if gone.PID != first.PID || gone.Err == nil || !strings.Contains(gone.Err.Error(), "killed") || gone.Stopping {
		t.Errorf("exit event %+v", gone)
	}
	if gone.Delay != DefaultFirstDelay {
		t.Errorf("restart in %v, want %v", gone.Delay, DefaultFirstDelay)
	}
	conn := b.say("sent while nobody lived")
	second := b.expect(Started)
	if took := time.Since(killed); took < DefaultFirstDelay || took > 2*time.Second {
		t.Errorf("restarted after %v, want between %v and 2s", took, DefaultFirstDelay)
	}
	if second.PID == first.PID {
		t.Errorf("same pid %d", second.PID)
	}
	if got, want := b.answer(conn), fmt.Sprintf("%d config-1 sent while nobody lived", second.PID); got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
}

func TestConnectionWaitsForTheNextChild(t *testing.T) {
	t.Parallel()
	b := startBench(t, nil)
	first := b.expect(Ready)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.expect(Exited)
	conn, err := net.Dial("tcp", b.tcp.Addr.String())
	if err != nil {
		t.Fatalf("nobody listens while the child is dead: %v", err)
	}
	defer func() { _ = conn.Close() }()
	second := b.expect(Started)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != fmt.Sprint(second.PID) {
		t.Errorf("read %q, %v, want %d", buf[:n], err, second.PID)
	}
}

// TestSharedSocketStaysNonBlocking looks at the open file that all processes share, and at what children do to it.
func TestSharedSocketStaysNonBlocking(t *testing.T) {
	t.Parallel()
	b := startBench(t, nil)
	first := b.expect(Ready)
	b.ask("deadline", fmt.Sprintf("%d config-1 kept", first.PID))
	b.checkNonBlocking()

	b.say("close") // the child closes its copy and ends
	if e := b.expect(Exited); e.Err != nil {
		t.Errorf("exit %v", e.Err)
	}
	b.checkNonBlocking()
	second := b.expect(Ready)
	b.ask("deadline", fmt.Sprintf("%d config-1 kept", second.PID))
	b.checkNotPolled()
}

func (b *bench) checkNonBlocking() {
	b.t.Helper()
	for _, s := range []*Socket{b.udp, b.tcp} {
		flags, err := unix.FcntlInt(uintptr(s.fd), unix.F_GETFL, 0)
		if err != nil {
			b.t.Fatal(err)
		}
		if flags&unix.O_NONBLOCK == 0 {
			b.t.Errorf("%s blocks", s)
		}
	}
}

// checkNotPolled fails if this process's poller has the sockets: it would wake for each packet of its children.
func (b *bench) checkNotPolled() {
	b.t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, info := range infos {
		text, err := os.ReadFile(info)
		if err != nil {
			continue // closed meanwhile
		}
		for line := range strings.Lines(string(text)) {
			var fd int
			if _, err := fmt.Sscanf(line, "tfd: %d", &fd); err == nil && (fd == b.udp.fd || fd == b.tcp.fd) {
				b.t.Errorf("descriptor %d is polled: %s", fd, line)
			}
		}
	}
}

func TestHangingChildIsDumpedAndReplaced(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.HeartbeatTimeout = 600 * time.Millisecond })
	first := b.expect(Ready)
	b.say("hang")
	if e := b.expect(HeartbeatLost); e.PID != first.PID {
		t.Errorf("heartbeat lost of %d, want %d", e.PID, first.PID)
	}
	gone := b.expect(Exited)
	if gone.Dump == "" {
		t.Fatalf("no dump kept: %+v", gone)
	}
	text, err := os.ReadFile(gone.Dump)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SIGQUIT", "goroutine ", "answerAll", "Beat"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("dump lacks %q:\n%.400s", want, text)
		}
	}
	second := b.expect(Ready)
	b.ask("again", fmt.Sprintf("%d config-1 again", second.PID))
}

func TestStoppedChildIsKilled(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) {
		o.HeartbeatTimeout = 600 * time.Millisecond
		o.QuitTimeout = 100 * time.Millisecond
	})
	first := b.expect(Ready)
	if err := syscall.Kill(first.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.expect(HeartbeatLost)
	if e := b.expect(Exited); e.Dump != "" || !strings.Contains(e.Err.Error(), "killed") {
		t.Errorf("exit event %+v", e)
	}
	second := b.expect(Ready)
	b.ask("again", fmt.Sprintf("%d config-1 again", second.PID))
}

func TestPanicIsKept(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Dumps = 2 })
	var last Event
	for range 3 {
		b.expect(Ready)
		b.say("panic")
		last = b.expect(Exited)
		text, err := os.ReadFile(last.Dump)
		if err != nil || !strings.Contains(string(text), "panic: told to") {
			t.Fatalf("dump %q: %.200s, %v", last.Dump, text, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(b.dumps, "*"))
	if err != nil || len(left) != 2 || left[1] != last.Dump {
		t.Errorf("kept %v, %v, want the last two, %q the last", left, err, last.Dump)
	}
}

func TestFailingChildIsRestartedEverMoreSlowly(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) {
		o.Children[0].Env = []string{roleVariable + "=fail"}
		o.FirstDelay, o.MaxDelay = 10*time.Millisecond, 40*time.Millisecond
	})
	for _, want := range []int64{10, 20, 40, 40} {
		e := b.expect(Exited)
		if e.Delay.Milliseconds() != want || e.Err == nil || e.Err.Error() != "exit status 7" {
			t.Errorf("exit event %+v, want delay %d ms", e, want)
		}
	}
}

func TestMissingProgramIsTriedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "program")
	b := startBench(t, func(o *Options) { o.Children[0].Path = path })
	if e := b.expect(StartFailed); !errors.Is(e.Err, os.ErrNotExist) || !strings.Contains(e.Err.Error(), path) {
		t.Errorf("error %v", e.Err)
	}
	if err := os.Symlink("/proc/self/exe", path); err != nil {
		t.Fatal(err)
	}
	b.expect(Ready)
}

func TestStopKillsWhatDoesNotStop(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Children[0].StopTimeout = 100 * time.Millisecond })
	first := b.expect(Ready)
	b.ask("stubborn", fmt.Sprintf("%d config-1 stubborn", first.PID))
	b.cancel()
	if err := b.wait(); !errors.Is(err, errKilled) || !strings.Contains(err.Error(), "echo") {
		t.Errorf("Run ended with %v", err)
	}
	b.checkGone(first.PID)
}

func TestHurryEndsAtOnce(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Children[0].StopTimeout = time.Hour })
	first := b.expect(Ready)
	b.ask("stubborn", fmt.Sprintf("%d config-1 stubborn", first.PID))
	b.cancel()
	close(b.hurry)
	if err := b.wait(); err != nil {
		t.Errorf("Run ended with %v", err)
	}
	b.checkGone(first.PID)
}

func (b *bench) checkGone(pid int) {
	b.t.Helper()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		b.t.Errorf("process %d is still there: %v", pid, err)
	}
}

func TestChildrenStopInOrder(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) {
		second := o.Children[0]
		second.Name, second.Sockets = "later", nil
		o.Children = append(o.Children, second)
	})
	b.expect(Ready)
	b.expect(Ready)
	b.cancel()
	if err := b.wait(); err != nil {
		t.Error(err)
	}
	first, second := b.expect(Exited), b.expect(Exited)
	if first.Child != "later" || second.Child != "echo" || !first.Stopping || first.Err != nil {
		t.Errorf("stopped %+v, then %+v", first, second)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for name, children := range map[string][]Child{
		"none":   nil,
		"noname": {{}},
		"path":   {{Name: "../x"}},
		"twice":  {{Name: "a"}, {Name: "a"}},
	} {
		if err := Run(t.Context(), Options{Children: children}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestInheritNeedsASupervisor(t *testing.T) {
	t.Parallel()
	if _, err := Inherit(); !errors.Is(err, ErrNotSupervised) {
		t.Errorf("Inherit: %v", err)
	}
}
