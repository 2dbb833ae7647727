package network

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// tryTime bounds one address of several: the next one waits for it.
const tryTime = 2 * time.Second

var errNoAddress = errors.New("it has no address")

// Rotation dials a peer that has several addresses: one after the other, from the one that worked last, and behind the
// one that failed last. The zero Rotation is ready; it is safe for concurrent use.
type Rotation struct {
	mu     sync.Mutex
	last   netip.AddrPort
	worked bool
}

// Dial connects to the first of the peer's addresses that answers. An address that cannot be reached costs no time,
// one that is silent two seconds, or what ctx leaves if it is the only one. A connection alone does not yet say that
// the address is good: see [Rotation.Worked].
func (r *Rotation) Dial(ctx context.Context, n Network, to []netip.AddrPort) (net.Conn, error) {
	var failures failed
	for i, remote := range r.turn(to) {
		if i > 0 && ctx.Err() != nil {
			break
		}
		conn, err := try(ctx, n, remote, len(to) > 1)
		r.tried(remote)
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	if len(failures) == 0 {
		return nil, errNoAddress
	}
	return nil, failures
}

func try(ctx context.Context, n Network, remote netip.AddrPort, bounded bool) (net.Conn, error) {
	if bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, tryTime)
		defer cancel()
	}
	return n.DialTCP(ctx, netip.AddrPort{}, remote)
}

// Worked says that what was dialled last proved to be the peer: the next Dial begins there.
func (r *Rotation) Worked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.worked = true
}

func (r *Rotation) tried(remote netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.worked = remote, false
}

// turn is the order in which addresses are tried now.
func (r *Rotation) turn(to []netip.AddrPort) []netip.AddrPort {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(to, r.last)
	if i < 0 {
		return to
	}
	if !r.worked {
		i++
	}
	return slices.Concat(to[i:], to[:i])
}

// failed is why each address did not answer.
type failed []error

func (f failed) Error() string {
	texts := make([]string, 0, len(f))
	for _, err := range f {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (f failed) Unwrap() []error { return f }

// Near orders a peer's addresses: those of the IP version that the first of the own addresses has come first, and those
// to which the kernel knows no way last. Otherwise the order stays.
func Near(n Network, own []netip.Addr, to []netip.AddrPort) []netip.AddrPort {
	if len(to) < 2 {
		return to
	}
	far := func(remote netip.AddrPort) int {
		if _, err := n.Route(remote.Addr()); err != nil {
			return len(own) + 1
		}
		i := slices.IndexFunc(own, func(a netip.Addr) bool { return a.Unmap().Is4() == remote.Addr().Unmap().Is4() })
		if i < 0 {
			return len(own)
		}
		return i
	}
	ordered := slices.Clone(to)
	slices.SortStableFunc(ordered, func(a, b netip.AddrPort) int { return cmp.Compare(far(a), far(b)) })
	return ordered
}
