package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/cmd/internal/rig/sipp"
)

// nameServer serves records over UDP and TCP until the test ends.
type nameServer struct {
	addr    netip.AddrPort
	records atomic.Pointer[[]dns.RR]
}

func startNameServer(t *testing.T) *nameServer {
	t.Helper()
	s := &nameServer{}
	s.publish(t)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	s.addr = netip.MustParseAddrPort(ln.Addr().String())
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(s.addr))
	must(t, err)
	for _, server := range []*dns.Server{{Listener: ln, Handler: s}, {PacketConn: conn, Handler: s}} {
		up, ended := make(chan struct{}), make(chan error, 1)
		server.NotifyStartedFunc = func() { close(up) }
		go func() { ended <- server.ActivateAndServe() }()
		<-up
		t.Cleanup(func() {
			if err := server.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return s
}

// publish replaces all records.
func (s *nameServer) publish(t *testing.T, lines ...string) {
	t.Helper()
	var all []dns.RR
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		must(t, err)
		all = append(all, rr)
	}
	s.records.Store(&all)
}

// ServeDNS answers what is asked; names without records do not exist.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	reply := new(dns.Msg).SetReply(q)
	reply.Rcode = dns.RcodeNameError
	for _, rr := range *s.records.Load() {
		if h := rr.Header(); strings.EqualFold(h.Name, q.Question[0].Name) {
			reply.Rcode = dns.RcodeSuccess
			if h.Rrtype == q.Question[0].Qtype {
				reply.Answer = append(reply.Answer, rr)
			}
		}
	}
	_ = w.WriteMsg(reply) // the office notices
}

// named are users of an office whose servers have names.
func named(names ...string) []node.User {
	all := append([]node.User(nil), users...)
	for i, name := range names {
		all = append(all, node.User{Name: fmt.Sprint(4005 + i), Target: name})
	}
	return all
}

// byName starts an office that asks a name server of the test.
func byName(t *testing.T, names ...string) (*node.Node, *nameServer) {
	t.Helper()
	s := startNameServer(t)
	n := startOffice(t, node.Options{Users: named(names...), Extra: fmt.Sprintf("dns: {servers: [%q]}", s.addr)})
	return n, s
}

// aRecord is that of a name for an address of ours.
func aRecord(name string, addr netip.Addr) string {
	kind := "A"
	if addr.Is6() {
		kind = "AAAA"
	}
	return fmt.Sprintf("%s. 60 IN %s %s", name, kind, addr)
}

// server is a phone that does not register: a server of somebody else's.
func server(t *testing.T, n *node.Node, name string, opt phone.Options) *phone.Phone {
	t.Helper()
	opt.Name, opt.Tone = name, 910
	return newPhone(t, n, opt)
}

