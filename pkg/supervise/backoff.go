package supervise

import "time"

// backoff gives the wait before each restart of one child.
type backoff struct {
	first, limit, stable time.Duration

	next time.Duration
}

// after is the wait before the next start of a child that lived for uptime.
func (b *backoff) after(uptime time.Duration) time.Duration {
	if b.next == 0 || uptime >= b.stable {
		b.next = b.first
	}
	wait := b.next
	b.next = min(2*b.next, b.limit)
	return wait
}
