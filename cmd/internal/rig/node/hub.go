package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// HubOptions say what hub to start.
type HubOptions struct {
	Bin    string     // folder of the built programs
	Hub    string     // zero: a
	Domain string     // zero: example.org
	Addr   netip.Addr // zero: an own address in 127.0.0.0/8
	// Other is a second address to listen at, such as one of the other family. Zero: none.
	Other netip.Addr
	// Token is what [Hub.HubToken] gave: the hub joins that domain and uses its directory. Zero: a new domain begins.
	Token string
	// Apart runs the directory on its own, from [Hub.Member] on: nothing starts it again when it ends. Only for the first
	// hub of a domain.
	Apart bool
	// UDP opens a UDP socket too, for offices that Extra names by address.
	UDP bool
	// Inside makes the hub's sockets and processes where Addr is, such as in a network namespace. Zero: here.
	Inside Inside
	// Extra is YAML that is added to the configuration at top level.
	Extra string
}

// Hub is one T-MSS and, where it is embedded, its directory.
type Hub struct {
	*tree

	opt       HubOptions
	tls, grpc netip.AddrPort
	udp       netip.AddrPort   // zero without one
	other     []netip.AddrPort // tls and grpc at HubOptions.Other; nil without it
	directory netip.AddrPort
	member    *Member // nil unless the directory is apart
	logged    int     // length of the log at the last start
}

// StartHub writes the configuration, begins the domain or joins one, starts the hub and waits until it is ready. The
// caller ends it with Stop.
func StartHub(ctx context.Context, opt HubOptions) (*Hub, error) {
	h, err := PrepareHub(opt)
	if err != nil {
		return nil, err
	}
	if err := h.Start(ctx); err != nil {
		return nil, errors.Join(h.failed(err), h.leaveMember())
	}
	return h, nil
}

// Start begins the domain or joins one, starts a hub that was prepared, and waits until it is ready.
func (h *Hub) Start(ctx context.Context) error {
	var err error
	if h.opt.Token == "" {
		err = h.begin(ctx)
	} else {
		err = h.Join(ctx, h.opt.Token)
	}
	if err != nil {
		return err
	}
	return h.Run(ctx)
}

// begin makes a new domain, and its directory if that is apart.
func (h *Hub) begin(ctx context.Context) error {
	if err := h.own(ctx, "init"); err != nil || h.member == nil {
		return err
	}
	return h.member.Run(ctx)
}

