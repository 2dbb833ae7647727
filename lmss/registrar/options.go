package registrar

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// Options set the registrar's limits.
type Options struct {
	// DefaultExpires is granted where the phone asks for none. Zero means 3600 s.
	DefaultExpires time.Duration
	// MinExpires is the shortest that may be asked for, except 0, which removes; below it is 423. Zero means 60 s.
	MinExpires time.Duration
	// MaxExpires is the longest that is granted. Zero means 7200 s.
	MaxExpires time.Duration
	// MaxBindings bounds the bindings of all users. Zero means 100 000. Full is 503 for new phones; those
	// that are bound go on.
	MaxBindings int
	// PingInterval is how often each UDP phone behind NAT is pinged. Zero means 25 s.
	PingInterval time.Duration
	// Random returns a number in [0, n); zero means math/rand. It spreads expiries, so that phones that
	// were registered at once do not come back at once.
	Random func(n int) int
}

// EnsureDefaults fills in what is zero.
func (o *Options) EnsureDefaults() {
	orElse(&o.DefaultExpires, time.Hour)
	orElse(&o.MinExpires, time.Minute)
	orElse(&o.MaxExpires, 2*time.Hour)
	orElse(&o.MaxBindings, 100_000)
	orElse(&o.PingInterval, 25*time.Second)
	if o.Random == nil {
		o.Random = rand.IntN
	}
}

func orElse[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate says what cannot work together. Call it after EnsureDefaults.
func (o *Options) Validate() error {
	const op = "check registrar options"
	switch {
	case o.MinExpires < time.Second || o.PingInterval < time.Second || o.MaxBindings < 1:
		return fault.New(op, fault.Invalid, "", "the shortest expiry, the ping interval and the number of bindings must be at least 1 s, 1 s and 1")
	case o.MinExpires > o.DefaultExpires || o.DefaultExpires > o.MaxExpires:
		return fault.New(op, fault.Invalid, "", fmt.Sprintf("expiries must grow: shortest %v, default %v, longest %v", o.MinExpires, o.DefaultExpires, o.MaxExpires))
	}
	return nil
}

// grant is what a phone gets that asked for so many seconds: cut to the longest, and up to 20 % less so
// that refreshes spread. It is never below the shortest: some phones ask next time for what they got.
func (o *Options) grant(asked int) time.Duration {
	d := min(time.Duration(asked)*time.Second, o.MaxExpires)
	seconds := int(d / time.Second)
	d -= time.Duration(o.Random(seconds/5+1)) * time.Second
	return max(d, o.MinExpires)
}
