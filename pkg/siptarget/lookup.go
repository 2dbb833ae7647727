package siptarget

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/mss-federation/mss/pkg/fault"
)

// systemTTL is how long the system's answers are believed: it does not tell their TTL.
const systemTTL = 30 * time.Second

// System asks as the machine is configured: /etc/hosts, then the servers of /etc/resolv.conf.
type System struct {
	// Resolver is net.DefaultResolver when nil.
	Resolver *net.Resolver
}

// Addresses implements Lookup.
func (s System) Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	r := s.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	addrs, err := r.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, 0, lookupFault(host, err)
	}
	return addrs, systemTTL, nil
}

// Servers asks these name servers, the next one when one does not answer.
type Servers struct {
	Addrs []netip.AddrPort
	// Patience is how long one server has. Zero means 1s.
	Patience time.Duration
}

// Addresses implements Lookup. IPv4 comes first: where a name has both, every phone and trunk can use it.
func (s Servers) Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	var v4, v6 answer
	var err4, err6 error
	var both sync.WaitGroup
	both.Go(func() { v4, err4 = s.ask(ctx, host, dns.TypeA) })
	both.Go(func() { v6, err6 = s.ask(ctx, host, dns.TypeAAAA) })
	both.Wait()
	addrs := slices.Concat(v4.addrs, v6.addrs)
	switch err := cmp.Or(err4, err6); {
	case len(addrs) > 0: // some servers fail on AAAA for names that have none
		return addrs, time.Duration(min(v4.ttl, v6.ttl)) * time.Second, nil
	case err != nil:
		return nil, 0, lookupFault(host, err)
	}
	return nil, 0, fault.New("resolve", fault.NotFound, host, "the name has no address")
}

// longest is a TTL that says nothing, in seconds.
const longest = math.MaxUint32

// answer is what one question brought. ttl is in seconds, longest if nothing says less.
type answer struct {
	addrs []netip.Addr
	ttl   uint32
}

func (s Servers) ask(ctx context.Context, host string, kind uint16) (answer, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(host), kind)
	q.SetEdns0(dns.DefaultMsgSize, false)
	err := errors.New("no name server is configured")
	for _, server := range s.Addrs {
		var reply *dns.Msg
		if reply, err = s.exchange(ctx, q, server); err == nil {
			return read(reply, q.Question[0].Name), nil
		}
	}
	return answer{ttl: longest}, err
}

// exchange asks one server, again over TCP if the answer did not fit. A server's own failure counts as
// no answer; that a name does not exist is one.
func (s Servers) exchange(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	patience := s.Patience
	if patience == 0 {
		patience = time.Second
	}
	var reply *dns.Msg
	for _, proto := range []string{"udp", "tcp"} {
		client := dns.Client{Net: proto, Timeout: patience}
		var err error
		if reply, _, err = client.ExchangeContext(ctx, q, server.String()); err != nil {
			return nil, err
		}
		if !reply.Truncated {
			break
		}
	}
	switch {
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, errors.New("name server " + server.String() + " answers " + dns.RcodeToString[reply.Rcode])
	case len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, q.Question[0].Name) || reply.Question[0].Qtype != q.Question[0].Qtype:
		return nil, errors.New("name server " + server.String() + " answers another question")
	}
	return reply, nil
}

// read takes the addresses that belong to name, by way of its aliases.
func read(reply *dns.Msg, name string) answer {
	a := answer{ttl: longest}
	for _, rr := range reply.Answer {
		if !strings.EqualFold(rr.Header().Name, name) {
			continue
		}
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.CNAME:
			name = rr.Target
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		default:
			continue
		}
		a.ttl = min(a.ttl, rr.Header().Ttl)
		if addr, ok := netip.AddrFromSlice(ip); ok {
			a.addrs = append(a.addrs, addr.Unmap())
		}
	}
	return a
}

// lookupFault sorts a lookup's failure into what a caller can act on.
func lookupFault(host string, err error) error {
	if _, known := errors.AsType[*fault.Error](err); known {
		return err
	}
	kind := fault.Unavailable
	var de *net.DNSError
	var ne net.Error
	switch {
	case errors.As(err, &de) && de.IsNotFound:
		kind = fault.NotFound
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		kind = fault.Timeout
	}
	return &fault.Error{Op: "resolve", Kind: kind, Subject: host, Err: err}
}
