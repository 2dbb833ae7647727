package siptarget

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
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

// answering serves records; those who ask by UDP are told to ask by TCP if truncate is set.
func answering(t *testing.T, truncate bool, records ...string) dns.HandlerFunc {
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
			reply.Answer, reply.Ns = matching(all, q.Question[0])
		}
		if len(reply.Answer) == 0 && q.Question[0].Name == "nobody.example.org." {
			reply.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(reply) // the client notices
	}
}

// matching follows aliases and adds, unasked, records of somebody else; without any answer it gives the SOA.
func matching(all []dns.RR, q dns.Question) (found, authority []dns.RR) {
	name, answers := q.Name, 0
	for _, rr := range all {
		h := rr.Header()
		alias, is := rr.(*dns.CNAME)
		switch {
		case h.Rrtype == dns.TypeSOA:
			authority = append(authority, rr)
		case is && h.Name == name:
			found, name = append(found, rr), alias.Target
		case h.Rrtype == q.Qtype && h.Name == name:
			found = append(found, rr)
			answers++
		case h.Rrtype == q.Qtype && h.Name == "forged.example.net.":
			found = append(found, rr)
		}
	}
	if answers > 0 {
		return found, nil
	}
	return found, authority
}

func refusing(rcode int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) { _ = w.WriteMsg(new(dns.Msg).SetRcode(q, rcode)) } // the client notices
}

var records = []string{
	"sip.example.org. 300 IN CNAME alias.example.org.",
	"alias.example.org. 300 IN CNAME host.example.org.",
	"host.example.org. 60 IN A 192.0.2.1",
	"host.example.org. 90 IN A 192.0.2.3",
	"host.example.org. 120 IN AAAA 2001:db8::2",
	"forged.example.net. 1 IN A 192.0.2.66",
	"_sip._udp.example.org. 70 IN SRV 10 20 5070 Host.example.org.",
	"_sip._tcp.example.org. 70 IN SRV 0 0 0 .",
	`example.org. 80 IN NAPTR 10 20 "S" "SIP+D2U" "" _sip._udp.example.org.`,
	`example.org. 80 IN NAPTR 10 30 "u" "E2U+sip" "!^.*$!sip:a@example.org!" .`,
	"example.org. 3600 IN SOA ns.example.org. admin.example.org. 1 2 3 4 45",
}

func TestNameServers(t *testing.T) {
	t.Parallel()
	good, short := serve(t, answering(t, false, records...)), serve(t, answering(t, true, records...))
	bad, whole := serve(t, refusing(dns.RcodeServerFailure)), answering(t, false, records...)
	old := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if q.IsEdns0() != nil {
			refusing(dns.RcodeFormatError)(w, q)
			return
		}
		whole(w, q)
	})
	var asked atomic.Int32
	lossy := serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if asked.Add(1) > 1 {
			whole(w, q)
		}
	})
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.3")}
	for name, servers := range map[string][]netip.AddrPort{
		"one": {good}, "first is bad": {bad, good}, "too long: TCP": {short}, "second is idle": {good, bad}, "knows no EDNS": {old}, "first datagram is lost": {lossy},
	} {
		s := &Servers{Addrs: servers}
		if a, err := s.Ask(t.Context(), Question{"sip.example.org", A}); err != nil || !slices.Equal(a.Addrs, want) || a.TTL != time.Minute {
			t.Errorf("%s: %v, %v; want %v for 1m", name, a, err, want)
		}
	}
	s := &Servers{Addrs: []netip.AddrPort{good}}
	for _, tc := range []struct {
		q    Question
		want Answer
	}{
		{Question{"sip.example.org", AAAA}, Answer{Addrs: []netip.Addr{netip.MustParseAddr("2001:db8::2")}, TTL: 2 * time.Minute}},
		{Question{"_sip._udp.example.org", SRV}, Answer{Servers: []Server{{10, 20, 5070, "host.example.org"}}, TTL: 70 * time.Second}},
		{Question{"_sip._tcp.example.org", SRV}, Answer{Servers: []Server{{0, 0, 0, ""}}, TTL: 70 * time.Second}},
		{Question{"example.org", NAPTR}, Answer{Pointers: []Pointer{
			{10, 20, "S", "SIP+D2U", false, "_sip._udp.example.org"}, {10, 30, "u", "E2U+sip", true, ""},
		}, TTL: 80 * time.Second}},
		{Question{"nobody.example.org", A}, Answer{TTL: 45 * time.Second}},
		{Question{"host.example.org", SRV}, Answer{TTL: 45 * time.Second}},
	} {
		got, err := s.Ask(t.Context(), tc.q)
		if err != nil || !slices.Equal(got.Addrs, tc.want.Addrs) || !slices.Equal(got.Servers, tc.want.Servers) ||
			!slices.Equal(got.Pointers, tc.want.Pointers) || got.TTL != tc.want.TTL {
			t.Errorf("%v: %+v, %v; want %+v", tc.q, got, err, tc.want)
		}
	}
	broken := &Servers{Addrs: []netip.AddrPort{bad, bad}}
	if a, err := broken.Ask(t.Context(), Question{"sip.example.org", A}); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("all bad: %v, %v", a, err)
	}
}

// TestDeadServerIsAskedLast has two servers, the first of which is dead: it costs the first question its patience,
// not every one.
func TestDeadServerIsAskedLast(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) { asked.Add(1) })
	good := serve(t, answering(t, false, records...))
	s := &Servers{Addrs: []netip.AddrPort{silent, good}, Patience: 100 * time.Millisecond}
	for range 5 {
		if a, err := s.Ask(t.Context(), Question{"sip.example.org", A}); err != nil || len(a.Addrs) != 2 {
			t.Fatal(a, err)
		}
	}
	if got := asked.Load(); got != 1 {
		t.Errorf("the dead server was asked %d times, want once", got)
	}
}

func TestSilentNameServer(t *testing.T) {
	t.Parallel()
	silent := serve(t, func(dns.ResponseWriter, *dns.Msg) {})
	s := &Servers{Addrs: []netip.AddrPort{silent}, Patience: 20 * time.Millisecond}
	if _, err := s.Ask(t.Context(), Question{"sip.example.org", A}); fault.KindOf(err) != fault.Timeout {
		t.Errorf("%v, want a timeout", err)
	}
}

// TestResolvesByServer goes the whole way from a URI to targets over the wire.
func TestResolvesByServer(t *testing.T) {
	t.Parallel()
	server := serve(t, answering(t, false, records...))
	r := New(Options{Lookup: &Servers{Addrs: []netip.AddrPort{server}}, Hosts: "-"})
	t.Cleanup(r.Close)
	got, err := r.Resolve(t.Context(), Query{Host: "example.org"})
	if want := "udp [2001:db8::2]:5070, udp 192.0.2.1:5070, udp 192.0.2.3:5070"; err != nil || spelled(got) != want {
		t.Errorf("%s, %v; want %s", spelled(got), err, want)
	}
}

func TestResolvConf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for text, want := range map[string]string{
		"search example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n":                     "[192.0.2.53:53 [2001:db8::53]:53]",
		"nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n": "[192.0.2.1:53 192.0.2.2:53 192.0.2.3:53]",
		"": "[127.0.0.1:53 [::1]:53]",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(readServers(path)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := fmt.Sprint(readServers(path + ".missing")); got != "[127.0.0.1:53 [::1]:53]" {
		t.Errorf("no file: %s", got)
	}
}
