package mediatest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/media"
)

// Controller is what call control uses of a media client.
type Controller interface {
	NewID() uint64
	Restore(spec media.EndpointSpec, peer uint64)
	Open(spec media.EndpointSpec, done func(port int, err error))
	Aim(id uint64, aim media.Aim)
	Join(a, b uint64)
	Close(id uint64, done func(media.Report))
	Reports(ctx context.Context, ids ...uint64) ([]media.Report, error)
	Run(ctx context.Context) error
}

var _ = []Controller{(*media.Client)(nil), (*Fake)(nil)}

const patience = 5 * time.Second

// Ports are picked at random on local and named on aside.
var (
	local = netip.MustParseAddr("127.0.0.1")
	aside = netip.MustParseAddr("127.0.0.80")
)

type opened struct {
	port int
	err  error
}

// harness runs one controller and turns its callbacks into values.
type harness struct {
	*testing.T
	Controller
}

func (h harness) open(spec media.EndpointSpec) opened {
	h.Helper()
	got := make(chan opened, 2)
	h.Open(spec, func(port int, err error) { got <- opened{port, err} })
	return await(h.T, got)
}

func (h harness) mustOpen() uint64 {
	h.Helper()
	id := h.NewID()
	if o := h.open(media.EndpointSpec{ID: id, Local: local}); o.err != nil {
		h.Fatal(o.err)
	}
	return id
}

func (h harness) close(id uint64) media.Report {
	h.Helper()
	got := make(chan media.Report, 2)
	h.Close(id, func(r media.Report) { got <- r })
	return await(h.T, got)
}

func await[T any](t *testing.T, got chan T) T {
	t.Helper()
	select {
	case v := <-got:
		return v
	case <-time.After(patience):
		t.Fatal("no callback")
		panic("unreachable")
	}
}

// Contract checks what every media client promises. start makes one that does not run yet, with a media
// process within its reach.
func Contract(t *testing.T, start func(t *testing.T) Controller) {
	t.Helper()
	for name, check := range map[string]func(harness){
		"opens on distinct even ports":       opensDistinct,
		"opens on the named port":            opensNamed,
		"refuses what cannot be":             refuses,
		"calls back from Run alone":          callsBackFromRun,
		"reports what it has and has not":    reports,
		"closes once":                        closes,
		"closing ends an open that waits":    closingEndsOpen,
		"bears commands for what is not":     bearsUnknown,
		"restores before it runs":            restores,
		"answers who waits when it ends":     answersAtEnd,
		"numbers grow and outrun a restored": numbers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(harness{t, start(t)})
		})
	}
}

// running runs the controller until the test ends.
func (h harness) running() {
	h.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Controller.Run(ctx) }()
	h.Cleanup(func() {
		cancel()
		if err := await(h.T, done); err != nil {
			h.Error(err)
		}
	})
}

func opensDistinct(h harness) {
	h.running()
	a, b := h.open(media.EndpointSpec{ID: h.NewID(), Local: local}), h.open(media.EndpointSpec{ID: h.NewID(), Local: local})
	if a.err != nil || b.err != nil || a.port == b.port || a.port <= 0 || a.port%2 != 0 || b.port%2 != 0 {
		h.Errorf("opened %+v and %+v", a, b)
	}
}

func opensNamed(h harness) {
	h.running()
	id := h.NewID()
	first := h.open(media.EndpointSpec{ID: id, Local: local})
	h.close(id)
	if again := h.open(media.EndpointSpec{ID: h.NewID(), Local: local, Port: first.port}); again != first {
		h.Errorf("opened %+v, want %+v", again, first)
	}
}

