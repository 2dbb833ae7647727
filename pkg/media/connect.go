package media

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	mediav1 "github.com/mss-federation/mss/proto/mss/media/v1"
)

// connect keeps a control stream up until ctx ends.
func (c *Client) connect(ctx context.Context) error {
	conn, err := grpc.NewClient("passthrough:///media",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", c.options.Socket)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRetry, Multiplier: 1.5, Jitter: 0.2, MaxDelay: lastRetry},
			MinConnectTimeout: time.Second,
		}),
	)
	if err != nil {
		return fmt.Errorf("media client: %w", err)
	}
	defer conn.Close()
	client := mediav1.NewMediaClient(conn)
	for wait := firstRetry; ctx.Err() == nil; wait = min(2*wait, lastRetry) {
		began := time.Now()
		err := c.converse(ctx, client)
		if ctx.Err() != nil {
			break
		}
		c.log.Warn("media disconnected", "cause", err)
		if time.Since(began) > time.Second {
			wait = firstRetry
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return nil
}

// converse carries one stream: Sync, then commands as they come, events to Run.
func (c *Client) converse(ctx context.Context, client mediav1.MediaClient) error {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := client.Control(ctx, grpc.WaitForReady(true))
	if err != nil {
		cancel()
		return err
	}
	number, whole := c.begin()
	received := make(chan error, 1)
	go func() { received <- c.receive(ctx, stream, number) }()
	err = c.send(stream, whole, received)
	c.mu.Lock()
	c.mu.connected, c.mu.queue = false, nil
	c.mu.Unlock()
	cancel()
	c.news <- incoming{stream: number}
	return err
}

// receive hands events to Run, which reads until connect has returned.
func (c *Client) receive(ctx context.Context, stream mediav1.Media_ControlClient, number uint64) error {
	for {
		batch, err := stream.Recv()
		if err != nil {
			return err
		}
		select {
		case c.news <- incoming{stream: number, batch: batch}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// send sends the whole state, then whatever waits, in one message each time.
func (c *Client) send(stream mediav1.Media_ControlClient, batches []*mediav1.CommandBatch, received <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		for _, batch := range batches {
			if err := stream.Send(batch); err != nil {
				return <-received // why the stream ended; Send knows only that it did
			}
		}
		select {
		case err := <-received:
			return err
		case <-c.unsent:
		}
		select {
		case err := <-received:
			return err
		case <-timer.C:
			timer.Reset(pace)
			batches = c.takeQueue()
		}
	}
}

func (c *Client) takeQueue() []*mediav1.CommandBatch {
	c.mu.Lock()
	queue := c.mu.queue
	c.mu.queue = nil
	c.mu.Unlock()
	var batches []*mediav1.CommandBatch
	for len(queue) > 0 {
		n := min(len(queue), commandChunk)
		batches = append(batches, &mediav1.CommandBatch{Commands: queue[:n]})
		queue = queue[n:]
	}
	return batches
}

// begin opens the queue for a new stream and gives the Sync that goes before it. What changes from here on
// is queued behind it. The legs of a call stand together, so that its voice comes back when both are open.
func (c *Client) begin() (number uint64, whole []*mediav1.CommandBatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.stream++
	c.mu.connected, c.mu.queue = true, nil
	mirror := slices.SortedFunc(maps.Values(c.mu.endpoints), func(a, b *mirrored) int {
		return cmp.Or(cmp.Compare(a.spec.Group, b.spec.Group), cmp.Compare(a.spec.ID, b.spec.ID))
	})
	endpoints := make([]*mediav1.Endpoint, 0, len(mirror))
	for _, m := range mirror {
		endpoints = append(endpoints, &mediav1.Endpoint{Open: fromSpec(&m.spec), Peer: m.peer, Learned: fromAddress(m.spec.Learned)})
	}
	for {
		n := min(len(endpoints), syncChunk)
		sync := &mediav1.Sync{Endpoints: endpoints[:n], More: n < len(endpoints)}
		whole = append(whole, &mediav1.CommandBatch{Commands: []*mediav1.Command{{Action: &mediav1.Command_Sync{Sync: sync}}}})
		if endpoints = endpoints[n:]; len(endpoints) == 0 {
			return c.mu.stream, whole
		}
	}
}
