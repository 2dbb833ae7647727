package contender

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// hub is a running T-MSS.
type hub struct {
	*node.Hub
	directory int
}

// startHub starts a T-MSS with the shipped programs and settings. SIPp has no TLS, so that both ends are offices which
// the hub knows by address.
func startHub(ctx context.Context, setup Setup) (Server, error) {
	if _, err := os.Stat(filepath.Join(setup.Bin, "tmss")); err != nil {
		return nil, fmt.Errorf("start T-MSS: %w: make build puts it there", err)
	}
	n, err := node.StartHub(ctx, node.HubOptions{Bin: setup.Bin, UDP: true, Extra: offices(setup)})
	if err != nil {
		return nil, err
	}
	h := hub{n, n.PID(node.Directory)}
	if err := n.WaitTakesCalls(ctx); err != nil {
		return nil, errors.Join(err, h.Stop())
	}
	return h, nil
}

// offices are both ends as the hub's configuration names them. The caller's sends from any port of its address and is
// never called.
func offices(setup Setup) string {
	return fmt.Sprintf("sites:\n"+
		"  - {name: caller, prefixes: [%q], address: \"udp %s\", sources: [\"%s/32\"]}\n"+
		"  - {name: callee, prefixes: [%q], address: \"udp %s\"}\n",
		Caller, netip.AddrPortFrom(setup.Caller, discardPort), setup.Caller, Called, setup.Callee)
}

// discardPort is nobody's (RFC 863): the hub wants an address for an office even if nothing is sent there.
const discardPort = 9

// Addr is where it takes calls over UDP.
func (h hub) Addr() netip.AddrPort { return h.UDP() }

// PID is the hub itself, which started its directory.
func (h hub) PID() int { return h.Hub.PID(node.Supervisor) }

// Apart is the domain's directory, which no call touches.
func (h hub) Apart() int { return h.directory }

// Stop ends it and removes its folder.
func (h hub) Stop() error { return errors.Join(h.Hub.Stop(), h.Remove()) }
