package siptarget

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// book is a Lookup that the test writes. Each question takes a second unless it says otherwise.
type book struct {
	slow time.Duration

	mu      sync.Mutex
	records map[Question]Answer
	fails   map[Question]error
	dead    error
	asked   map[Question]int
}

// newBook reads lines of "name TYPE value…": A, AAAA, SRV priority weight port name, NAPTR order preference
// flags service name.
func newBook(t *testing.T, zone string) *book {
	t.Helper()
	b := &book{slow: time.Second, records: map[Question]Answer{}, fails: map[Question]error{}, asked: map[Question]int{}}
	for line := range strings.Lines(zone) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		q := Question{Name: f[0]}
		a := func() Answer { a := b.records[q]; a.TTL = time.Minute; return a }
		var err error
		switch f[1] {
		case "A", "AAAA":
			q.Type = map[string]Type{"A": A, "AAAA": AAAA}[f[1]]
			x := a()
			x.Addrs = append(x.Addrs, netip.MustParseAddr(f[2]))
			b.records[q] = x
		case "SRV":
			q.Type = SRV
			x, s := a(), Server{}
			_, err = fmt.Sscan(strings.Join(f[2:5], " "), &s.Priority, &s.Weight, &s.Port)
			s.Name = strings.TrimSuffix(f[5], ".")
			x.Servers = append(x.Servers, s)
			b.records[q] = x
		case "NAPTR":
			q.Type = NAPTR
			x, p := a(), Pointer{}
			_, err = fmt.Sscan(strings.Join(f[2:], " "), &p.Order, &p.Preference, &p.Flags, &p.Service, &p.Name)
			p.Name, p.Regexp = strings.TrimSuffix(p.Name, "."), p.Name == "!.*!x!"
			x.Pointers = append(x.Pointers, p)
			b.records[q] = x
		case "FAIL":
			for _, kind := range []Type{A, AAAA, SRV, NAPTR} {
				if kind.String() == f[2] {
					b.fails[Question{f[0], kind}] = errors.New("SERVFAIL")
				}
			}
		default:
			t.Fatalf("unknown record: %s", line)
		}
		if err != nil {
			t.Fatal(line, err)
		}
	}
	return b
}

func (b *book) Ask(ctx context.Context, q Question) (Answer, error) {
	b.mu.Lock()
	b.asked[q]++
	answer, err := b.records[q], errors.Join(b.fails[q], b.dead)
	b.mu.Unlock()
	select {
	case <-time.After(b.slow):
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	return answer, err
}

func (b *book) times(q Question) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[q]
}

func (b *book) kill(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dead = err
}

func resolver(t *testing.T, opts Options) *DNS {
	t.Helper()
	if opts.Hosts == "" {
		opts.Hosts = "-"
	}
	r := New(opts)
	t.Cleanup(r.Close)
	return r
}

// spelled writes targets as "udp 192.0.2.1:5060".
func spelled(targets []Target) string {
	var all []string
	for _, t := range targets {
		all = append(all, t.Transport.Param()+" "+t.Addr.String())
	}
	return strings.Join(all, ", ")
}