// TestSRVFailover calls a name with two servers of which the first is dead, silent, refuses, or takes no connection:
// the call arrives at the second, with voice, and the next one goes there at once.
func TestSRVFailover(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]struct {
		service string
		opt     *phone.Options // nil: nobody is there
		refuse  bool
	}{
		"dead":       {service: "_sip._udp"},
		"silent":     {service: "_sip._udp", opt: &phone.Options{OnRequest: func(*sipmsg.Message) bool { return true }}},
		"503":        {service: "_sip._udp", opt: &phone.Options{}, refuse: true},
		"no TCP":     {service: "_sip._tcp"},
		"two behind": {service: "_sip._udp", opt: &phone.Options{OnRequest: func(*sipmsg.Message) bool { return true }}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limit(t)
			n, dnsServer := byName(t, "pbx.example.net")
			a, good := register(t, n, phone.Options{Name: "4001"}), server(t, n, "4005", phone.Options{})
			bad := freePort(t)
			if first.opt != nil {
				p := server(t, n, "4005", *first.opt)
				bad = p.Local()
				if first.refuse {
					go func() {
						if in, err := p.WaitIncoming(ctx); err == nil {
							_ = in.Reject(503, "Service Unavailable") // the call ends elsewhere if not
						}
					}()
				}
			}
			records := []string{
				fmt.Sprintf("%s.pbx.example.net. 60 IN SRV 10 0 %d bad.example.net.", first.service, bad.Port()),
				fmt.Sprintf("_sip._udp.pbx.example.net. 60 IN SRV 20 0 %d good.example.net.", good.Local().Port()),
				aRecord("bad.example.net", bad.Addr()), aRecord("good.example.net", good.Local().Addr()),
			}
			if first.service == "_sip._tcp" {
				records = append(records,
					`pbx.example.net. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.pbx.example.net.`,
					`pbx.example.net. 60 IN NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp.pbx.example.net.`)
			}
			if name == "two behind" {
				records = append(records, fmt.Sprintf("_sip._udp.pbx.example.net. 60 IN SRV 11 0 %d bad.example.net.", freePort(t).Port()))
			}
			dnsServer.publish(t, records...)
			for round, most := range []time.Duration{4 * time.Second, time.Second} {
				began := time.Now()
				out, err := a.Dial(ctx, "4005")
				must(t, err)
				in := arrives(t, out, good)
				if took := time.Since(began); took > most {
					t.Errorf("call %d arrived after %v", round+1, took)
				}
				must(t, in.Answer())
				must(t, out.WaitAnswered(ctx))
				hearEachOther(t, out, in, tones["4001"], 910)
				must(t, out.Hangup(ctx))
				must(t, in.WaitEnded(ctx))
			}
			noVoicePorts(t, n)
		})
	}
}

// TestNAPTRPrefersTCP has a name that takes both transports and says that TCP is better; and one whose server takes
// what is large over TCP, although its name says nothing of it.
func TestNAPTRPrefersTCP(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n, names := byName(t, "pbx.example.net", "plain.example.net")
	large := phone.DialOptions{Headers: []sipmsg.Header{{Name: "Subject", Value: strings.Repeat("long ", 300)}}}
	for _, c := range []struct {
		name, number string
		opt          phone.DialOptions
	}{{"NAPTR", "4005", phone.DialOptions{}}, {"large", "4006", large}} {
		t.Run(c.name, func(t *testing.T) {
			local, overUDP := freePort(t), server(t, n, c.number, phone.Options{})
			uas, err := sipp.Start(ctx, sipp.Options{
				Scenario: filepath.Join("testdata", "sipp", "uas.xml"), Target: n.TCP(), Local: local, TCP: true, Calls: 1, Limit: 30 * time.Second,
			})
			must(t, err)
			listens(t, local)
			names.publish(t,
				`pbx.example.net. 60 IN NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.pbx.example.net.`,
				`pbx.example.net. 60 IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.pbx.example.net.`,
				fmt.Sprintf("_sip._tcp.pbx.example.net. 60 IN SRV 10 0 %d tcp.example.net.", local.Port()),
				fmt.Sprintf("_sip._udp.pbx.example.net. 60 IN SRV 10 0 %d tcp.example.net.", overUDP.Local().Port()),
				fmt.Sprintf("_sip._udp.plain.example.net. 60 IN SRV 10 0 %d tcp.example.net.", overUDP.Local().Port()),
				fmt.Sprintf("_sip._tcp.plain.example.net. 60 IN SRV 20 0 %d tcp.example.net.", local.Port()),
				aRecord("tcp.example.net", local.Addr()))
			a := register(t, n, phone.Options{Name: "4001"})
			out, err := a.DialWith(ctx, c.number, c.opt)
			must(t, err)
			select {
			case <-out.Answered():
			case <-overUDP.Incoming():
				t.Fatal("the call came over UDP")
			case <-ctx.Done():
				t.Fatal("nobody answered")
			}
			must(t, out.Hangup(ctx))
			if stats, err := uas.Wait(); err != nil || stats.Successful != 1 {
				t.Errorf("%+v: %v", stats, err)
			}
			must(t, a.Unregister(ctx))
		})
	}
}

