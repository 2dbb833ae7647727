package media

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// ClientOptions say how a Client works. Callbacks are called one at a time, from the goroutine of
// [Client.Run], and must not block.
type ClientOptions struct {
	// Socket is the path of the media process's Unix socket.
	Socket string
	// AnswerTime is how long an answer is waited for. Zero means 1s.
	AnswerTime time.Duration
	// OnSilent: nothing came from the far end for the endpoint's timeout; again after each further one.
	OnSilent func(id uint64)
	// OnLearned: voice was learned to come from remote, now or before the last restart.
	OnLearned func(id uint64, remote netip.AddrPort)
	// OnLost: an endpoint that was open is closed though nobody asked, or could not be opened again after a
	// restart of the media process. Its call has no voice any more.
	OnLost func(id uint64, err error)
	// Logger gets what an operator must know. Nil means silence.
	Logger *slog.Logger
}

// EnsureDefaults fills what is zero.
func (o *ClientOptions) EnsureDefaults() {
	if o.AnswerTime == 0 {
		o.AnswerTime = DefaultAnswerTime
	}
	if o.OnSilent == nil {
		o.OnSilent = func(uint64) {}
	}
	if o.OnLearned == nil {
		o.OnLearned = func(uint64, netip.AddrPort) {}
	}
	if o.OnLost == nil {
		o.OnLost = func(uint64, error) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Client drives the media process. Its methods may be called from any goroutine and never block, Reports
// excepted. What they ask for is remembered; a Sync carries it over whenever the process is met again.
type Client struct {
	options ClientOptions
	log     *slog.Logger

	kick   chan struct{} // callbacks or waits are there for Run
	unsent chan struct{} // commands are there for the stream
	news   chan incoming

	mu struct {
		sync.Mutex
		endpoints map[uint64]*mirrored
		nextID    uint64
		command   uint64
		stream    uint64 // counts connections; commands go out while connected
		connected bool
		ended     bool
		queue     []*mediav1.Command
		answers   map[uint64]*answer // by command
		deadlines []deadline         // all wait equally long, so the first is due first
		callbacks []func()
	}
}

// mirrored is the desired state of one endpoint.
type mirrored struct {
	spec EndpointSpec // Port is 0 until it is known
	peer uint64
	// opened is called with the result of Open; nil: the endpoint is open.
	opened func(port int, err error)
}

// answer is a Report that somebody waits for.
type answer struct {
	endpoint uint64
	stream   uint64
	done     func(Report, error)
}

// deadline ends the wait for an Open or for an answer.
type deadline struct {
	at      time.Time
	opening *mirrored
	command uint64
}

// incoming is what a stream brings: events, or its end.
type incoming struct {
	stream uint64
	batch  *mediav1.EventBatch // nil: the stream ended
}

// Dial makes a client that connects once it runs.
func Dial(o ClientOptions) *Client {
	o.EnsureDefaults()
	c := &Client{
		options: o,
		log:     o.Logger,
		kick:    make(chan struct{}, 1),
		unsent:  make(chan struct{}, 1),
		news:    make(chan incoming, 16),
	}
	c.mu.endpoints = make(map[uint64]*mirrored)
	c.mu.answers = make(map[uint64]*answer)
	c.mu.nextID = uint64(time.Now().UnixNano())
	return c
}

// NewID gives a number for an endpoint that was never given before, nor by a client that ran before: numbers
// begin at the nanosecond of the start, and nobody opens an endpoint each nanosecond.
func (c *Client) NewID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.nextID++
	return c.mu.nextID
}

// Restore puts an endpoint of a stored call, with port and aim, into the desired state; peer is the endpoint
// that it is joined with, or 0. It is called before Run.
func (c *Client) Restore(spec EndpointSpec, peer uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.endpoints[spec.ID] = &mirrored{spec: spec, peer: peer}
	c.mu.nextID = max(c.mu.nextID, spec.ID)
}

// Open makes an endpoint. done is called once with its port, or with the error: after AnswerTime without
// the media process, Unavailable.
func (c *Client) Open(spec EndpointSpec, done func(port int, err error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, exists := c.mu.endpoints[spec.ID]; exists || spec.ID == 0 {
		c.callLocked(func() { done(0, fault.New("open endpoint", fault.Exists, "", "take a number from NewID")) })
		return
	}
	if c.mu.ended {
		c.callLocked(func() { done(0, errGone) })
		return
	}
	m := &mirrored{spec: spec, opened: done}
	c.mu.endpoints[spec.ID] = m
	c.sendLocked(&mediav1.Command{Action: &mediav1.Command_Open{Open: fromSpec(&spec)}})
	c.waitLocked(deadline{opening: m})
}

// Aim tells an endpoint of new SDP of its far end.
func (c *Client) Aim(id uint64, aim Aim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.mu.endpoints[id]
	if m == nil {
		return
	}
	if aim.Generation != m.spec.Aim.Generation {
		m.spec.Learned = netip.AddrPort{}
	}
	m.spec.Aim = aim
	c.sendLocked(&mediav1.Command{Action: &mediav1.Command_Aim{Aim: fromAim(id, &aim)}})
}

// Join forwards between two endpoints; earlier joins of both end. With b = 0, a is left alone.
func (c *Client) Join(a, b uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.endpoints[a] == nil || (b != 0 && c.mu.endpoints[b] == nil) || a == b {
		return
	}
	c.leaveLocked(a)
	c.mu.endpoints[a].peer = b
	if b != 0 {
		c.leaveLocked(b)
		c.mu.endpoints[b].peer = a
	}
	c.sendLocked(&mediav1.Command{Action: &mediav1.Command_Join{Join: &mediav1.Join{A: a, B: b}}})
}

// leaveLocked parts an endpoint from its peer.
func (c *Client) leaveLocked(id uint64) {
	m := c.mu.endpoints[id]
	if other := c.mu.endpoints[m.peer]; other != nil && other.peer == id {
		other.peer = 0
	}
	m.peer = 0
}

// Close ends an endpoint. done, which may be nil, is called once with its last counts; they are not Found if
// the media process does not know or does not answer.
func (c *Client) Close(id uint64, done func(Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.mu.endpoints[id]; m != nil {
		c.leaveLocked(id)
		delete(c.mu.endpoints, id)
		if opened := m.opened; opened != nil {
			m.opened = nil
			c.callLocked(func() { opened(0, fault.New("open endpoint", fault.Conflict, "", "it was closed before it was open")) })
		}
	}
	var command uint64
	if done != nil {
		command = c.expectLocked(id, func(r Report, _ error) {
			r.Final = true
			done(r)
		})
	}
	c.sendLocked(&mediav1.Command{Id: command, Action: &mediav1.Command_Close{Close: &mediav1.Close{Endpoint: id}}})
}

// Reports asks for the counts of endpoints, in the order of ids. Of one that the media process does not know
// the Report is not Found.
func (c *Client) Reports(ctx context.Context, ids ...uint64) ([]Report, error) {
	type numbered struct {
		i   int
		r   Report
		err error
	}
	answers := make(chan numbered, len(ids))
	c.mu.Lock()
	for i, id := range ids {
		command := c.expectLocked(id, func(r Report, err error) { answers <- numbered{i, r, err} })
		c.sendLocked(&mediav1.Command{Id: command, Action: &mediav1.Command_Stats{Stats: &mediav1.Stats{Endpoint: id}}})
	}
	c.mu.Unlock()
	reports := make([]Report, len(ids))
	for range ids {
		select {
		case a := <-answers:
			if a.err != nil {
				return nil, a.err
			}
			reports[a.i] = a.r
		case <-ctx.Done():
			return nil, &fault.Error{Op: "ask for voice reports", Kind: fault.Timeout, Err: ctx.Err()}
		}
	}
	return reports, nil
}

var (
	errGone   = fault.New("media", fault.Unavailable, "", "the media process is not connected")
	errSilent = fault.New("media", fault.Unavailable, "", "the media process does not answer")
)

// expectLocked registers the wait for a Report and gives the number of the command that asks for it.
func (c *Client) expectLocked(id uint64, done func(Report, error)) uint64 {
	if !c.mu.connected {
		c.callLocked(func() { done(Report{Endpoint: id}, errGone) })
		return 0
	}
	c.mu.command++
	c.mu.answers[c.mu.command] = &answer{endpoint: id, stream: c.mu.stream, done: done}
	c.waitLocked(deadline{command: c.mu.command})
	return c.mu.command
}

// sendLocked queues a command for the stream. Without one it is dropped: the next Sync says it all.
func (c *Client) sendLocked(command *mediav1.Command) {
	if !c.mu.connected {
		return
	}
	c.mu.queue = append(c.mu.queue, command)
	poke(c.unsent)
}

// waitLocked starts a deadline.
func (c *Client) waitLocked(d deadline) {
	d.at = time.Now().Add(c.options.AnswerTime)
	c.mu.deadlines = append(c.mu.deadlines, d)
	if len(c.mu.deadlines) == 1 {
		poke(c.kick)
	}
}

// callLocked has Run call back.
func (c *Client) callLocked(f func()) {
	c.mu.callbacks = append(c.mu.callbacks, f)
	poke(c.kick)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