// zone is that of the examples of RFC 3263 §2 and §4, with addresses.
const zone = `
	example.com NAPTR 50 50 s SIPS+D2T _sips._tcp.example.com
	example.com NAPTR 90 50 s SIP+D2T _sip._tcp.example.com
	example.com NAPTR 100 50 s SIP+D2U _sip._udp.example.com
	_sip._tcp.example.com SRV 0 1 5070 server1.example.com.
	_sip._tcp.example.com SRV 1 2 5060 server2.example.com.
	_sip._udp.example.com SRV 0 1 5080 server1.example.com.
	_sips._tcp.example.com SRV 0 1 5071 server1.example.com.
	server1.example.com A 192.0.2.1
	server2.example.com A 192.0.2.2
	server2.example.com AAAA 2001:db8::2
	example.com A 192.0.2.9

	srv.example.org SRV 0 0 1 not.asked.for.
	_sip._udp.srv.example.org SRV 0 0 5080 server1.example.com.
	_sip._tcp.srv.example.org SRV 0 0 5081 server1.example.com.

	plain.example.org A 192.0.2.3
	plain.example.org A 192.0.2.4
	plain.example.org AAAA 2001:db8::3

	mixed.example.org NAPTR 10 20 s SIP+D2U _sip._udp.elsewhere.example.org
	mixed.example.org NAPTR 10 10 S sip+d2t _sip._tcp.elsewhere.example.org
	mixed.example.org NAPTR 20 1 s SIP+D2U _sip._udp.other.example.org
	mixed.example.org NAPTR 1 1 s SIP+D2S _sip._sctp.mixed.example.org
	mixed.example.org NAPTR 1 1 u E2U+sip !.*!x!
	mixed.example.org NAPTR 1 1 s SIP+D2U !.*!x!
	mixed.example.org NAPTR 1 1 a SIP+D2U plain.example.org
	_sip._udp.elsewhere.example.org SRV 0 0 5090 server1.example.com.
	_sip._tcp.elsewhere.example.org SRV 0 0 5091 server1.example.com.
	_sip._udp.other.example.org SRV 0 0 5099 server2.example.com.

	hollow.example.org NAPTR 10 20 s SIP+D2T _sip._tcp.missing.example.org
	hollow.example.org A 192.0.2.5

	closed.example.org A 192.0.2.6
	_sip._udp.closed.example.org SRV 0 0 0 .
	_sip._tcp.closed.example.org SRV 0 0 0 .

	half.example.org A 192.0.2.7
	_sip._udp.half.example.org SRV 0 0 0 .
	_sip._tcp.half.example.org SRV 0 0 5070 half.example.org.

	broken.example.org FAIL NAPTR
	_sip._udp.broken.example.org FAIL SRV
	_sip._tcp.broken.example.org FAIL SRV
	broken.example.org FAIL AAAA
	broken.example.org A 192.0.2.8

	dead.example.org FAIL A
	dead.example.org FAIL AAAA

	gone.example.org A 0.0.0.0
	gone.example.org AAAA ff02::1

	one.example.org A 192.0.2.11
	_sip._udp.lost.example.org SRV 0 0 5060 nobody.example.org.
	_sip._udp.lost.example.org SRV 1 0 5060 one.example.org.
`