// PrepareHub writes the configuration of a hub that has no identity yet. The caller removes it with Remove.
func PrepareHub(opt HubOptions) (*Hub, error) {
	if opt.Hub == "" {
		opt.Hub = "a"
	}
	if opt.Domain == "" {
		opt.Domain = defaultDomain
	}
	t, err := newTree(opt.Bin, "tmss", opt.Addr)
	if err != nil {
		return nil, err
	}
	h := &Hub{tree: t, opt: opt}
	h.enter(opt.Inside)
	var ports []netip.AddrPort
	err = h.inside(func() error {
		ports, err = freeTCP(h.addr, 3)
		if err == nil && opt.Other.IsValid() {
			h.other, err = freeTCP(opt.Other, 2)
		}
		return err
	})
	if err == nil {
		h.tls, h.grpc, h.directory = ports[0], ports[1], ports[2]
		if opt.UDP {
			h.udp = h.tls // its port number is free there too: the address is the hub's alone
		}
		if opt.Apart {
			h.member, err = prepareMember(h)
		}
	}
	if err == nil {
		err = os.WriteFile(h.config, h.yaml(), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare hub %s: %w", opt.Hub, err), h.Remove())
	}
	return h, nil
}

func (h *Hub) yaml() []byte {
	text := fmt.Sprintf("hub: %s\ndomain: %s\nstate_dir: %s\n", h.opt.Hub, h.opt.Domain, h.dir)
	udp := ""
	if h.udp.IsValid() {
		udp = fmt.Sprintf("udp: [%q], ", h.udp)
	}
	tls, grpc := fmt.Sprintf("[%q]", h.tls), fmt.Sprintf("%q", h.grpc)
	if h.other != nil {
		tls, grpc = fmt.Sprintf("[%q, %q]", h.tls, h.other[0]), fmt.Sprintf("[%q, %q]", h.grpc, h.other[1])
	}
	text += fmt.Sprintf("listen: {tls: %s, %sgrpc: %s}\n", tls, udp, grpc)
	switch {
	case h.opt.Apart:
		text += fmt.Sprintf("directory: {embedded: false, endpoints: [%q]}\n", h.member.listen)
	case h.opt.Token == "":
		text += fmt.Sprintf("directory: {listen: %q}\n", h.directory)
	}
	return []byte(text + h.opt.Extra + "\n")
}

// Join spends a token of another hub, so that this one is part of its domain.
func (h *Hub) Join(ctx context.Context, token string) error {
	return h.own(ctx, "join", token)
}

// Run starts the supervisor of a hub that is not running, on the same state, and waits until it says that it is ready and
// answers operators.
func (h *Hub) Run(ctx context.Context) error {
	h.logged = len(h.Log())
	if err := h.launch(); err != nil {
		return err
	}
	return h.whileRunning(ctx, func(ctx context.Context) error {
		for !strings.Contains("\n"+h.Log()[h.logged:], "\nready\n") {
			if err := pause(ctx, pollEvery); err != nil {
				return err
			}
		}
		_, err := h.Ctl(ctx, "status")
		return err
	})
}

// Name is the hub's name.
func (h *Hub) Name() string { return h.opt.Hub }

// TLS is where trunks connect.
func (h *Hub) TLS() netip.AddrPort { return h.tls }

// UDP is where offices that are known by address send.
func (h *Hub) UDP() netip.AddrPort { return h.udp }

// GRPC is where routes are exchanged and nodes join.
func (h *Hub) GRPC() netip.AddrPort { return h.grpc }

// Kill ends supervisor and directory with SIGKILL, gives the moment, and waits until the supervisor is gone.
func (h *Hub) Kill() (time.Time, error) {
	directory := h.PID(Directory)
	at, err := h.KillSupervisor() // first: it would start the directory again
	if err != nil || directory == 0 {
		return at, err
	}
	if err := syscall.Kill(directory, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return at, fmt.Errorf("kill %s: %w", Directory, err)
	}
	return at, nil
}

// AddSite makes an office that owns prefixes such as 4xxx.
func (h *Hub) AddSite(ctx context.Context, site string, prefixes ...string) error {
	args := []string{"site", "add", site}
	for _, p := range prefixes {
		args = append(args, "--prefix", p)
	}
	_, err := h.Ctl(ctx, args...)
	return err
}

// SiteToken makes the string with which an office joins, once.
func (h *Hub) SiteToken(ctx context.Context, site string) (string, error) {
	text, err := h.Ctl(ctx, "site", "token", site)
	return strings.TrimSpace(text), err
}

// HubToken makes the string with which another hub joins, once.
func (h *Hub) HubToken(ctx context.Context, hub string) (string, error) {
	text, err := h.Ctl(ctx, "hub", "token", hub)
	return strings.TrimSpace(text), err
}

// Route is a path to numbers, as mssctl prints it.
type Route struct {
	Prefix  string `json:"prefix"`
	Rank    int    `json:"rank"` // 1 is taken; 0 is kept out
	NextHop string `json:"next_hop"`
	Site    string `json:"site"`
	Class   string `json:"class"`
	Stale   bool   `json:"stale"`
	Down    bool   `json:"down"`
}

// Routes are all paths that the hub knows.
func (h *Hub) Routes(ctx context.Context) (all []Route, err error) {
	text, err := h.Ctl(ctx, "route", "list", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	return all, err
}

// WaitTakesCalls waits until the hub has nothing to complain of: its directory is there, and gave it a key for cookies.
// Until then new calls are refused.
func (h *Hub) WaitTakesCalls(ctx context.Context) error {
	for {
		var status struct{ Alarms []string }
		text, err := h.Ctl(ctx, "status", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(text), &status)
		}
		if err == nil && len(status.Alarms) == 0 {
			return nil
		}
		if stop := pause(ctx, askEvery); stop != nil {
			return fmt.Errorf("hub %s takes no calls: %v: %w", h.opt.Hub, status.Alarms, errors.Join(stop, err))
		}
	}
}

// WaitRoutes waits until the hub has fresh routes that the named offices announced, and their trunks stand.
func (h *Hub) WaitRoutes(ctx context.Context, sites ...string) error {
	missing := sites
	for {
		routes, err := h.Routes(ctx)
		if err == nil {
			missing = slices.DeleteFunc(slices.Clone(sites), func(site string) bool {
				return slices.ContainsFunc(routes, func(r Route) bool {
					return r.NextHop == "site/"+site && r.Rank == 1 && r.Class == "learned" && !r.Stale && !r.Down
				})
			})
		}
		if err == nil && len(missing) == 0 {
			break
		}
		if stop := pause(ctx, askEvery); stop != nil {
			return fmt.Errorf("hub %s has no routes of %v: %w", h.opt.Hub, missing, errors.Join(stop, err))
		}
	}
	for _, site := range sites {
		if err := h.WaitPeer(ctx, "site/"+site); err != nil {
			return err
		}
	}
	return nil
}

// WaitPath waits until the hub takes a fresh path for a prefix whose next hop is as named, such as hub/b, and the trunk
// there stands.
func (h *Hub) WaitPath(ctx context.Context, prefix, nextHop string) error {
	for {
		routes, err := h.Routes(ctx)
		if err == nil && slices.ContainsFunc(routes, func(r Route) bool {
			return r.Prefix == prefix && r.NextHop == nextHop && r.Rank == 1 && !r.Stale && !r.Down
		}) {
			break
		}
		if stop := pause(ctx, askEvery); stop != nil {
			return fmt.Errorf("hub %s takes no path to %s by %s: %w", h.opt.Hub, prefix, nextHop, errors.Join(stop, err))
		}
	}
	return h.WaitPeer(ctx, nextHop)
}

// WaitPeer waits until the hub's session and trunk to a neighbour such as hub/b stand.
func (h *Hub) WaitPeer(ctx context.Context, peer string) error {
	if err := h.waitPeer(ctx, peer); err != nil {
		return fmt.Errorf("hub %s: %w", h.opt.Hub, err)
	}
	return nil
}

// WaitUplink waits until the office's session and trunk to a hub stand.
func (n *Node) WaitUplink(ctx context.Context, hub string) error {
	if err := n.waitPeer(ctx, "hub/"+hub); err != nil {
		return fmt.Errorf("office %s: %w", n.opt.Site, err)
	}
	return nil
}

// waitPeer waits until session and trunk to a neighbour stand.
func (n *tree) waitPeer(ctx context.Context, peer string) error {
	for {
		var peers []struct{ Node, Session, Trunk string }
		text, err := n.Ctl(ctx, "peer", "list", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(text), &peers)
		}
		for _, p := range peers {
			if p.Node == peer && p.Session == "SESSION_UP" && p.Trunk == "alive" {
				return nil
			}
		}
		if stop := pause(ctx, askEvery); stop != nil {
			return fmt.Errorf("no session and trunk to %s, but %v: %w", peer, peers, errors.Join(stop, err))
		}
	}
}
