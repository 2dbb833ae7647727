package exchange

import (
	"errors"
	"sync"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// inboxSlack is what frames that cost no credit may take on top of it, in bytes.
const inboxSlack = 256 << 10

var errFlood = errors.New("the neighbour sent more than it was granted")

// inbox takes frames from the stream. The goroutine that fills it waits for nobody but the stream, so that
// keepalives are seen however busy the table is.
type inbox struct {
	limit uint64
	ready chan struct{} // has a value when there is something to take

	mu struct {
		sync.Mutex
		frames []*exchangev1.Frame
		bytes  uint64
		err    error
	}
}

func (b *inbox) fill(stream Stream) {
	for {
		frame, err := stream.Recv()
		if !b.put(frame, err) {
			return
		}
	}
}

func (b *inbox) put(f *exchangev1.Frame, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.mu.bytes += uint64(proto.Size(f)) + frameCost
		if b.mu.bytes > b.limit {
			err = errFlood
		} else {
			b.mu.frames = append(b.mu.frames, f)
		}
	}
	b.mu.err = err
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return err == nil
}

// frameCost is what a frame is counted for beyond its bytes, so that many empty ones are not free.
const frameCost = 64

// take empties the inbox. The error, which comes with the last frames, stays.
func (b *inbox) take() ([]*exchangev1.Frame, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	frames := b.mu.frames
	b.mu.frames, b.mu.bytes = nil, 0
	return frames, b.mu.err
}