func TestTargets(t *testing.T) {
	t.Parallel()
	const udp, tcp, tls = siptransport.UDP, siptransport.TCP, siptransport.TLS
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, zone)
		b.slow = 100 * time.Millisecond
		all := resolver(t, Options{Lookup: b})
		noTLS := resolver(t, Options{Lookup: b, Transports: []siptransport.Transport{udp, tcp}})
		for name, tc := range map[string]struct {
			r    *DNS
			q    Query
			want string
		}{
			"address":                        {all, Query{Host: "192.0.2.1"}, "udp 192.0.2.1:5060"},
			"address, sips":                  {all, Query{Host: "192.0.2.1", Secure: true}, "tls 192.0.2.1:5061"},
			"address, transport and port":    {all, Query{Host: "192.0.2.1", Port: 5070, Transport: tcp}, "tcp 192.0.2.1:5070"},
			"IPv6, brackets":                 {all, Query{Host: "[2001:db8::2]", Transport: tls}, "tls [2001:db8::2]:5061"},
			"IPv6":                           {all, Query{Host: "2001:db8::2"}, "udp [2001:db8::2]:5060"},
			"IPv4 in IPv6":                   {all, Query{Host: "[::ffff:192.0.2.1]"}, "udp 192.0.2.1:5060"},
			"NAPTR, TLS is spoken":           {all, Query{Host: "example.com"}, "tls 192.0.2.1:5071"},
			"NAPTR, TLS is not":              {noTLS, Query{Host: "Example.COM."}, "tcp 192.0.2.1:5070, tcp [2001:db8::2]:5060, tcp 192.0.2.2:5060"},
			"NAPTR, sips":                    {all, Query{Host: "example.com", Secure: true}, "tls 192.0.2.1:5071"},
			"transport chosen: its SRV":      {all, Query{Host: "example.com", Transport: udp}, "udp 192.0.2.1:5080"},
			"sips with transport=tcp":        {all, Query{Host: "example.com", Secure: true, Transport: tcp}, "tls 192.0.2.1:5071"},
			"port: no SRV":                   {all, Query{Host: "example.com", Port: 5099}, "udp 192.0.2.9:5099"},
			"port, sips":                     {all, Query{Host: "example.com", Port: 5099, Secure: true}, "tls 192.0.2.9:5099"},
			"port and transport":             {all, Query{Host: "example.com", Port: 5099, Transport: tcp}, "tcp 192.0.2.9:5099"},
			"no NAPTR: SRV of each":          {all, Query{Host: "srv.example.org"}, "udp 192.0.2.1:5080, tcp 192.0.2.1:5081"},
			"addresses only, families mixed": {all, Query{Host: "plain.example.org"}, "udp [2001:db8::3]:5060, udp 192.0.2.3:5060, udp 192.0.2.4:5060"},
			"addresses only, sips":           {all, Query{Host: "plain.example.org", Secure: true}, "tls [2001:db8::3]:5061, tls 192.0.2.3:5061, tls 192.0.2.4:5061"},
			"NAPTR elsewhere, one order":     {all, Query{Host: "mixed.example.org"}, "tcp 192.0.2.1:5091, udp 192.0.2.1:5090"},
			"NAPTR without SRV":              {all, Query{Host: "hollow.example.org"}, "tcp 192.0.2.5:5060"},
			"one transport declined":         {all, Query{Host: "half.example.org"}, "tcp 192.0.2.7:5070"},
			"servers fail on rare types":     {all, Query{Host: "broken.example.org"}, "udp 192.0.2.8:5060"},
			"a server without address":       {all, Query{Host: "lost.example.org"}, "udp 192.0.2.11:5060"},
		} {
			if got, err := tc.r.Resolve(t.Context(), tc.q); err != nil || spelled(got) != tc.want {
				t.Errorf("%s: %s, %v; want %s", name, spelled(got), err, tc.want)
			} else if got[0].Host != normalise(tc.q.Host) {
				t.Errorf("%s: the certificate must show %q", name, got[0].Host)
			}
		}
		for _, tc := range []struct {
			q    Query
			want fault.Kind
		}{
			{Query{}, fault.Invalid},
			{Query{Host: "."}, fault.Invalid},
			{Query{Host: "a..example.org"}, fault.Invalid},
			{Query{Host: strings.Repeat("a", 64) + ".example.org"}, fault.Invalid},
			{Query{Host: "a b.example.org"}, fault.Invalid},
			{Query{Host: "[fe80::1%eth0]"}, fault.Invalid},
			{Query{Host: "0.0.0.0"}, fault.Invalid},
			{Query{Host: "[ff02::1]"}, fault.Invalid},
			{Query{Host: "example.com", Secure: true, Transport: udp}, fault.Invalid},
			{Query{Host: "closed.example.org"}, fault.NotFound},
			{Query{Host: "nobody.example.org"}, fault.NotFound},
			{Query{Host: "gone.example.org"}, fault.NotFound},
			{Query{Host: "dead.example.org"}, fault.Unavailable},
		} {
			if got, err := all.Resolve(t.Context(), tc.q); err == nil || fault.KindOf(err) != tc.want {
				t.Errorf("%+v: %v, %v; want %v", tc.q, got, err, tc.want)
			}
		}
		if _, err := noTLS.Resolve(t.Context(), Query{Host: "plain.example.org", Secure: true}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("sips where no TLS is spoken: %v", err)
		}
	})
}

