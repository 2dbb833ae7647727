package media

import (
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/relay"
	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// answerRoom bounds the answers that wait for a client that does not read.
const answerRoom = 1 << 16

// session is one control stream. One goroutine carries out commands, the stream's own sends events.
type session struct {
	server *server
	stream mediav1.Media_ControlServer
	engine *relay.Engine

	replaced chan struct{} // closed when a newer stream came
	once     sync.Once
	gone     chan struct{} // closed when the session sends no more
	received chan error    // why no more commands come
	answered chan struct{} // has a value when answers wait

	// Of the goroutine that carries out commands.
	synced bool
	staged []relay.Desired

	mu struct {
		sync.Mutex
		answers []*mediav1.Event
	}
}

func newSession(s *server, stream mediav1.Media_ControlServer) *session {
	return &session{
		server: s, stream: stream, engine: s.engine,
		replaced: make(chan struct{}), gone: make(chan struct{}),
		received: make(chan error, 1), answered: make(chan struct{}, 1),
	}
}

func (c *session) replace() { c.once.Do(func() { close(c.replaced) }) }

// run sends what there is to tell. Its return ends the stream, and with it the receiving goroutine, which
// changes nothing any more.
func (c *session) run() error {
	c.engine.Listen(true)
	go func() { c.received <- c.receive() }()
	var spare []relay.Event
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.replaced:
			return status.Error(codes.Aborted, "a newer control stream took this one's place")
		case <-c.stream.Context().Done():
			return status.FromContextError(c.stream.Context().Err()).Err()
		case err := <-c.received:
			return err
		case <-c.answered:
		case <-c.engine.Ready():
		}
		<-timer.C // never longer than pace
		timer.Reset(pace)
		events, lost := c.engine.Take(spare)
		if lost > 0 {
			c.server.log.Error("media events lost, signalling read too slowly", "events", lost)
		}
		if err := c.tell(c.takeAnswers(), events); err != nil {
			return err
		}
		spare = events
	}
}

// tell sends answers before news: nobody learns of an endpoint before its port is told.
func (c *session) tell(batch []*mediav1.Event, news []relay.Event) error {
	for i := range news {
		if ev := fromEvent(&news[i]); ev != nil {
			batch = append(batch, ev)
		}
	}
	for len(batch) > 0 {
		n := min(len(batch), eventChunk)
		if err := c.stream.Send(&mediav1.EventBatch{Events: batch[:n]}); err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

func (c *session) answer(evs ...*mediav1.Event) {
	c.mu.Lock()
	c.mu.answers = append(c.mu.answers, evs...)
	c.mu.Unlock()
	select {
	case c.answered <- struct{}{}:
	default:
	}
}

func (c *session) takeAnswers() []*mediav1.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.mu.answers
	c.mu.answers = nil
	return taken
}

func (c *session) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.answers)
}

func (c *session) receive() error {
	for {
		batch, err := c.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case c.waiting() > answerRoom:
			return status.Error(codes.ResourceExhausted, "answers are not read")
		}
		var failed error
		current := c.server.during(c, func() { failed = c.carryOut(batch.GetCommands()) })
		if failed != nil {
			return failed
		}
		if !current {
			return nil
		}
	}
}

func (c *session) carryOut(commands []*mediav1.Command) error {
	defer c.engine.Flush()
	for _, command := range commands {
		sync := command.GetSync()
		switch {
		case sync != nil:
			c.sync(command.GetId(), sync)
		case !c.synced:
			return status.Error(codes.FailedPrecondition, "the first command of a stream is a Sync")
		default:
			c.do(command)
		}
	}
	return nil
}

func (c *session) do(command *mediav1.Command) {
	id := command.GetId()
	switch action := command.GetAction().(type) {
	case *mediav1.Command_Open:
		port, err := c.engine.Open(toSpec(action.Open))
		c.answer(result(id, action.Open.GetEndpoint(), port, err))
	case *mediav1.Command_Aim:
		c.failure(id, action.Aim.GetEndpoint(), c.engine.Aim(action.Aim.GetEndpoint(), toAim(action.Aim)))
	case *mediav1.Command_Join:
		c.failure(id, action.Join.GetA(), c.engine.Join(action.Join.GetA(), action.Join.GetB()))
	case *mediav1.Command_Close:
		c.engine.Close(action.Close.GetEndpoint(), id)
	case *mediav1.Command_Stats:
		c.engine.Report(action.Stats.GetEndpoint(), id)
	default:
		c.answer(result(id, 0, 0, fault.New("media", fault.Invalid, "command", "this version does not know it")))
	}
}

func (c *session) failure(command, endpoint uint64, err error) {
	if err != nil {
		c.answer(result(command, endpoint, 0, err))
	}
}

func (c *session) sync(command uint64, m *mediav1.Sync) {
	for _, endpoint := range m.GetEndpoints() {
		c.staged = append(c.staged, toDesired(endpoint))
	}
	if m.GetMore() {
		return
	}
	r := c.engine.Sync(c.staged)
	c.staged, c.synced = nil, true
	c.server.log.Info("endpoints synced", "kept", r.Kept, "opened", r.Opened, "closed", r.Closed)
	c.answer(syncedEvents(command, &r)...)
}

// syncedEvents splits the answer to a Sync into messages of bounded size.
func syncedEvents(command uint64, r *relay.SyncResult) []*mediav1.Event {
	var events []*mediav1.Event
	rest := r.Endpoints
	for {
		n := min(len(rest), syncChunk)
		m := &mediav1.Synced{Command: command, More: n < len(rest)}
		for _, e := range rest[:n] {
			m.Endpoints = append(m.Endpoints, &mediav1.Result{Endpoint: e.Endpoint, Port: uint32(e.Port), Failure: fromError(e.Err)})
		}
		events = append(events, &mediav1.Event{Kind: &mediav1.Event_Synced{Synced: m}})
		if rest = rest[n:]; len(rest) == 0 {
			m.Kept, m.Opened, m.Closed = uint32(r.Kept), uint32(r.Opened), uint32(r.Closed)
			return events
		}
	}
}
