package nodelink

import "time"

// Clocks bound silence on a link and say when a lost one is dialled again.
type Clocks struct {
	// Ping is the time between keep-alives on a dialled connection. Zero means 1s.
	Ping time.Duration
	// Suspect is how long a link may be silent before it is used last. Zero means 2s.
	Suspect time.Duration
	// Close is how long before it is closed, and the kernel's limit for bytes that nobody acknowledges. Zero
	// means 6s.
	Close time.Duration
	// Redial is the waits before the first, second, … attempt after a link was lost; later ones wait 1 s to
	// 2 s. Nil means 0, 0.2, 0.3 and 0.5 s, so that attempts come 0, 0.2, 0.5 and 1 s after the loss where
	// they fail at once.
	Redial []time.Duration
	// Settled is how long a link must have stood for the waits to start from the beginning. Zero means 5s.
	Settled time.Duration
	// Remember is how long a closed connection's node is known, for responses that come late. Zero means 64s.
	Remember time.Duration
}

// EnsureDefaults fills in zero fields.
func (c *Clocks) EnsureDefaults() {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Ping, time.Second},
		{&c.Suspect, 2 * time.Second},
		{&c.Close, 6 * time.Second},
		{&c.Settled, 5 * time.Second},
		{&c.Remember, 64 * time.Second},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if c.Redial == nil {
		c.Redial = []time.Duration{0, 200 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond}
	}
}

// wait is before attempt n, from 0; dice is in [0,1).
func (c *Clocks) wait(n int, dice float64) time.Duration {
	if n < len(c.Redial) {
		return c.Redial[n]
	}
	return time.Second + time.Duration(dice*float64(time.Second))
}
