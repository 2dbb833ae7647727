package hub

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/network"
)

// onBoth listens on an address of each IP version.
func onBoth(t *testing.T) (list []net.Listener) {
	t.Helper()
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := network.System{}.ListenTCP(t.Context(), netip.MustParseAddrPort(addr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		list = append(list, ln)
	}
	return list
}

// TestHubOfBothVersionsTellsAllAddresses: in the directory, to offices, in tokens. What earlier versions read is the
// first of each.
func TestHubOfBothVersionsTellsAllAddresses(t *testing.T) {
	t.Parallel()
	trunks, control := onBoth(t), onBoth(t)
	h := &hub{options: &Options{TLS: trunks, GRPC: control}, self: identity.Node{Domain: "example.org", Role: identity.Hub, ID: "a"}}
	text := func(list []net.Listener) (all []string) {
		for _, l := range list {
			all = append(all, l.Addr().String())
		}
		return all
	}
	entry := h.entry()
	written, err := json.Marshal(entry)
	if err != nil {
		t.Fatal(err)
	}
	var earlier struct {
		GRPC string            `json:"grpc"`
		SIP  map[string]string `json:"sip"`
	}
	if err := json.Unmarshal(written, &earlier); err != nil || earlier.GRPC != text(control)[0] || earlier.SIP["tls"] != text(trunks)[0] {
		t.Errorf("an earlier version reads %+v, %v", earlier, err)
	}
	told := hubMessage(&entry)
	if !slices.Equal(told.GRPCAddresses(), text(control)) || !slices.Equal(told.SIPAddresses("tls"), text(trunks)) {
		t.Errorf("offices are told %+v", told)
	}
	token := hubAddresses(&entry)
	if want := (identity.HubAddress{Hub: "a", Address: text(control)[1]}); len(token) != 2 || token[1] != want {
		t.Errorf("tokens have %v", token)
	}
	if remotes := literal(entry.SIPAddresses("tls")); len(remotes) != 2 || !remotes[1].Addr().Is6() {
		t.Errorf("other hubs dial %v", remotes)
	}
}
