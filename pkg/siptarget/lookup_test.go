package siptarget

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/network"
)

// serve runs a name server on loopback, UDP and TCP on one port, until the test ends.
func serve(t *testing.T, handler dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	ln, err := network.System{}.ListenTCP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	addr := network.AddrPort(ln.Addr())
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: ln, Handler: handler}, {PacketConn: conn, Handler: handler}} {
		up, ended := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(up) }
		go func() { ended <- s.ActivateAndServe() }()
		<-up
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return addr
}

// zone answers from records, with those who ask by UDP told to ask by TCP if truncate is set.
func zone(t *testing.T, truncate bool, records ...string) dns.HandlerFunc {
	t.Helper()
	var all []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rr)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		reply := new(dns.Msg).SetReply(q)
		if _, udp := w.RemoteAddr().(*net.UDPAddr); udp && truncate {
			reply.Truncated = true
		} else {
			reply.Answer = matching(all, q.Question[0])
		}
		if len(reply.Answer) == 0 && q.Question[0].Name == "nobody.example.org." {
			reply.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(reply) // the client notices
	}
}

// matching includes the alias and, unasked, an address of somebody else.
func matching(all []dns.RR, q dns.Question) (found []dns.RR) {
	for _, rr := range all {
		if kind := rr.Header().Rrtype; kind == q.Qtype || kind == dns.TypeCNAME && q.Name == rr.Header().Name {
			found = append(found, rr)
		}
	}
	return found
}

func broken(w dns.ResponseWriter, q *dns.Msg) {
	_ = w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)) // the client notices
}

func TestNameServers(t *testing.T) {
	t.Parallel()
	records := []string{
		"sip.example.org. 300 IN CNAME host.example.org.",
		"host.example.org. 60 IN A 192.0.2.1",
		"host.example.org. 90 IN A 192.0.2.3",
		"host.example.org. 120 IN AAAA 2001:db8::2",
		"forged.example.net. 1 IN A 192.0.2.66",
	}
	good, short := serve(t, zone(t, false, records...)), serve(t, zone(t, true, records...))
	whole := zone(t, false, records...)
	bad, half := serve(t, broken), serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.Question[0].Qtype == dns.TypeAAAA {
			broken(w, q)
			return
		}
		whole(w, q)
	})
	want := []netip.Addr{one, netip.MustParseAddr("192.0.2.3"), two}
	for name, servers := range map[string][]netip.AddrPort{
		"one":            {good},
		"first is bad":   {bad, good},
		"too long: TCP":  {short},
		"second is idle": {good, bad},
	} {
		addrs, ttl, err := Servers{Addrs: servers}.Addresses(t.Context(), "sip.example.org")
		if err != nil || !slices.Equal(addrs, want) || ttl != time.Minute {
			t.Errorf("%s: %v for %v, %v; want %v for 1m", name, addrs, ttl, err, want)
		}
	}
	if addrs, _, err := (Servers{Addrs: []netip.AddrPort{half}}).Addresses(t.Context(), "sip.example.org"); err != nil || len(addrs) != 2 {
		t.Errorf("a server that fails on AAAA: %v, %v", addrs, err)
	}
	for name, tc := range map[string]struct {
		servers []netip.AddrPort
		host    string
		want    fault.Kind
	}{
		"no such name": {[]netip.AddrPort{good}, "nobody.example.org", fault.NotFound},
		"no address":   {[]netip.AddrPort{good}, "empty.example.org", fault.NotFound},
		"all bad":      {[]netip.AddrPort{bad, bad}, "sip.example.org", fault.Unavailable},
		"none":         {nil, "sip.example.org", fault.Unavailable},
	} {
		if addrs, _, err := (Servers{Addrs: tc.servers}).Addresses(t.Context(), tc.host); fault.KindOf(err) != tc.want || err == nil {
			t.Errorf("%s: %v, %v; want %v", name, addrs, err, tc.want)
		}
	}
}

func TestSilentNameServer(t *testing.T) {
	t.Parallel()
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	s := Servers{Addrs: []netip.AddrPort{silent}, Patience: 20 * time.Millisecond}
	if _, _, err := s.Addresses(t.Context(), "sip.example.org"); fault.KindOf(err) != fault.Timeout {
		t.Errorf("%v, want a timeout", err)
	}
}

func TestSystemKnowsLocalhost(t *testing.T) {
	t.Parallel()
	addrs, ttl, err := System{}.Addresses(t.Context(), "localhost")
	if err != nil || len(addrs) == 0 || !addrs[0].IsLoopback() || ttl <= 0 {
		t.Errorf("%v for %v, %v", addrs, ttl, err)
	}
}
