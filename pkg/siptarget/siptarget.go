// Package siptarget finds where a request goes: the transports, addresses and ports to try, in order,
// for the host of a SIP URI (RFC 3263 §4: NAPTR, SRV, A and AAAA). It remembers what it learned and which
// addresses failed; it sends no SIP and does not move on to the next target: that is the caller's. Start at
// [New] and [DNS.Resolve].
//
// What follows from the records is pure (services.go, order.go, walk.go); the rest asks and remembers.
package siptarget

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Query is what a URI says about its target.
type Query struct {
	// Host is a name, taken as fully qualified, or an IP address, with or without the brackets of IPv6.
	Host string
	// Port is the URI's port; zero is none.
	Port uint16
	// Transport is the URI's transport parameter. Zero is none: the name's records choose (RFC 3263 §4.1).
	Transport siptransport.Transport
	// Secure is a sips URI: TLS whatever else is said.
	Secure bool
}

// Target is one place to try.
type Target struct {
	Transport siptransport.Transport
	Addr      netip.AddrPort
	// Host is the name that was asked for: what a TLS certificate must show (RFC 5922 §4). For an address
	// it is that.
	Host string
	// Offered says that records of the name chose the transport: others are not to be tried there unless they
	// are among the targets too.
	Offered bool
}

// Lookup answers one question at a time. It is safe for concurrent use.
type Lookup interface {
	// Ask gives the records that there are. None is no error; an error means that nobody could say.
	Ask(ctx context.Context, q Question) (Answer, error)
}

// Options shape a DNS. Zero fields take the documented defaults.
type Options struct {
	// Lookup is who is asked. Nil means the servers of /etc/resolv.conf.
	Lookup Lookup
	// Hosts is a file of names that need no asking. Empty means /etc/hosts; "-" none.
	Hosts string
	// Transports are what the caller can use, the preferred one first. Empty means UDP, TCP, TLS.
	Transports []siptransport.Transport
	// Timeout bounds one resolution. Zero means 3s.
	Timeout time.Duration
	// Patience is how long a question whose old answer is known may take before that one serves
	// (RFC 8767 §5). Zero means 400ms.
	Patience time.Duration
	// MaxEntries bounds the cache. Zero means 8192.
	MaxEntries int
	// MaxTTL bounds how long an answer is believed, whatever it says. Zero means 1h.
	MaxTTL time.Duration
	// NegativeTTL is how long it is believed that there are no records, where no SOA says it, and how long
	// nobody is asked again after a failure. Zero means 5s.
	NegativeTTL time.Duration
	// MaxNegativeTTL bounds what a SOA may say of that. Zero means 5m.
	MaxNegativeTTL time.Duration
	// Stale is how long after its end an answer still serves when nobody answers (RFC 8767): calls go
	// on when the name server does not. Zero means 24h; negative means never.
	Stale time.Duration
	// MaxWaiting bounds the resolutions of [DNS.Find] under way. Zero means 1024.
	MaxWaiting int
	// Random gives a number from 0 to n-1, for the weights of SRV. Nil means a good one.
	Random func(n int) int
}

// EnsureDefaults gives zero fields their defaults.
func (o *Options) EnsureDefaults() {
	if o.Lookup == nil {
		o.Lookup = System()
	}
	if o.Random == nil {
		o.Random = rand.IntN
	}
	if len(o.Transports) == 0 {
		o.Transports = []siptransport.Transport{siptransport.UDP, siptransport.TCP, siptransport.TLS}
	}
	orDefault(&o.Hosts, "/etc/hosts")
	orDefault(&o.Timeout, 3*time.Second)
	orDefault(&o.Patience, 400*time.Millisecond)
	orDefault(&o.MaxEntries, 8192)
	orDefault(&o.MaxTTL, time.Hour)
	orDefault(&o.NegativeTTL, 5*time.Second)
	orDefault(&o.MaxNegativeTTL, 5*time.Minute)
	orDefault(&o.Stale, 24*time.Hour)
	orDefault(&o.MaxWaiting, 1024)
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// DNS resolves names. It is safe for concurrent use.
type DNS struct {
	opts    Options
	cache   *cache
	hosts   hostsFile
	waiting chan struct{} // one place for each resolution of Find
}

// New makes a resolver. Close ends what it may have under way.
func New(opts Options) *DNS {
	opts.EnsureDefaults()
	return &DNS{opts: opts, cache: newCache(opts), hosts: hostsFile{path: opts.Hosts}, waiting: make(chan struct{}, opts.MaxWaiting)}
}

// Close ends all questions and waits for them. Names that are not known cannot be resolved after it.
func (r *DNS) Close() { r.cache.close() }

// Resolve gives at least one target, the one to try first first, or an error of kind Invalid (which
// a transport may be too), NotFound (the name has no address), Timeout or Unavailable. It may wait for the
// network: never on a call's worker.
func (r *DNS) Resolve(ctx context.Context, q Query) ([]Target, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	found, err := r.walk(q, r.hosts.lookup, func(qs []Question) []result { return r.cache.ask(ctx, qs) })
	return found, err
}

// Known is Resolve from memory: it never waits. False means that it would have to ask.
func (r *DNS) Known(q Query) ([]Target, error, bool) { //nolint:revive // the error is the answer's, and ok speaks of both
	known := true
	hosts := func(host string) []netip.Addr {
		addrs, fresh := r.hosts.remembered(host)
		known = known && fresh
		return addrs
	}
	found, err := r.walk(q, hosts, func(qs []Question) []result {
		results, all := r.cache.fresh(qs)
		known = known && all
		return results
	})
	if !known {
		return nil, nil, false
	}
	return found, err, true
}

// Find is Resolve without waiting: done is called once, from another goroutine, and must not block. When
// too many wait already it is called at once, with an error of kind Exhausted.
func (r *DNS) Find(q Query, done func([]Target, error)) {
	select {
	case r.waiting <- struct{}{}:
	default:
		done(nil, fault.New(op, fault.Exhausted, q.Host, "too many names are being looked up: the name servers are slow"))
		return
	}
	started := r.cache.start(func(ctx context.Context) {
		found, err := r.Resolve(ctx, q)
		<-r.waiting
		done(found, err)
	})
	if !started {
		<-r.waiting
		done(nil, errClosed)
	}
}

// op is what errors say was being done.
const op = "resolve"

// DefaultPort is the port of a transport whose URI names none (RFC 3261 §19.1.2).
func DefaultPort(t siptransport.Transport) uint16 {
	if t == siptransport.TLS {
		return 5061
	}
	return 5060
}
