package siptarget

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/mss-federation/mss/pkg/fault"
)

// Servers asks name servers, which must be ready to look further themselves, the next one when one does not
// answer.
type Servers struct {
	// Addrs are the servers. Empty means those of /etc/resolv.conf, whatever they are at the time.
	Addrs []netip.AddrPort
	// Patience is how long one server has for one question. Zero means 500ms.
	Patience time.Duration

	file resolvConf
	last atomic.Uint32 // the one that answered last: it is asked first
}

// System asks as the machine is configured.
func System() *Servers { return &Servers{} }

// rounds is how often each server is asked: a datagram may be lost.
const rounds = 2

// Ask implements Lookup.
func (s *Servers) Ask(ctx context.Context, question Question) (Answer, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(question.Name), kinds[question.Type])
	q.SetEdns0(dns.DefaultMsgSize, false)
	addrs := s.Addrs
	if len(addrs) == 0 {
		addrs = s.file.servers()
	}
	err := errors.New("no name server is configured")
	first := int(s.last.Load())
	for try := range rounds * len(addrs) {
		i := (first + try) % len(addrs)
		var reply *dns.Msg
		if reply, err = s.exchange(ctx, q, addrs[i]); err == nil {
			s.last.Store(uint32(i))
			return read(reply, q.Question[0]), nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return Answer{}, lookupFault(question, err)
}

// exchange asks one server, again over TCP if the answer did not fit, and without extensions if it knows none. A
// server's own failure counts as no answer; that a name does not exist is one.
func (s *Servers) exchange(ctx context.Context, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	patience := s.Patience
	if patience == 0 {
		patience = 500 * time.Millisecond
	}
	q = q.Copy()
	q.Id = dns.Id()
	reply, err := exchangeOver(ctx, "udp", patience, q, server)
	if err == nil && reply.Rcode == dns.RcodeFormatError {
		q.Extra = nil // RFC 6891 §6.2.2
		reply, err = exchangeOver(ctx, "udp", patience, q, server)
	}
	if err == nil && reply.Truncated {
		reply, err = exchangeOver(ctx, "tcp", patience, q, server)
	}
	switch {
	case err != nil:
		return nil, err
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, errors.New("name server " + server.String() + " answers " + dns.RcodeToString[reply.Rcode])
	case len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, q.Question[0].Name) || reply.Question[0].Qtype != q.Question[0].Qtype:
		return nil, errors.New("name server " + server.String() + " answers another question")
	}
	return reply, nil
}

func exchangeOver(ctx context.Context, proto string, patience time.Duration, q *dns.Msg, server netip.AddrPort) (*dns.Msg, error) {
	client := dns.Client{Net: proto, Timeout: patience}
	reply, _, err := client.ExchangeContext(ctx, q, server.String())
	return reply, err
}

// kinds are the types as the wire has them.
var kinds = map[Type]uint16{A: dns.TypeA, AAAA: dns.TypeAAAA, SRV: dns.TypeSRV, NAPTR: dns.TypeNAPTR}

// read takes the records that belong to the question, by way of the name's aliases, and how long they hold; of
// an answer without any, how long that holds (RFC 2308 §5).
func read(reply *dns.Msg, q dns.Question) Answer {
	var a Answer
	ttl, ok := collect(&a, reply.Answer, q)
	if a.empty() {
		a.TTL = negativeTTL(reply.Ns)
		return a
	}
	if ok {
		a.TTL = time.Duration(ttl) * time.Second
	}
	return a
}

// maxRead bounds how many records of one answer are looked at.
const maxRead = 256

func collect(a *Answer, records []dns.RR, q dns.Question) (ttl uint32, ok bool) {
	name := q.Name
	for _, rr := range records[:min(len(records), maxRead)] {
		h := rr.Header()
		if !strings.EqualFold(h.Name, name) {
			continue
		}
		if alias, is := rr.(*dns.CNAME); is {
			name = alias.Target
		} else if h.Rrtype != q.Qtype || !a.add(rr) {
			continue
		}
		if !ok || h.Ttl < ttl {
			ttl, ok = h.Ttl, true
		}
	}
	return ttl, ok
}

// add takes a record of one of our types.
func (a *Answer) add(rr dns.RR) bool {
	switch rr := rr.(type) {
	case *dns.A:
		return a.addAddr(rr.A)
	case *dns.AAAA:
		return a.addAddr(rr.AAAA)
	case *dns.SRV:
		a.Servers = append(a.Servers, Server{rr.Priority, rr.Weight, rr.Port, normalise(rr.Target)})
	case *dns.NAPTR:
		a.Pointers = append(a.Pointers, Pointer{rr.Order, rr.Preference, rr.Flags, rr.Service, rr.Regexp != "", normalise(rr.Replacement)})
	default:
		return false
	}
	return true
}

func (a *Answer) addAddr(ip net.IP) bool {
	addr, ok := netip.AddrFromSlice(ip)
	if ok {
		a.Addrs = append(a.Addrs, addr.Unmap())
	}
	return ok
}

func negativeTTL(authority []dns.RR) time.Duration {
	for _, rr := range authority {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
		}
	}
	return 0
}

// lookupFault sorts a failure into what a caller can act on.
func lookupFault(q Question, err error) error {
	if _, known := errors.AsType[*fault.Error](err); known {
		return err
	}
	kind := fault.Unavailable
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
		kind = fault.Timeout
	}
	return &fault.Error{Op: op, Kind: kind, Subject: q.Name + " " + q.Type.String(), Err: err}
}
