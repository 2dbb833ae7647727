package uplink_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/exchange"
)

// knowText writes the list of hubs as it is given.
func (d *domain) knowText(home uplink.Home, hub string) {
	d.t.Helper()
	if err := os.MkdirAll(string(home), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(home), "hubs.json"), []byte(`{"v": 1, "hubs": [`+hub+`]}`), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// TestHubWithSeveralAddresses: an address where nobody answers costs seconds at the first time and nothing later; one
// that this site has no way to costs nothing.
func TestHubWithSeveralAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dead  string
		first time.Duration // until session and trunk are up
	}{
		"silent": {"192.0.2.150", 9 * time.Second},
		"no way": {"[2001:db8::150]", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(d *domain) {
				t := d.t
				a := d.hub("a")
				good := a.entry
				several := good
				several.GRPC, several.GRPCAlso = c.dead+":5443", []string{good.GRPC}
				several.SIP = append([]exchange.Address{{Transport: "tls", HostPort: c.dead + ":5061"}}, good.SIP...)
				a.is(several)
				home := uplink.HomeIn(t.TempDir())
				d.knowText(home, `{"id": "a", "grpc": "`+c.dead+`:5443", "grpc_also": ["`+good.GRPC+`"]}`)
				s := d.site(home)
				defer s.stop()
				pass(c.first)
				want(t, "first", s.state(), "hub/a up alive")
				a.list("a")
				pass(time.Second)
				kept, err := os.ReadFile(filepath.Join(string(home), "hubs.json"))
				if err != nil || !strings.Contains(string(kept), `"grpc_also"`) || strings.Count(string(kept), ":5061") != 2 {
					t.Errorf("kept %s, %v", kept, err)
				}
				pass(20 * time.Second) // both have settled
				a.stop()
				pass(time.Second)
				want(t, "gone", s.state(), "hub/a down down")
				again := d.hub("a")
				again.is(several)
				pass(4 * time.Second)
				want(t, "again", s.state(), "hub/a up alive")
			})
		})
	}
}

// TestNameWithSeveralAddresses: all that a name has are tried, and the order in which a resolver gives them costs no
// connection.
func TestNameWithSeveralAddresses(t *testing.T) {
	bubble(t, func(d *domain) {
		t := d.t
		a := d.hub("a")
		good := netip.MustParseAddrPort(a.entry.GRPC).Addr()
		a.entry.GRPC = "a.example.org:5443"
		a.entry.SIP = []exchange.Address{{Transport: "tls", HostPort: "a.example.org:5061"}}
		home, began := uplink.HomeIn(t.TempDir()), time.Now()
		d.know(home, "a")
		dead := netip.MustParseAddr("192.0.2.150")
		s := d.siteWith(uplink.Options{Home: home, Lookup: func(context.Context, string) ([]netip.Addr, error) {
			if since := time.Since(began); since > 5*time.Second && since < 20*time.Second {
				return []netip.Addr{good, dead}, nil
			}
			return []netip.Addr{dead, good}, nil
		}})
		defer s.stop()
		pass(8 * time.Second)
		want(t, "up", s.state(), "hub/a up alive")
		trunk := s.Neighbours()[0].Trunk
		pass(23 * time.Second) // the names are looked up anew after 30 s
		if now := s.Neighbours()[0].Trunk; now != trunk {
			t.Errorf("the trunk was %v and is %v", trunk, now)
		}
	})
}
