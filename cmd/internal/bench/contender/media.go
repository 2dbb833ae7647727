package contender

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/relay"
	"github.com/mss-federation/mss/pkg/supervise"
)

// mediaProcess is a running media process. This process is its supervisor and its signalling, so that nothing of a call
// but its voice costs it anything.
type mediaProcess struct {
	addr    netip.Addr
	client  *media.Client
	stop    context.CancelFunc
	running errgroup.Group
	started chan supervise.Event // whether the first start came to something
	pid     int
	ids     []uint64
}

// Voice may be silent for as long as by default (lmss/config). A busy machine takes its time to open the ports of all
// calls at once.
const (
	silence    = 5 * time.Minute
	answerTime = 10 * time.Second
)

func startMedia(ctx context.Context, setup RelaySetup) (RelayServer, error) {
	path := filepath.Join(setup.Bin, "lmss")
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("start lmss media: %w: make build puts it there", err)
	}
	m := &mediaProcess{addr: node.NewAddress(), started: make(chan supervise.Event, 1)}
	m.run(path, setup.Dir)
	if err := m.ready(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start lmss media: %w", err), m.Stop())
	}
	return m, nil
}

// run starts the process and its client. The process writes its errors to standard error.
func (m *mediaProcess) run(path, dir string) {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	socket := filepath.Join(dir, "media.sock")
	config := fmt.Sprintf("site: bench\ndomain: example.org\nstate_dir: %q\nlisten: {udp: [%q]}\nmedia: {socket: %q}\nlog: {level: error}\n",
		dir, netip.AddrPortFrom(m.addr, 5060), socket)
	var first sync.Once
	m.running.Go(func() error {
		return supervise.Run(ctx, supervise.Options{
			Children: []supervise.Child{{Name: "media", Path: path, Args: []string{"media"}, Config: []byte(config)}},
			OnEvent: func(e supervise.Event) {
				if e.Kind != supervise.Started {
					first.Do(func() { m.started <- e })
				}
			},
		})
	})
	m.client = media.Dial(media.ClientOptions{Socket: socket, AnswerTime: answerTime})
	m.running.Go(func() error { return m.client.Run(ctx) })
}

// ready waits until the process serves.
func (m *mediaProcess) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	select {
	case e := <-m.started:
		if e.Kind != supervise.Ready {
			return fmt.Errorf("%v: %w", e.Kind, errors.Join(ErrEnded, e.Err))
		}
		m.pid = e.PID
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lead relays calls.
func (m *mediaProcess) Lead(ctx context.Context, calls []Ends) ([]Ends, error) {
	opened := make(chan opening, 2*len(calls))
	for i, call := range calls {
		var ids [2]uint64
		for end, addr := range call {
			ids[end] = m.client.NewID()
			m.ids = append(m.ids, ids[end])
			// As signalling aims a leg whose phone is not behind NAT (lmss/call): nobody else is learned.
			aim := media.Aim{RTP: addr, Learn: media.LearnNone, Send: true, Receive: true, Generation: 1}
			m.client.Open(media.EndpointSpec{ID: ids[end], Group: uint64(i), Local: m.addr, Timeout: silence, Aim: aim},
				func(port int, err error) { opened <- opening{i, end, port, err} })
		}
		m.client.Join(ids[0], ids[1])
	}
	led := make([]Ends, len(calls))
	for range cap(opened) {
		select {
		case o := <-opened:
			if o.err != nil {
				return nil, o.err
			}
			led[o.call][o.end] = netip.AddrPortFrom(m.addr, uint16(o.port))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return led, nil
}

// opening is what came of one endpoint.
type opening struct {
	call, end, port int
	err             error
}

// Dropped is what its endpoints counted.
func (m *mediaProcess) Dropped(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	reports, err := m.client.Reports(ctx, m.ids...)
	if err != nil {
		return err.Error()
	}
	var in, out uint64
	why := make(map[relay.Drop]uint64)
	for _, r := range reports {
		in, out = in+r.PacketsIn, out+r.PacketsOut
		for drop, n := range r.Dropped {
			why[relay.Drop(drop)] += n
		}
	}
	said := new(strings.Builder)
	fmt.Fprintf(said, "in all, %d came in and %d went out", in, out)
	for _, drop := range slices.Sorted(maps.Keys(why)) {
		if why[drop] > 0 {
			fmt.Fprintf(said, ", %d %v", why[drop], drop)
		}
	}
	return said.String()
}

// Addr is the address of all its voice sockets.
func (m *mediaProcess) Addr() netip.Addr { return m.addr }

// PID is the media process.
func (m *mediaProcess) PID() int { return m.pid }

// Stop ends it.
func (m *mediaProcess) Stop() error {
	m.stop()
	return m.running.Wait()
}
