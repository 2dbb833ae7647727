package signal

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/network"
	"github.com/mss-federation/mss/pkg/network/memnet"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// TestOpenUplink wants an office to work whatever its identity is like, and to say what is wrong with it.
func TestOpenUplink(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	host := memnet.New(memnet.Options{}).Host(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"))
	var sockets []network.PacketConn
	for _, local := range []string{"[2001:db8::1]:5060", "192.0.2.1:5060"} {
		conn, err := host.ListenUDP(context.Background(), netip.MustParseAddrPort(local))
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, conn)
	}
	for name, test := range map[string]struct {
		keep   *identity.Credentials
		more   string
		uplink bool
		alarm  string
	}{
		"not joined":         {nil, "", false, ""},
		"joined":             {d.Credentials(t, identity.Site, "london"), "", true, ""},
		"of another office":  {d.Credentials(t, identity.Site, "paris"), "", false, "mssctl site token london"},
		"static hub":         {nil, "static_hubs: [{hub: x, address: 192.0.2.9:5060}]\n", true, ""},
		"static hub besides": {d.Credentials(t, identity.Site, "paris"), "static_hubs: [{hub: x, address: 192.0.2.9:5060}]\n", true, "mssctl site token london"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, err := configfile.Parse[config.Config]("c.yaml", []byte("site: london\ndomain: example.org\nnumbers: [4xxx]\nstate_dir: "+dir+
				"\nlisten: {udp: [\"192.0.2.1:5060\"]}\n"+test.more))
			if err != nil {
				t.Fatal(err)
			}
			if test.keep != nil {
				if err := test.keep.Save(filepath.Join(dir, "identity", identity.NodeFile)); err != nil {
					t.Fatal(err)
				}
			}
			p := &prepared{parts: parts{logger: testLogger(t)}}
			if err := p.openUplink(&Options{Config: c, UDP: sockets}); err != nil {
				t.Fatal(err)
			}
			if (p.uplink != nil) != test.uplink || !strings.Contains(p.alarm, test.alarm) || (p.alarm == "") != (test.alarm == "") {
				t.Errorf("uplink %v, alarm %q", p.uplink != nil, p.alarm)
			}
			if test.more == "" || p.uplink == nil {
				return
			}
			for node, flow := range p.uplink.Ways("") {
				want := siptransport.Flow{Transport: siptransport.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.9:5060")}
				if node != "hub/x" || flow != want {
					t.Errorf("%s by %s", node, flow)
				}
			}
		})
	}
}
