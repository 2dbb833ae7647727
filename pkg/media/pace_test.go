package media

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/relay"
	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// sending is a stream that notes when what was sent.
type sending struct {
	grpc.ServerStream

	ctx   context.Context
	at    []time.Time
	items int
}

func (s *sending) note(items int) {
	s.at = append(s.at, time.Now())
	s.items += items
}

func (s *sending) Context() context.Context { return s.ctx }

// check wants the first message at once, and one each 5 ms while there is always something to send.
func (s *sending) check(t *testing.T, began time.Time, load time.Duration, items int) {
	t.Helper()
	if s.items != items {
		t.Errorf("%d sent of %d", s.items, items)
	}
	if len(s.at) == 0 || !s.at[0].Equal(began) {
		t.Fatalf("the first message did not leave at once: %v after %v", s.at, began)
	}
	for i := 1; i < len(s.at); i++ {
		if gap := s.at[i].Sub(s.at[i-1]); gap < 5*time.Millisecond {
			t.Errorf("message %d left %v after the one before", i, gap)
		}
	}
	if most := int(load/(5*time.Millisecond)) + 2; len(s.at) < most-2 || len(s.at) > most {
		t.Errorf("%d messages in %v", len(s.at), load)
	}
}

type commandsOut struct {
	mediav1.Media_ControlClient
	*sending
}

func (s commandsOut) Context() context.Context { return s.ctx }

func (s commandsOut) Send(b *mediav1.CommandBatch) error {
	s.note(len(b.GetCommands()))
	return nil
}

// Under load the media process is woken once in 5 ms, however many commands there are.
func TestCommandsKeepThePace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := Dial(ClientOptions{Socket: "/nowhere"})
		c.begin()
		out, received, done := commandsOut{sending: &sending{}}, make(chan error, 1), make(chan error, 1)
		go func() { done <- c.send(out, nil, received) }()
		synctest.Wait()
		began := time.Now()
		for range 500 {
			c.Close(1, nil)
			c.Close(2, nil)
			synctest.Wait()
			<-time.After(200 * time.Microsecond)
		}
		load := time.Since(began)
		<-time.After(time.Second)
		received <- nil
		if err := <-done; err != nil {
			t.Error(err)
		}
		out.check(t, began, load, 1000)
	})
}

type eventsOut struct{ *sending }

func (s eventsOut) Send(b *mediav1.EventBatch) error {
	s.note(len(b.GetEvents()))
	return nil
}

func (s eventsOut) Recv() (*mediav1.CommandBatch, error) {
	<-s.ctx.Done()
	return nil, s.ctx.Err()
}

// The same holds for what the media process tells.
func TestEventsKeepThePace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		engine, err := relay.New(relay.Options{Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		out, done := eventsOut{&sending{ctx: ctx}}, make(chan error, 1)
		c := newSession(&server{engine: engine}, out)
		go func() { done <- c.run() }()
		synctest.Wait()
		began := time.Now()
		for range 500 {
			c.answer(result(1, 1, 30000, nil))
			engine.Close(1, 7) // its report is news of the engine
			synctest.Wait()
			<-time.After(200 * time.Microsecond)
		}
		load := time.Since(began)
		<-time.After(time.Second)
		cancel()
		if err := <-done; err == nil {
			t.Error("the session ended without a cause")
		}
		out.check(t, began, load, 1000)
	})
}