func refuses(h harness) {
	h.running()
	id := h.mustOpen()
	for name, test := range map[string]struct {
		spec media.EndpointSpec
		kind fault.Kind
	}{
		"wildcard":     {media.EndpointSpec{ID: h.NewID(), Local: netip.IPv4Unspecified()}, fault.Invalid},
		"no address":   {media.EndpointSpec{ID: h.NewID()}, fault.Invalid},
		"odd port":     {media.EndpointSpec{ID: h.NewID(), Local: local, Port: 16385}, fault.Invalid},
		"number twice": {media.EndpointSpec{ID: id, Local: local}, fault.Exists},
		"number 0":     {media.EndpointSpec{Local: local}, fault.Exists},
	} {
		if o := h.open(test.spec); o.err == nil || fault.KindOf(o.err) != test.kind || o.port != 0 {
			h.Errorf("%s: %+v, want %v", name, o, test.kind)
		}
	}
	if r := h.close(id); !r.Found {
		h.Error("a refused number took the open endpoint with it")
	}
}

func callsBackFromRun(h harness) {
	got := make(chan opened, 1)
	h.Open(media.EndpointSpec{ID: h.NewID(), Local: local}, func(port int, err error) { got <- opened{port, err} })
	if len(got) != 0 {
		h.Error("called back before Run")
	}
	h.running()
	if o := await(h.T, got); o.err != nil {
		h.Error(o.err)
	}
}

func reports(h harness) {
	h.running()
	a, b, c := h.mustOpen(), h.NewID(), h.mustOpen()
	got, err := h.Reports(context.Background(), a, b, c)
	if err != nil {
		h.Fatal(err)
	}
	for i, want := range []media.Report{{Endpoint: a, Found: true}, {Endpoint: b}, {Endpoint: c, Found: true}} {
		if got[i] != want {
			h.Errorf("report %d: %+v, want %+v", i, got[i], want)
		}
	}
}

func closes(h harness) {
	h.running()
	id := h.mustOpen()
	if r := h.close(id); !r.Found || !r.Final || r.Endpoint != id {
		h.Errorf("first close: %+v", r)
	}
	if r := h.close(id); r.Found || !r.Final || r.Endpoint != id {
		h.Errorf("second close: %+v", r)
	}
	h.Close(id, nil)
}

func closingEndsOpen(h harness) {
	id := h.NewID()
	answers := make(chan opened, 2)
	h.Open(media.EndpointSpec{ID: id, Local: local}, func(port int, err error) { answers <- opened{port, err} })
	h.Close(id, nil)
	h.running()
	await(h.T, answers)
	h.mustOpen() // whatever else there is to call back came before this
	if len(answers) != 0 {
		h.Errorf("called back again: %+v", <-answers)
	}
	if got, err := h.Reports(context.Background(), id); err != nil || got[0].Found {
		h.Errorf("still open: %+v %v", got, err)
	}
}

func bearsUnknown(h harness) {
	h.running()
	id := h.mustOpen()
	h.Aim(h.NewID(), media.Aim{})
	h.Join(id, h.NewID())
	h.Join(h.NewID(), id)
	h.Join(id, id)
	h.Join(id, 0)
	if r := h.close(id); !r.Found {
		h.Errorf("report %+v", r)
	}
}

func restores(h harness) {
	a, b := h.NewID(), h.NewID()
	h.Restore(media.EndpointSpec{ID: a, Local: aside, Port: 30000}, b)
	h.Restore(media.EndpointSpec{ID: b, Local: aside, Port: 30002}, a)
	h.running()
	h.mustOpen()
	got, err := h.Reports(context.Background(), a, b)
	if err != nil || !got[0].Found || !got[1].Found {
		h.Errorf("restored: %+v %v", got, err)
	}
}

func answersAtEnd(h harness) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := make(chan opened, 2)
	h.Open(media.EndpointSpec{ID: h.NewID(), Local: local}, func(port int, err error) { got <- opened{port, err} })
	if err := h.Controller.Run(ctx); err != nil {
		h.Error(err)
	}
	await(h.T, got)
}

func numbers(h harness) {
	a, b := h.NewID(), h.NewID()
	h.Restore(media.EndpointSpec{ID: b + 1000, Local: aside, Port: 30004}, 0)
	if c := h.NewID(); a == 0 || b <= a || c <= b+1000 {
		h.Errorf("numbers %d, %d, %d", a, b, c)
	}
}