// TestLargeRequestFallsBackToUDP has a server that takes no TCP: what is large reaches it as one datagram.
func TestLargeRequestFallsBackToUDP(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n, names := byName(t, "plain.example.net")
	a, b := register(t, n, phone.Options{Name: "4001"}), server(t, n, "4005", phone.Options{})
	names.publish(t, aRecord("plain.example.net", b.Local().Addr()),
		fmt.Sprintf("_sip._udp.plain.example.net. 60 IN SRV 10 0 %d plain.example.net.", b.Local().Port()),
		fmt.Sprintf("_sip._tcp.plain.example.net. 60 IN SRV 20 0 %d plain.example.net.", b.Local().Port()))
	began := time.Now()
	out, err := a.DialWith(ctx, "4005", phone.DialOptions{Headers: []sipmsg.Header{{Name: "Subject", Value: strings.Repeat("long ", 300)}}})
	must(t, err)
	in := arrives(t, out, b)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the call arrived after %v", took)
	}
	must(t, in.Answer())
	must(t, out.WaitAnswered(ctx))
	hearEachOther(t, out, in, tones["4001"], 910)
	must(t, in.Hangup(ctx))
	must(t, out.WaitEnded(ctx))
}

// TestTargetByName gives a user a server's name with mssctl, and takes it to another address without anybody's doing.
func TestTargetByName(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n, names := byName(t)
	a, b := register(t, n, phone.Options{Name: "4001"}), server(t, n, "4009", phone.Options{})
	_, err := n.Ctl(ctx, "user", "add", "4009", "--no-password", "--target", "Gateway.example.net")
	must(t, err)
	names.publish(t, aRecord("gateway.example.net", b.Local().Addr()),
		fmt.Sprintf("_sip._udp.gateway.example.net. 1 IN SRV 10 0 %d gateway.example.net.", b.Local().Port()))
	called := func(p *phone.Phone) {
		out, err := a.Dial(ctx, "4009")
		must(t, err)
		in := arrives(t, out, p)
		must(t, in.Answer())
		must(t, out.WaitAnswered(ctx))
		must(t, in.Hangup(ctx))
		must(t, out.WaitEnded(ctx))
	}
	called(b)
	moved := server(t, n, "4009", phone.Options{})
	names.publish(t, aRecord("gateway.example.net", moved.Local().Addr()),
		fmt.Sprintf("_sip._udp.gateway.example.net. 1 IN SRV 10 0 %d gateway.example.net.", moved.Local().Port()))
	b.Close()
	wait(ctx, time.Second) // the records' TTL
	called(moved)
	if _, err := n.Ctl(ctx, "user", "set", "4009", "--target", "tls pbx.example.net"); err == nil || !strings.Contains(err.Error(), "is wanted here") {
		t.Errorf("a transport that is not spoken: %v", err)
	}
}

// TestDeadNameServer has no name server: calls to names end with a reason, in time, and no other call waits.
func TestDeadNameServer(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n := startOffice(t, node.Options{
		Users: named("pbx.example.net"), Extra: fmt.Sprintf("dns: {servers: [%q], timeout: 1s}", freePort(t)),
	})
	a, b := register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"})
	began := time.Now()
	out, err := a.Dial(ctx, "4005")
	must(t, err)
	other, in := ringing(t, b, a)
	if took := time.Since(began); took > time.Second {
		t.Errorf("a call between phones waited %v for the name server", took)
	}
	must(t, other.Cancel(ctx))
	must(t, in.WaitEnded(ctx))
	must(t, out.WaitEnded(ctx))
	if status, _ := out.Status(); status != 480 {
		t.Errorf("status %d, want 480", status)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the caller was told after %v", took)
	}
}

// listens waits until somebody takes connections there.
func listens(t *testing.T, at netip.AddrPort) {
	t.Helper()
	ctx := limit(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at.String())
		if err == nil {
			must(t, conn.Close())
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nobody listens at %v: %v", at, err)
		}
	}
}
