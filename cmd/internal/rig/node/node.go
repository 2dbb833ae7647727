// Package node runs nodes of the network as the processes that they are in production: from the built programs, with
// generated configurations, each in its own folder and on its own loopback address. It finds and kills those processes,
// asks them through mssctl, and shows that nothing is left after them. Start at [Start] for an office (an L-MSS) and at
// [StartHub] for a hub (a T-MSS).
package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// Options say what office to start.
type Options struct {
	Bin    string     // folder of the built programs
	Site   string     // zero: london
	Domain string     // zero: example.org
	Addr   netip.Addr // zero: an own address in 127.0.0.0/8
	Port   uint16     // for UDP and TCP, and the next for TLS; zero: free ones
	// Other is a second address to listen at, such as one of the other family. Zero: none.
	Other netip.Addr
	Users []User
	// Numbers are the ranges that the office owns, such as 4xxx. Zero: its users' own numbers alone.
	Numbers []string
	// Inside makes the office's sockets and processes where Addr is, such as in a network namespace. Zero: here.
	Inside Inside
	// Token is what [Hub.SiteToken] gave: the office joins its domain before it starts. Zero: it stays alone.
	Token string
	// Advertise gives the address that others are told instead of a local one.
	Advertise map[netip.Addr]netip.Addr
	// Extra is YAML that is added to the configuration at top level, such as "timers: {no_answer: 5s}".
	Extra string
}

// User is an extension of the office.
type User struct {
	Name, Password, Display string
	Target                  string // where it is called without a registration; empty: nowhere
}

// Node is the L-MSS of one office.
type Node struct {
	*tree

	opt   Options
	ports ports
	other ports // at Options.Other; zero without it
}

// Start writes the configuration, joins if there is a token, starts the office and waits until it answers SIP. The caller
// ends it with Stop.
func Start(ctx context.Context, opt Options) (*Node, error) {
	n, err := Prepare(opt)
	if err != nil {
		return nil, err
	}
	if opt.Token != "" {
		if err := n.Join(ctx, opt.Token); err != nil {
			return nil, n.failed(err)
		}
	}
	if err := n.Run(ctx); err != nil {
		return nil, n.failed(err)
	}
	return n, nil
}

// Prepare writes the configuration of an office that does not run yet. The caller removes it with Remove.
func Prepare(opt Options) (*Node, error) {
	if opt.Site == "" {
		opt.Site = "london"
	}
	if opt.Domain == "" {
		opt.Domain = defaultDomain
	}
	t, err := newTree(opt.Bin, "lmss", opt.Addr)
	if err != nil {
		return nil, err
	}
	n := &Node{tree: t, opt: opt}
	n.enter(opt.Inside)
	err = n.inside(func() error {
		n.ports, err = freePorts(n.addr, opt.Port)
		if err == nil && opt.Other.IsValid() {
			n.other, err = freePorts(opt.Other, opt.Port)
		}
		return err
	})
	if err == nil {
		err = errors.Join(n.certify(), os.WriteFile(n.config, n.yaml(), 0o600))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare office %s: %w", opt.Site, err), n.Remove())
	}
	return n, nil
}

const defaultDomain = "example.org"

func (n *Node) yaml() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "site: %s\ndomain: %s\nstate_dir: %s\n", n.opt.Site, n.opt.Domain, n.dir)
	and := func(a netip.AddrPort) string {
		if !a.IsValid() {
			return ""
		}
		return fmt.Sprintf(", %q", a)
	}
	fmt.Fprintf(&b, "listen:\n  udp: [%q%s]\n  tcp: [%q%s]\n  tls: [%q%s]\n",
		n.ports.udp, and(n.other.udp), n.ports.tcp, and(n.other.tcp), n.ports.tls, and(n.other.tls))
	if len(n.opt.Advertise) > 0 {
		b.WriteString("  advertise:\n")
	}
	for local, told := range n.opt.Advertise {
		fmt.Fprintf(&b, "    %v: %v\n", local, told)
	}
	fmt.Fprintf(&b, "tls: {certificate: %s, key: %s}\n", n.certificatePath(), n.keyPath())
	if len(n.opt.Numbers) > 0 {
		fmt.Fprintf(&b, "numbers: [%s]\n", strings.Join(n.opt.Numbers, ", "))
	}
	if len(n.opt.Users) > 0 {
		b.WriteString("users:\n")
	}
	for _, u := range n.opt.Users {
		fmt.Fprintf(&b, "  - {name: %q, password: %q, display: %q, target: %q}\n", u.Name, u.Password, u.Display, u.Target)
	}
	b.WriteString(n.opt.Extra + "\n")
	return b.Bytes()
}

// Join spends a token of its hub, so that the office is part of the domain from its next start on.
func (n *Node) Join(ctx context.Context, token string) error {
	return n.own(ctx, "join", token)
}

// Run starts the supervisor of an office that is not running, on the same state, and waits until it answers.
func (n *Node) Run(ctx context.Context) error {
	if err := n.launch(); err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

// WaitReady waits until the office answers SIP on its UDP and TCP addresses. It fails at once when the supervisor ended.
func (n *Node) WaitReady(ctx context.Context) error {
	return n.whileRunning(ctx, func(ctx context.Context) error {
		return n.inside(func() error { return errors.Join(probeUDP(ctx, n.ports.udp), probeTCP(ctx, n.ports.tcp)) })
	})
}

// UDP is where phones register over UDP.
func (n *Node) UDP() netip.AddrPort { return n.ports.udp }

// TCP is where phones register over TCP.
func (n *Node) TCP() netip.AddrPort { return n.ports.tcp }

// TLS is where phones register over TLS; they trust [Node.Trust].
func (n *Node) TLS() netip.AddrPort { return n.ports.tls }

// Sockets is how many the office has for SIP.
func (n *Node) Sockets() int { return 3 }

// OtherUDP is where phones register over UDP at Options.Other.
func (n *Node) OtherUDP() netip.AddrPort { return n.other.udp }

// OtherTCP is the same over TCP.
func (n *Node) OtherTCP() netip.AddrPort { return n.other.tcp }

// Site is the office's name.
func (n *Node) Site() string { return n.opt.Site }

// Password is that of one of its users; empty without such a user.
func (n *Node) Password(user string) string {
	for _, u := range n.opt.Users {
		if u.Name == user {
			return u.Password
		}
	}
	return ""
}

// Realm is what its passwords are made for.
func (n *Node) Realm() string { return n.opt.Site + "." + n.opt.Domain }
