package contender

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mss-federation/mss/cmd/internal/bench/proc"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// hub is a running T-MSS.
type hub struct {
	*program
	directory int
}

// Apart is the domain's directory, which no call touches.
func (h hub) Apart() int { return h.directory }

// startHub starts a T-MSS with the shipped programs and settings. SIPp has no TLS, so that both ends are offices which
// the hub knows by address.
func startHub(ctx context.Context, setup Setup) (Server, error) {
	addr, err := FreePort(node.NewAddress())
	if err != nil {
		return nil, err
	}
	config := filepath.Join(setup.Dir, "tmss.yaml")
	if err := configureHub(ctx, config, setup, addr); err != nil {
		return nil, fmt.Errorf("configure T-MSS: %w", err)
	}
	path := filepath.Join(setup.Bin, "tmss")
	if said, err := exec.CommandContext(ctx, path, "init", "--config", config).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("begin the T-MSS's domain: %w: %s (make build puts the program there)", err, said)
	}
	p, err := launch(ctx, addr, filepath.Join(setup.Dir, "tmss.log"), path, "run", "--config", config)
	if err != nil {
		return nil, fmt.Errorf("start T-MSS: %w", err)
	}
	h := hub{program: p}
	if h.directory, err = waitChild(ctx, p, "directory"); err != nil {
		return nil, errors.Join(fmt.Errorf("start T-MSS: %w", err), p.Stop())
	}
	return h, nil
}

// waitChild waits until a program has started the child with that first argument.
func waitChild(ctx context.Context, p *program, argument string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if pid := proc.Child(p.PID(), argument); pid != 0 {
			return pid, nil
		}
		select {
		case <-p.ended:
			return 0, ErrEnded
		case <-ctx.Done():
			return 0, fmt.Errorf("no process %s: %w", argument, ctx.Err())
		case <-tick.C:
		}
	}
}

// configureHub writes the configuration. The caller's office sends from any port of its address and is never called.
func configureHub(ctx context.Context, file string, setup Setup, addr netip.AddrPort) error {
	grpc, err := freeTCP(ctx, addr.Addr())
	if err != nil {
		return err
	}
	directory, err := freeTCP(ctx, addr.Addr())
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`hub: a
domain: example.org
state_dir: %s
listen: {udp: [%q], grpc: %q}
directory: {listen: %q}
sites:
  - {name: caller, prefixes: [%q], address: "udp %s", sources: ["%s/32"]}
  - {name: callee, prefixes: [%q], address: "udp %s"}
`, filepath.Join(setup.Dir, "state"), addr, grpc, directory,
		Caller, netip.AddrPortFrom(setup.Caller, discardPort), setup.Caller, Called, setup.Callee)
	return os.WriteFile(file, []byte(text), 0o600)
}

// discardPort is nobody's (RFC 863): the hub wants an address for an office even if nothing is sent there.
const discardPort = 9

// freeTCP is a TCP port that is free now.
func freeTCP(ctx context.Context, addr netip.Addr) (netip.AddrPort, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return netip.ParseAddrPort(l.Addr().String())
}
