package siptx

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// TestQueueOrder checks any sequence of puts and takes against a slice.
func TestQueueOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const messageLimit, postLimit = 100, 5
		q := newQueue()
		var model []int
		var got []int
		messages, posts, next := 0, 0, 0
		byMessage := make(map[*siptransport.Inbound]int)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				in := &siptransport.Inbound{}
				if q.offer(entry{in: in}, messageLimit, ageless) != (messages < messageLimit) {
					t.Fatalf("offer at %d messages", messages)
				}
				if messages < messageLimit {
					byMessage[in] = next
					model, messages = append(model, next), messages+1
				}
			case 1:
				n := next
				err := q.post(func() { got = append(got, n) }, postLimit)
				if (err == nil) != (posts < postLimit) || err != nil && !errors.Is(err, ErrBusy) {
					t.Fatalf("post at %d posts: %v", posts, err)
				}
				if err == nil {
					model, posts = append(model, next), posts+1
				}
			case 2:
				room := rapid.IntRange(1, 40).Draw(t, "room")
				taken := q.take(make([]entry, 0, room))
				if len(taken) != min(room, len(model)) {
					t.Fatalf("took %d of %d", len(taken), len(model))
				}
				for i, e := range taken {
					if e.in == nil {
						got = got[:0]
						e.fn()
						posts--
						if got[0] != model[i] {
							t.Fatalf("post %d taken instead of %d", got[0], model[i])
						}
					} else if messages--; byMessage[e.in] != model[i] {
						t.Fatalf("message %d taken instead of %d", byMessage[e.in], model[i])
					}
				}
				model = model[len(taken):]
			}
			next++
			if q.waiting() != messages {
				t.Fatalf("%d waiting, want %d", q.waiting(), messages)
			}
		}
	})
}

func TestQueueClosed(t *testing.T) {
	t.Parallel()
	q := newQueue()
	if err := q.post(func() {}, 1); err != nil {
		t.Fatal(err)
	}
	q.close()
	if q.offer(entry{in: &siptransport.Inbound{}}, 10, ageless) {
		t.Error("a closed queue took a message")
	}
	if err := q.post(func() {}, 10); !errors.Is(err, ErrStopped) {
		t.Errorf("post after the end: %v", err)
	}
	if n := len(q.take(make([]entry, 0, 10))); n != 1 {
		t.Errorf("%d entries left, want 1", n)
	}
}
