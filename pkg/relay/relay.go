// Package relay passes RTP and RTCP between the two legs of a call. It owns the sockets of endpoints
// (one for RTP on an even port, one for RTCP on the next), decides from whom an endpoint hears and to
// whom it speaks, and counts what went through. It does not read SDP, know calls, or mix voice; what is
// to be relayed is told to it (see package media).
//
// The decisions are in [Flow], which does no I/O. [Engine] is the shell: one epoll loop per core, with plain
// recvfrom and sendto, for Linux. Start at [New].
package relay

import (
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mss-federation/mss/pkg/fault"
)

// The defaults of [Options]. The ports are those of DESIGN §8; a closed port rests for 64 times T1 of
// RFC 3261 §17.1.1.1, by when both ends of the call that had it have given up sending.
const (
	DefaultPortLow  = 16384
	DefaultPortHigh = 32766
	DefaultRest     = 32 * time.Second
	DefaultMinRest  = 500 * time.Millisecond
	DefaultTick     = 125 * time.Millisecond
	DefaultMaxKept  = 8192

	// otherFiles is how many files the kept sockets leave to everything else.
	otherFiles = 2048
)

// Options say how an Engine works. The zero value gives the defaults.
type Options struct {
	// PortLow and PortHigh bound the RTP ports that are picked at random, both inclusive; only even
	// ones are used, and each takes the next one for RTCP. Zero means 16384 and 32766.
	PortLow, PortHigh int
	// Rest is how long a closed port is not given out again. Zero means 32s.
	Rest time.Duration
	// MinRest bounds Rest when no rested port is left: then the one that rested longest is given out,
	// if it rested for this long. Zero means 500ms; equal to Rest, calls are refused instead.
	MinRest time.Duration
	// MaxKept bounds how many pairs of sockets stay open after their endpoint, for the next one that gets their port.
	// They do so only while ports are so short that one is given out before it has rested, and for Rest at most; a pair
	// costs the kernel about 5 KB. Zero means 8192, and fewer where that would not leave the process 2048 other files.
	// Negative means none.
	MaxKept int
	// Loops is the number of epoll loops. Zero means one per CPU.
	Loops int
	// Tick is the time between looks at silent endpoints; each look takes an eighth of them. Zero means 125ms.
	Tick time.Duration
	// Logger gets what an operator must know. Nil means silence.
	Logger *slog.Logger
}

// EnsureDefaults fills what is zero.
func (o *Options) EnsureDefaults() {
	if o.PortLow == 0 && o.PortHigh == 0 {
		o.PortLow, o.PortHigh = DefaultPortLow, DefaultPortHigh
	}
	if o.Rest == 0 {
		o.Rest = DefaultRest
	}
	if o.MinRest == 0 {
		o.MinRest = min(DefaultMinRest, o.Rest)
	}
	if o.MaxKept == 0 {
		o.MaxKept = maxKept()
	}
	if o.Loops == 0 {
		o.Loops = runtime.NumCPU()
	}
	if o.Tick == 0 {
		o.Tick = DefaultTick
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func maxKept() int {
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return DefaultMaxKept
	}
	return int(min(2*DefaultMaxKept, max(files.Cur, otherFiles)-otherFiles) / 2)
}

// Validate checks options that have their defaults.
func (o *Options) Validate() error {
	const op = "check relay options"
	switch {
	case o.PortLow < 1024 || o.PortHigh > 65535 || o.PortHigh <= o.PortLow:
		return fault.New(op, fault.Invalid, "ports", "give a range within 1024-65535 that holds at least one even port and the next")
	case o.Rest < 0 || o.MinRest < 0 || o.MinRest > o.Rest:
		return fault.New(op, fault.Invalid, "rest", "a port's shortest rest lies between 0 and its rest")
	case o.Loops < 0 || o.Tick < 0:
		return fault.New(op, fault.Invalid, "loops", "loops and tick are positive")
	}
	return nil
}

// Learn says who may speak to an endpoint besides the address of the SDP.
type Learn uint8

const (
	// LearnNone admits the address of the SDP alone.
	LearnNone Learn = iota
	// LearnSource also admits the first address that sends four packets of one SSRC in sequence. It is
	// for phones behind NAT and sites that cannot be reached.
	LearnSource
)

// Aim is what the far end's SDP says about an endpoint.
type Aim struct {
	// RTP is where the far end receives. Not valid, unspecified or port 0: nothing is sent.
	RTP netip.AddrPort
	// RTCP is where the far end receives RTCP (RFC 3605). Not valid: RTP's address, next port.
	RTCP netip.AddrPort
	// Learn says whether voice from elsewhere may be learned.
	Learn Learn
	// Send: voice goes to the far end. Receive: voice is expected from it. RTCP passes in any case.
	Send, Receive bool
	// Keepalive: something is sent to the far end even while there is no voice for it, so that a NAT on this side lets
	// its voice in.
	Keepalive bool
	// Generation is another number for each new SDP; a change opens learning again.
	Generation uint32
	// ClockRate is the number of timestamp ticks a second, for the jitter. Zero means 8000.
	ClockRate uint32
	// PayloadTypes rewrites payload types of packets sent to the far end. Nil leaves them.
	PayloadTypes map[uint8]uint8
}

// Spec describes an endpoint to open.
type Spec struct {
	// ID is the caller's choice, never used twice.
	ID uint64
	// Group is the call's number: endpoints of one group are served by one loop while it has free ports.
	Group uint64
	// Local is the address to bind, never a wildcard.
	Local netip.Addr
	// Port is the RTP port, or 0 for a random one.
	Port int
	// Timeout is the silence after which Silent is told. Zero means never.
	Timeout time.Duration
	// Aim may be zero: then nobody is heard until [Engine.Aim].
	Aim Aim
	// Learned is where voice was learned to come from before a restart; not valid means not known.
	Learned netip.AddrPort
}
