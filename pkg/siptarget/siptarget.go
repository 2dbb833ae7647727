// Package siptarget finds where a request goes: the transports, addresses and ports to try, in order,
// for the host of a SIP URI (RFC 3263 §4). It looks up addresses (A, AAAA); it sends nothing, and does
// not choose among the targets. Start at [New] and [DNS.Resolve].
package siptarget

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Query is what a URI says about its target.
type Query struct {
	// Host is a name or an IP address, with or without the brackets of IPv6.
	Host string
	// Port is the URI's port; zero is none.
	Port uint16
	// Transport is the URI's transport, TLS for sips. Zero is none: UDP (RFC 3263 §4.1).
	Transport siptransport.Transport
}

// Target is one place to try.
type Target struct {
	Transport siptransport.Transport
	Addr      netip.AddrPort
	// Host is the name that was asked for: what a TLS certificate must show. For an address it is that.
	Host string
}

// Resolver finds targets. It may wait for the network: never on a call's worker.
type Resolver interface {
	// Resolve gives at least one target, the one to try first first, or an error of kind Invalid,
	// NotFound (the name has no address), Timeout or Unavailable.
	Resolve(ctx context.Context, q Query) ([]Target, error)
}

// Lookup asks for a name's addresses.
type Lookup interface {
	// Addresses gives the addresses in the order in which to try them and for how long they are valid.
	// A name without addresses is an error of kind NotFound.
	Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error)
}

// DNS resolves names by a Lookup and remembers what it learned.
type DNS struct {
	cache *cache
}

var _ Resolver = (*DNS)(nil)

// Options shape a DNS. Zero fields take the documented defaults.
type Options struct {
	// Lookup is who is asked. Nil means System.
	Lookup Lookup
	// Timeout bounds one lookup. Zero means 3s.
	Timeout time.Duration
	// MaxNames bounds the cache. Zero means 4096.
	MaxNames int
	// MaxTTL bounds how long an answer is believed, whatever it says. Zero means 1h.
	MaxTTL time.Duration
	// NegativeTTL is how long a name that has no address is not asked for again. Zero means 5s.
	NegativeTTL time.Duration
	// Stale is how long after its end an answer still serves when nobody answers (RFC 8767): calls go
	// on when the name server does not. Zero means 24h; negative means never.
	Stale time.Duration
}

// EnsureDefaults gives zero fields their defaults.
func (o *Options) EnsureDefaults() {
	if o.Lookup == nil {
		o.Lookup = System{}
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.MaxNames == 0 {
		o.MaxNames = 4096
	}
	if o.MaxTTL == 0 {
		o.MaxTTL = time.Hour
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = 5 * time.Second
	}
	if o.Stale == 0 {
		o.Stale = 24 * time.Hour
	}
}

// New makes a resolver.
func New(opts Options) *DNS {
	opts.EnsureDefaults()
	return &DNS{cache: newCache(opts)}
}

// Resolve answers at once for addresses and for names that it knows.
func (r *DNS) Resolve(ctx context.Context, q Query) ([]Target, error) {
	if q.Transport == 0 {
		q.Transport = siptransport.UDP
	}
	if q.Port == 0 {
		q.Port = DefaultPort(q.Transport)
	}
	q.Host = normalise(q.Host)
	if q.Host == "" || len(q.Host) > maxName {
		return nil, fault.New("resolve", fault.Invalid, q.Host, "give a host name or an address")
	}
	if addr, err := netip.ParseAddr(q.Host); err == nil {
		return targets(q, []netip.Addr{addr}), nil
	}
	addrs, err := r.cache.addresses(ctx, q.Host)
	if err != nil {
		return nil, err
	}
	return targets(q, addrs), nil
}

// maxName is the longest host name, in bytes (RFC 1035 §2.3.4).
const maxName = 255

// normalise gives equal names equal spelling.
func normalise(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func targets(q Query, addrs []netip.Addr) []Target {
	all := make([]Target, 0, len(addrs))
	for _, addr := range addrs {
		all = append(all, Target{Transport: q.Transport, Addr: netip.AddrPortFrom(addr.Unmap(), q.Port), Host: q.Host})
	}
	return all
}

// DefaultPort is the port of a transport whose URI names none (RFC 3261 §19.1.2).
func DefaultPort(t siptransport.Transport) uint16 {
	if t == siptransport.TLS {
		return 5061
	}
	return 5060
}
