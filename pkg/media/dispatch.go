package media

import (
	"context"
	"time"

	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// Run keeps the client connected and calls back, until ctx ends. Then every call that waits gets its
// answer, an error; later ones do not. The media process and its voice go on.
func (c *Client) Run(ctx context.Context) error {
	connected := make(chan error, 1)
	go func() { connected <- c.connect(ctx) }()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(c.untilDeadline())
		select {
		case err := <-connected:
			c.end()
			return err
		case in := <-c.news:
			c.handle(in)
		case <-timer.C:
			c.expire(time.Now())
		case <-c.kick:
		}
		c.callBack()
	}
}

// untilDeadline is the time to the next deadline, or an hour.
func (c *Client) untilDeadline() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.deadlines) == 0 {
		return time.Hour
	}
	return time.Until(c.mu.deadlines[0].at)
}

// callBack calls what was queued, without the lock.
func (c *Client) callBack() {
	c.mu.Lock()
	list := c.mu.callbacks
	c.mu.callbacks = nil
	c.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// expire ends the waits that are over.
func (c *Client) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for ; n < len(c.mu.deadlines) && !now.Before(c.mu.deadlines[n].at); n++ {
		c.giveUpLocked(c.mu.deadlines[n])
		c.mu.deadlines[n] = deadline{}
	}
	c.mu.deadlines = c.mu.deadlines[n:]
}

// giveUpLocked ends one wait, if it is still on. An endpoint that nobody waits for is closed, in case it
// is opened after all.
func (c *Client) giveUpLocked(d deadline) {
	if d.opening == nil {
		c.answerLocked(d.command, func(a *answer) { a.done(Report{Endpoint: a.endpoint}, errSilent) })
		return
	}
	opened := d.opening.opened
	if opened == nil {
		return
	}
	id := d.opening.spec.ID
	d.opening.opened = nil
	c.leaveLocked(id)
	delete(c.mu.endpoints, id)
	c.sendLocked(closing(id))
	c.callLocked(func() { opened(0, errSilent) })
}

// closing is the command whose answer nobody waits for.
func closing(id uint64) *mediav1.Command {
	return &mediav1.Command{Action: &mediav1.Command_Close{Close: &mediav1.Close{Endpoint: id}}}
}

// answerLocked takes a wait out of the table and queues its callback.
func (c *Client) answerLocked(command uint64, call func(*answer)) {
	a := c.mu.answers[command]
	if a == nil {
		return
	}
	delete(c.mu.answers, command)
	c.callLocked(func() { call(a) })
}

// end answers whoever waits and lets nobody wait any more.
func (c *Client) end() {
	c.mu.Lock()
	c.mu.ended, c.mu.connected = true, false
	for _, d := range c.mu.deadlines {
		c.giveUpLocked(d)
	}
	c.mu.deadlines = nil
	c.mu.Unlock()
	c.callBack()
}

// handle takes what a stream brought. Events of older streams still tell the truth about what they name.
func (c *Client) handle(in incoming) {
	if in.batch == nil {
		c.streamEnded(in.stream)
		return
	}
	for _, ev := range in.batch.GetEvents() {
		switch kind := ev.GetKind().(type) {
		case *mediav1.Event_Result:
			c.onResult(kind.Result)
		case *mediav1.Event_Report:
			c.onReport(kind.Report)
		case *mediav1.Event_Learned:
			c.onLearned(kind.Learned)
		case *mediav1.Event_Silent:
			c.options.OnSilent(kind.Silent.GetEndpoint())
		case *mediav1.Event_Synced:
			c.onSynced(kind.Synced)
		case *mediav1.Event_Lost:
			c.onLost(kind.Lost.GetEndpoint(), toError(kind.Lost.GetFailure()))
		}
	}
}

// streamEnded: what was asked on the stream will not be answered. What is being opened may yet be, by Sync.
func (c *Client) streamEnded(stream uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for command, a := range c.mu.answers {
		if a.stream <= stream {
			c.answerLocked(command, func(a *answer) { a.done(Report{Endpoint: a.endpoint}, errGone) })
		}
	}
}

// onResult answers Open, or tells that a later command failed.
func (c *Client) onResult(r *mediav1.Result) {
	id, err := r.GetEndpoint(), toError(r.GetFailure())
	c.mu.Lock()
	m := c.mu.endpoints[id]
	if m == nil || m.opened == nil {
		c.mu.Unlock()
		if err != nil && m != nil {
			c.log.Error("media command failed", "endpoint", id, "error", err)
		}
		return
	}
	if err != nil {
		c.leaveLocked(id)
		delete(c.mu.endpoints, id)
		c.sendLocked(closing(id))
	}
	opened := m.opened
	m.opened, m.spec.Port = nil, int(r.GetPort())
	c.mu.Unlock()
	opened(int(r.GetPort()), err)
}

func (c *Client) onReport(m *mediav1.Report) {
	r := toReport(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answerLocked(m.GetCommand(), func(a *answer) { a.done(r, nil) })
}

func (c *Client) onLearned(l *mediav1.Learned) {
	id, remote := l.GetEndpoint(), toAddress(l.GetRemote())
	c.mu.Lock()
	m := c.mu.endpoints[id]
	if m != nil {
		m.spec.Learned = remote
	}
	c.mu.Unlock()
	if m != nil {
		c.options.OnLearned(id, remote)
	}
}

func (c *Client) onSynced(s *mediav1.Synced) {
	for _, r := range s.GetEndpoints() {
		c.mu.Lock()
		m := c.mu.endpoints[r.GetEndpoint()]
		opening := m != nil && m.opened != nil
		c.mu.Unlock()
		switch {
		case m == nil:
		case opening:
			c.onResult(r)
		case r.GetPort() == 0:
			c.onLost(r.GetEndpoint(), toError(r.GetFailure()))
		case r.GetFailure() != nil:
			c.log.Error("media command failed", "endpoint", r.GetEndpoint(), "error", toError(r.GetFailure()))
		}
	}
	if !s.GetMore() {
		c.log.Info("media in step", "kept", s.GetKept(), "opened", s.GetOpened(), "closed", s.GetClosed())
	}
}

func (c *Client) onLost(id uint64, err error) {
	c.mu.Lock()
	known := c.mu.endpoints[id] != nil
	c.mu.Unlock()
	if known {
		c.log.Error("endpoint lost", "endpoint", id, "error", err)
		c.options.OnLost(id, err)
	}
}