// TestWeights counts who comes first in 10,000 draws of RFC 2782's rules with a seeded generator.
func TestWeights(t *testing.T) {
	t.Parallel()
	servers := []Server{
		{10, 0, 1, "never-almost"}, {10, 60, 1, "big"}, {10, 20, 1, "small"}, {10, 20, 1, "small-too"}, {0, 1, 1, "first"}, {20, 100, 1, "last"},
	}
	second := map[string]int{}
	random := seeded(42)
	for range 10_000 {
		got := ordered(servers, random)
		if got[0].Name != "first" || got[5].Name != "last" {
			t.Fatalf("priorities: %v", got)
		}
		second[got[1].Name]++
	}
	for name, want := range map[string]int{"never-almost": 100, "big": 5940, "small": 1980, "small-too": 1980} {
		if got := second[name]; got < want-200 || got > want+200 {
			t.Errorf("%s was second %d times of 10000, want about %d", name, got, want)
		}
	}
	if !slices.Equal(ordered(servers, seeded(7)), ordered(servers, seeded(7))) {
		t.Error("one seed gives two orders")
	}
	all := map[string]bool{}
	for range 100 {
		all[ordered([]Server{{Name: "a"}, {Name: "b"}, {Name: "c"}}, random)[0].Name] = true
	}
	if len(all) != 3 {
		t.Errorf("without weights only %v come first", all)
	}
}

func seeded(state uint64) func(int) int {
	return func(n int) int {
		state = state*6364136223846793005 + 1442695040888963407
		return int(state>>33) % n
	}
}

// TestLiar has a name server that answers with more than anybody needs.
func TestLiar(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, "")
		var servers []Server
		for i := range 10_000 {
			servers = append(servers, Server{uint16(i), 1, 5060, fmt.Sprintf("s%d.example.org", i)})
			var addrs []netip.Addr
			for j := range 100 {
				addrs = append(addrs, netip.AddrFrom4([4]byte{192, byte(i >> 8), byte(i), byte(j)}))
			}
			b.records[Question{servers[i].Name, A}] = Answer{Addrs: addrs, TTL: time.Hour}
		}
		b.records[Question{"_sip._udp.example.org", SRV}] = Answer{Servers: servers, TTL: time.Hour}
		r := resolver(t, Options{Lookup: b})
		got, err := r.Resolve(t.Context(), Query{Host: "example.org"})
		if err != nil || len(got) != maxTargets {
			t.Errorf("%d targets, %v; want %d", len(got), err, maxTargets)
		}
		if len(b.asked) > 4+2*maxServers {
			t.Errorf("%d questions for one name", len(b.asked))
		}
		for q, e := range r.cache.entries {
			if len(e.Servers) > maxServers || len(e.Addrs) > maxAddrs {
				t.Errorf("%v: %d servers and %d addresses are kept", q, len(e.Servers), len(e.Addrs))
			}
		}
	})
}

func TestHostsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	text := "192.0.2.40 example.com alias # the test lab\n2001:db8::40\texample.com\nfe80::1%eth0 example.com\n0.0.0.0 example.com\nnonsense\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBook(t, zone)
	r := resolver(t, Options{Lookup: b, Hosts: path})
	for _, tc := range []struct {
		q    Query
		want string
	}{
		{Query{Host: "Example.com"}, "udp [2001:db8::40]:5060, udp 192.0.2.40:5060"},
		{Query{Host: "alias", Port: 5070, Transport: siptransport.TCP}, "tcp 192.0.2.40:5070"},
	} {
		if got, err := r.Resolve(t.Context(), tc.q); err != nil || spelled(got) != tc.want {
			t.Errorf("%+v: %s, %v; want %s", tc.q, spelled(got), err, tc.want)
		}
		if got, err, ok := r.Known(tc.q); !ok || err != nil || spelled(got) != tc.want {
			t.Errorf("%+v from memory: %s, %v, %v", tc.q, spelled(got), err, ok)
		}
	}
	if len(b.asked) != 0 {
		t.Errorf("asked for %v", b.asked)
	}
}
