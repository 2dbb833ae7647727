package signal

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/lmss/user"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptarget"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// zone is a name server that a conversation writes, in lines such as
//
//	# zone _sip._udp.pbx.example.org SRV 10 0 5060 b.example.org
//
// Each answer takes 1 ms.
type zone map[siptarget.Question]siptarget.Answer

func zoneOf(t *testing.T, commands string) zone {
	t.Helper()
	z := zone{}
	for line := range strings.Lines(commands) {
		f := strings.Fields(line)
		if len(f) < 5 || f[0] != "#" || f[1] != "zone" {
			continue
		}
		q := siptarget.Question{Name: f[2]}
		var a siptarget.Answer
		var err error
		switch f[3] {
		case "A":
			q.Type = siptarget.A
			a = z[q]
			a.Addrs = append(a.Addrs, netip.MustParseAddr(f[4]))
		case "SRV":
			q.Type = siptarget.SRV
			a = z[q]
			var s siptarget.Server
			_, err = fmt.Sscan(strings.Join(f[4:], " "), &s.Priority, &s.Weight, &s.Port, &s.Name)
			a.Servers = append(a.Servers, s)
		default:
			t.Fatalf("unknown record: %s", line)
		}
		if err != nil {
			t.Fatal(line, err)
		}
		a.TTL = time.Minute
		z[q] = a
	}
	return z
}

// Ask implements siptarget.Lookup.
func (z zone) Ask(ctx context.Context, q siptarget.Question) (siptarget.Answer, error) {
	select {
	case <-time.After(time.Millisecond):
		return z[q], nil
	case <-ctx.Done():
		return siptarget.Answer{}, ctx.Err()
	}
}

// withNames makes user 4007 a server by name, pbx.example.org.
func withNames(t *testing.T, p *parts, dns *siptarget.DNS) {
	t.Helper()
	p.dns = dns
	if err := p.users.Put(user.User{Name: federation.User("4007"), Target: user.Target{Host: "pbx.example.org"}}); err != nil {
		t.Fatal(err)
	}
}

func zoneResolver(t *testing.T, commands string) *siptarget.DNS {
	t.Helper()
	return siptarget.New(siptarget.Options{
		Lookup: zoneOf(t, commands), Hosts: "-", Transports: []siptransport.Transport{siptransport.UDP, siptransport.TCP},
	})
}
