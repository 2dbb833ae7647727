package media_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/media/mediatest"
	"github.com/mss-federation/mss/pkg/relay"
)

func TestClientKeepsTheContract(t *testing.T) {
	t.Parallel()
	mediatest.Contract(t, func(t *testing.T) mediatest.Controller {
		t.Helper()
		socket := socketPath(t)
		serve(t, media.Options{Socket: socket, Relay: relay.Options{Tick: time.Hour}}) // no command waits for a tick
		return media.Dial(media.ClientOptions{Socket: socket})
	})
}

func TestVoiceAndReports(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket, PortLow: 20000, PortHigh: 20999})
	c := media.Dial(media.ClientOptions{Socket: socket})
	run(t, c)
	k := talk(t, c)
	if k.portA < 20000 || k.portA > 20998 {
		t.Errorf("port %d is out of range", k.portA)
	}
	stranger := newPhone(t)
	stranger.say(k.portA, 9)
	k.check(t, c, 2)
	got := make(chan media.Report, 1)
	c.Close(k.idA, func(r media.Report) { got <- r })
	r := await(t, got)
	if !r.Final || r.PacketsIn != 2 || r.PacketsOut != 2 || r.BytesIn != 344 || r.Dropped[relay.Stranger] != 1 || r.Source != k.a.addr() {
		t.Errorf("report %+v", r)
	}
}

// The media process dies: its successor has the same endpoints on the same ports, within 300 ms.
func TestMediaRestarts(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	first := serve(t, media.Options{Socket: socket})
	told := make(chan netip.AddrPort, 10)
	c := media.Dial(media.ClientOptions{Socket: socket, OnLearned: func(_ uint64, remote netip.AddrPort) { told <- remote }})
	run(t, c)
	k := talk(t, c)
	learned := newPhone(t)
	c.Aim(k.idA, media.Aim{RTP: far, Learn: media.LearnSource, Send: true, Receive: true, Generation: 2})
	reports(t, c, k.idA)
	for seq := range byte(4) {
		learned.say(k.portA, seq)
	}
	if got := await(t, told); got != learned.addr() {
		t.Fatalf("learned %v, want %v", got, learned.addr())
	}
	first.stop()
	began := time.Now()
	serve(t, media.Options{Socket: socket})
	for !k.b.hears(50, 5*time.Millisecond) {
		learned.say(k.portA, 50) // one packet is enough: what was learned is restored
		if time.Since(began) > patience {
			t.Fatal("no voice after the restart")
		}
	}
	if gap := time.Since(began); gap > 300*time.Millisecond {
		t.Errorf("silence of %v", gap)
	}
	k.b.say(k.portB, 51)
	if !learned.hears(51, patience) {
		t.Error("no voice to the learned source")
	}
}

// The client dies: voice goes on; its successor finds every endpoint as it was and closes what it does not know.
func TestSignallingRestarts(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	c := media.Dial(media.ClientOptions{Socket: socket})
	stop := run(t, c)
	k := talk(t, c)
	setup := c.NewID()
	open(t, c, media.EndpointSpec{ID: setup, Local: local})
	stop()
	k.a.say(k.portA, 2)
	if !k.b.hears(2, patience) {
		t.Fatal("voice ended with signalling")
	}
	next := media.Dial(media.ClientOptions{Socket: socket})
	next.Restore(media.EndpointSpec{ID: k.idA, Group: k.idA, Local: local, Port: k.portA, Aim: aimAt(k.a)}, k.idB)
	next.Restore(media.EndpointSpec{ID: k.idB, Group: k.idA, Local: local, Port: k.portB, Aim: aimAt(k.b)}, k.idA)
	run(t, next)
	k.check(t, next, 3)
	r := reports(t, next, k.idA, k.idB, setup)
	if r[0].PacketsIn != 3 || r[1].PacketsOut != 3 {
		t.Errorf("counts began anew: %+v", r)
	}
	if r[2].Found {
		t.Error("the endpoint of a call in set-up was kept")
	}
}

func TestOrphansAreClosed(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket, OrphanTime: time.Millisecond})
	c := media.Dial(media.ClientOptions{Socket: socket})
	stop := run(t, c)
	port := open(t, c, media.EndpointSpec{ID: c.NewID(), Local: local})
	stop()
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: local.AsSlice(), Port: port})
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("port is still bound: %v", err)
		}
	}
}

func TestOpenWithoutMedia(t *testing.T) {
	t.Parallel()
	c := media.Dial(media.ClientOptions{Socket: socketPath(t), AnswerTime: 30 * time.Millisecond})
	run(t, c)
	got := make(chan opened, 1)
	c.Open(media.EndpointSpec{ID: c.NewID(), Local: local}, func(port int, err error) { got <- opened{port, err} })
	if o := await(t, got); fault.KindOf(o.err) != fault.Unavailable {
		t.Errorf("%+v", o)
	}
	closed := make(chan media.Report, 1)
	c.Close(1, func(r media.Report) { closed <- r })
	if r := await(t, closed); r.Found || !r.Final {
		t.Errorf("%+v", r)
	}
	if _, err := c.Reports(context.Background(), 1); fault.KindOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func TestSilentAndLearnedAreTold(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket, Relay: relay.Options{Tick: time.Millisecond}})
	silent, learned := make(chan uint64, 100), make(chan netip.AddrPort, 100)
	c := media.Dial(media.ClientOptions{
		Socket:    socket,
		OnSilent:  func(id uint64) { silent <- id },
		OnLearned: func(_ uint64, remote netip.AddrPort) { learned <- remote },
	})
	run(t, c)
	p, id := newPhone(t), c.NewID()
	port := open(t, c, media.EndpointSpec{ID: id, Local: local, Timeout: 50 * time.Millisecond, Aim: media.Aim{Learn: media.LearnSource, Receive: true}})
	if got := await(t, silent); got != id {
		t.Errorf("silent %d, want %d", got, id)
	}
	for seq := range byte(4) {
		p.say(port, seq)
	}
	if got := await(t, learned); got != p.addr() {
		t.Errorf("learned %v, want %v", got, p.addr())
	}
}

// A port that cannot be had again is told, since its call has no voice.
func TestLostIsTold(t *testing.T) {
	t.Parallel()
	taken := newPhone(t)
	socket := socketPath(t)
	serve(t, media.Options{Socket: socket})
	lost := make(chan uint64, 1)
	c := media.Dial(media.ClientOptions{Socket: socket, OnLost: func(id uint64, _ error) { lost <- id }})
	id := c.NewID()
	c.Restore(media.EndpointSpec{ID: id, Local: local, Port: int(taken.addr().Port() &^ 1)}, 0)
	run(t, c)
	if got := await(t, lost); got != id {
		t.Errorf("lost %d, want %d", got, id)
	}
}

func TestSocket(t *testing.T) {
	t.Parallel()
	socket := socketPath(t)
	p := serve(t, media.Options{Socket: socket})
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v %v", info, err)
	}
	err = media.Serve(context.Background(), media.Options{Socket: socket})
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("second process: %v", err)
	}
	p.stop()
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	serve(t, media.Options{Socket: socket})
	if err := media.Serve(context.Background(), media.Options{Socket: filepath.Join(socket, "x")}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("impossible path: %v", err)
	}
}
