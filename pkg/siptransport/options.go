package siptransport

import (
	"log/slog"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/network"
)

// maxMessage is the largest message on any transport, headers and body, in bytes: as much as one UDP
// datagram can hold.
const maxMessage = 64 << 10

// Options shape an Endpoint. Zero fields take the documented defaults; Receiver has none.
type Options struct {
	// Network dials. Nil means the kernel's.
	Network network.Network
	// Logger is the owner's. Nil means silence.
	Logger   *slog.Logger
	Receiver Receiver
	// Watcher is told of stream connections. Nil means nobody.
	Watcher Watcher

	// FirstByte bounds how long an accepted connection may say nothing, TLS handshake included. Zero means 5s.
	FirstByte time.Duration
	// PerMessage bounds a message on a stream from its first byte to its last. Zero means 4s.
	PerMessage time.Duration
	// IdleUnregistered ends an accepted connection that nobody keeps (see [Endpoint.Keep]) when no
	// message passed in either direction for so long. Zero means 30s.
	IdleUnregistered time.Duration
	// IdleDialled is the same for connections that this process opened: longer than Timer C, so that a
	// ringing call keeps its connection. Zero means 5m.
	IdleDialled time.Duration
	// ConnectTimeout bounds a dial. Zero means 5s.
	ConnectTimeout time.Duration
	// WriteTimeout ends a connection whose peer takes nothing of what waits for it for so long. Zero means 10s.
	WriteTimeout time.Duration
	// Linger bounds how long a closing connection may still write what was queued. Zero means 500ms.
	Linger time.Duration

	// MaxHeaders is the largest head of a message on a stream, blank line included, in bytes. Zero
	// means, and is at most, 64 KB.
	MaxHeaders int
	// MaxBody is the largest Content-Length on a stream, in bytes; head and body together stay within
	// 64 KB. Zero means 64 KB.
	MaxBody int
	// WriteQueue is how many bytes may wait on one connection. Zero means 256 KB.
	WriteQueue int

	// MaxConnsPerIP bounds accepted connections from one IPv4 address or IPv6 /64. Zero means 32.
	MaxConnsPerIP int
	// MaxConnsPerPrivateIP is the same for private, link-local and loopback sources, where a whole
	// office may stand behind one address. Zero means 512.
	MaxConnsPerPrivateIP int
	// MaxUnkept bounds all accepted connections that nobody keeps. Zero means 1024.
	MaxUnkept int
	// MaxDialled bounds the connections that this process opened. Zero means 4096.
	MaxDialled int
	// MaxHandshakes bounds how many TLS handshakes of accepted connections are computed at a time; others wait, within
	// FirstByte. Those that wait for the network do not count. Zero means 2.
	MaxHandshakes int
}

// EnsureDefaults gives zero fields their defaults.
func (o *Options) EnsureDefaults() {
	if o.Network == nil {
		o.Network = network.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Watcher == nil {
		o.Watcher = unwatched{}
	}
	orDefault(&o.FirstByte, 5*time.Second)
	orDefault(&o.PerMessage, 4*time.Second)
	orDefault(&o.IdleUnregistered, 30*time.Second)
	orDefault(&o.IdleDialled, 5*time.Minute)
	orDefault(&o.ConnectTimeout, 5*time.Second)
	orDefault(&o.WriteTimeout, 10*time.Second)
	orDefault(&o.Linger, 500*time.Millisecond)
	orDefault(&o.MaxHeaders, maxMessage)
	orDefault(&o.MaxBody, maxMessage)
	orDefault(&o.WriteQueue, 256<<10)
	orDefault(&o.MaxConnsPerIP, 32)
	orDefault(&o.MaxConnsPerPrivateIP, 512)
	orDefault(&o.MaxUnkept, 1024)
	orDefault(&o.MaxDialled, 4096)
	orDefault(&o.MaxHandshakes, 2)
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate says what is wrong with options that have their defaults.
func (o *Options) Validate() error {
	const op = "check transport options"
	if o.Receiver == nil {
		return fault.New(op, fault.Invalid, "Receiver", "give the endpoint somebody to hand messages to")
	}
	if o.MaxHeaders > maxMessage || o.MaxBody > maxMessage {
		return fault.New(op, fault.Invalid, "MaxHeaders, MaxBody", "at most 65536 bytes")
	}
	if o.MaxHeaders < 0 || o.MaxBody < 0 || o.WriteQueue < 0 || o.MaxConnsPerIP < 0 ||
		o.MaxConnsPerPrivateIP < 0 || o.MaxUnkept < 0 || o.MaxDialled < 0 || o.MaxHandshakes < 0 {
		return fault.New(op, fault.Invalid, "limits", "none may be negative")
	}
	for _, d := range []time.Duration{
		o.FirstByte, o.PerMessage, o.IdleUnregistered, o.IdleDialled,
		o.ConnectTimeout, o.WriteTimeout, o.Linger,
	} {
		if d < 0 {
			return fault.New(op, fault.Invalid, "times", "none may be negative")
		}
	}
	return nil
}
