package contender

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// Parts are what an L-MSS does beyond the core of a call. All are on when it is shipped.
type Parts struct {
	Digest bool // a password for each INVITE, instead of a known address
	Store  bool // calls and call records on disk
	Anchor bool // voice through the media process
}

// Office is a running L-MSS.
type Office struct{ *node.Node }

var _ Server = Office{}

func lmss(name, about string, parts Parts) Contender {
	return Contender{
		Name: name, About: "L-MSS: " + about, Digest: parts.Digest,
		Start: func(ctx context.Context, setup Setup) (Server, error) {
			office, err := StartOffice(ctx, setup, parts)
			if err != nil {
				return nil, err // not an Office without a node, which is no nil Server
			}
			return office, nil
		},
	}
}

// StartOffice starts an L-MSS with the shipped programs and settings, but for what parts leave out.
func StartOffice(ctx context.Context, setup Setup, parts Parts) (Office, error) {
	if _, err := os.Stat(filepath.Join(setup.Bin, "lmss")); err != nil {
		return Office{}, fmt.Errorf("start L-MSS: %w: make build puts it there", err)
	}
	n, err := node.Start(ctx, node.Options{Bin: setup.Bin, Extra: configuration(setup, parts)})
	if err != nil {
		return Office{}, err
	}
	return Office{n}, nil
}

// configuration is what is added to a node's own.
func configuration(setup Setup, parts Parts) string {
	known := ""
	if !parts.Digest {
		known = fmt.Sprintf(", addresses: [%q]", setup.Caller)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "users:\n")
	fmt.Fprintf(&b, "  - {name: %q, password: %q%s}\n", Caller, Password, known)
	fmt.Fprintf(&b, "  - {name: %q, target: %q}\n", Called, setup.Callee)
	if !parts.Store {
		b.WriteString("store: {enabled: false}\n")
	}
	if !parts.Anchor {
		b.WriteString("media: {anchor: false}\n")
	}
	return b.String()
}

// Addr is where it takes calls over UDP.
func (o Office) Addr() netip.AddrPort { return o.UDP() }

// PID is the supervisor.
func (o Office) PID() int { return o.Node.PID(node.Supervisor) }

// Apart is none: every process works for calls.
func (o Office) Apart() int { return 0 }

// Signal is the signalling process, 0 when there is none.
func (o Office) Signal() int { return o.Node.PID(node.Signal) }

// Media is the media process, 0 when there is none.
func (o Office) Media() int { return o.Node.PID(node.Media) }

// LogFile is what its processes write to.
func (o Office) LogFile() string { return filepath.Join(o.Dir(), "node.log") }

// Stop ends it and removes its folder.
func (o Office) Stop() error { return errors.Join(o.Node.Stop(), o.Remove()) }
