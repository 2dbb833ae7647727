package media_test

import (
	"context"
	"testing"

	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/relay"
)

// BenchmarkCalls is what a call costs in control alone, both processes together: two endpoints opened, aimed
// twice, joined and closed, with a thousand calls in hand at a time, as at 2000 calls a second.
func BenchmarkCalls(b *testing.B) {
	const calls = 1000
	socket := socketPath(b)
	serve(b, media.Options{Socket: socket, PortLow: 10000, PortHigh: 60000, Relay: relay.Options{Rest: 1, MinRest: 1}})
	c := media.Dial(media.ClientOptions{Socket: socket})
	run(b, c)
	for {
		if _, err := c.Reports(context.Background(), 1); err == nil {
			break
		}
	}
	tokens := make(chan struct{}, calls)
	b.ReportAllocs()
	for b.Loop() {
		tokens <- struct{}{}
		x, y := c.NewID(), c.NewID()
		second := func(_ int, err error) {
			if err != nil {
				b.Error(err)
			}
			c.Aim(x, media.Aim{RTP: far, Send: true, Receive: true, Generation: 1})
			c.Aim(y, media.Aim{RTP: far, Send: true, Receive: true, Generation: 1})
			c.Join(x, y)
			c.Close(x, nil)
			c.Close(y, func(media.Report) { <-tokens })
		}
		c.Open(media.EndpointSpec{ID: x, Group: x, Local: local}, func(_ int, err error) {
			if err != nil {
				b.Error(err)
			}
		})
		c.Open(media.EndpointSpec{ID: y, Group: x, Local: local}, second)
	}
	for range calls {
		tokens <- struct{}{}
	}
}
