package voice

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/contender"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

const (
	// phases are the beats within the 20 ms between two packets of a flow: each flow has its own, so that packets are
	// spread as those of many phones are.
	phases = 20
	beat   = time.Second / packetsPerSecond / phases
	// socketsPerEnd are shared by the ends of all calls: a socket for each would cost this process more than it costs
	// the relay to serve them.
	socketsPerEnd = 4
)

// talkers are both ends of all calls. They belong to one goroutine.
type talkers struct {
	addr    netip.Addr
	sockets []*socket // first those of one end of the calls, then those of the other
	flows   []flow    // of call n from its one end at 2n, and from its other end at 2n+1
	beats   int       // since the first packet
	began   time.Time // the moment of beat 0

	sent, received, overtaken, strange int
}

// newTalkers makes the ends of so many calls.
func newTalkers(calls int) (*talkers, error) {
	t := &talkers{addr: node.NewAddress()}
	for range 2 * socketsPerEnd {
		s, err := openSocket(t.addr)
		if err != nil {
			t.close()
			return nil, err
		}
		t.sockets = append(t.sockets, s)
	}
	for n := range 2 * calls {
		t.flows = append(t.flows, newFlow(n))
	}
	return t, nil
}

func (t *talkers) close() {
	for _, s := range t.sockets {
		s.close()
	}
}

// speaker is the socket from which a flow is sent, and where its call's other flow arrives.
func (t *talkers) speaker(flow int) *socket {
	call, end := flow/2, flow%2
	return t.sockets[end*socketsPerEnd+call%socketsPerEnd]
}

// listener is the socket at which a flow arrives.
func (t *talkers) listener(flow int) *socket { return t.speaker(flow ^ 1) }

// ends are where both ends of each call listen.
func (t *talkers) ends() []contender.Ends {
	ends := make([]contender.Ends, len(t.flows)/2)
	for i := range ends {
		ends[i] = contender.Ends{t.speaker(2 * i).local, t.speaker(2*i + 1).local}
	}
	return ends
}

// aim tells the ends where the relay listens for them.
func (t *talkers) aim(led []contender.Ends) {
	for n := range t.flows {
		f := &t.flows[n]
		f.to, f.from = led[n/2][n%2], led[n/2][1-n%2]
	}
}

// count begins to count: what was sent up to now is forgotten, wherever it is.
func (t *talkers) count() {
	t.sent, t.received, t.overtaken, t.strange = 0, 0, 0, 0
	for i := range t.flows {
		t.flows[i].first = t.flows[i].next
	}
}

// patience is how late packets may be sent. A process that gets no processor for longer goes on as if it had been
// stopped meanwhile: its run takes longer then.
const patience = time.Second / 4

// talk lets all ends send, and hears what arrives, for so long. It resumes where the last talk ended.
func (t *talkers) talk(ctx context.Context, d time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if t.beats == 0 {
		t.began = time.Now()
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for last := t.beats + int(d/beat); t.beats < last; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		due := int(time.Since(t.began) / beat)
		if late := time.Duration(due-t.beats) * beat; late > patience {
			t.began = t.began.Add(late)
			continue
		}
		for ; t.beats < min(due, last); t.beats++ {
			if err := t.speak(t.beats % phases); err != nil {
				return err
			}
		}
		if err := t.hear(); err != nil {
			return err
		}
	}
	return nil
}

// drains bounds how often drain waits for silence: somebody else may send for ever.
const drains = 20

// drain hears what still arrives, until nothing came for so long.
func (t *talkers) drain(ctx context.Context, quiet time.Duration) error {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	last := -1
	for range drains {
		if t.received+t.strange == last {
			break
		}
		last = t.received + t.strange
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := t.hear(); err != nil {
			return err
		}
	}
	return nil
}

// speak sends a packet of each flow of one phase.
func (t *talkers) speak(phase int) error {
	for n := phase; n < len(t.flows); n += phases {
		f := &t.flows[n]
		f.advance()
		if err := t.speaker(n).queue(f.to, f.packet[:]); err != nil {
			return fmt.Errorf("send voice: %w", err)
		}
		t.sent++
	}
	for _, s := range t.sockets {
		if err := s.flush(); err != nil {
			return fmt.Errorf("send voice: %w", err)
		}
	}
	return nil
}

// hear takes everything that has arrived.
func (t *talkers) hear() error {
	for _, s := range t.sockets {
		for {
			n, err := s.receive()
			if err != nil {
				return fmt.Errorf("receive voice: %w", err)
			}
			for i := range n {
				t.note(s, i)
			}
			if n < batch {
				break
			}
		}
	}
	return nil
}

// note counts one packet that a socket has.
func (t *talkers) note(s *socket, i int) {
	packet, from := s.arrived(i)
	n, ok := number(packet)
	if !ok || n >= len(t.flows) || t.listener(n) != s {
		t.strange++
		return
	}
	switch t.flows[n].judge(packet, from) {
	case overtaken:
		t.overtaken++
		t.received++
	case counted:
		t.received++
	case warming:
	case strange:
		t.strange++
	}
}
