package directory

import (
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
)

// voters is the size of a directory of several members: it goes on without one of them.
const voters = 3

// longestSocket is what a Unix socket's path may have, in bytes.
const longestSocket = 107

// Options say what one member is.
type Options struct {
	// Name is the hub that runs the member, such as "a".
	Name string
	// Dir keeps the data; it is made if it is not there, and is for this member alone.
	Dir string
	// Credentials is the hub's file of credentials; it is read again when it changes.
	Credentials string
	// Listen is the one address and port that hubs use, such as "192.0.2.7:2379".
	Listen string
	// Members are the three members of a directory of several, name to address of their PeerListen. Empty means that
	// this member is the whole directory. They are fixed at the first start.
	Members map[string]string
	// PeerListen is the address and port for other members. Empty means this member's entry in Members.
	PeerListen string
	// Ready is called once, when the member serves, with the address that it listens on. It may be nil.
	Ready  func(address string)
	Logger *slog.Logger
}

// EnsureDefaults fills in what was left out.
func (o *Options) EnsureDefaults() {
	if o.PeerListen == "" {
		o.PeerListen = o.Members[o.Name]
	}
	if o.Ready == nil {
		o.Ready = func(string) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate says what cannot be meant.
func (o *Options) Validate() error {
	const op = "check directory options"
	node := identity.Node{Domain: "example.org", Role: identity.Hub, ID: o.Name} // for the name's sake
	if err := node.Validate(); err != nil {
		return err
	}
	if o.Dir == "" || o.Credentials == "" {
		return fault.New(op, fault.Invalid, o.Name, "a folder and a file of credentials are needed")
	}
	if longest := clientSocket(o.Dir); len(longest) > longestSocket {
		return fault.New(op, fault.Invalid, longest, "the path of a socket has at most "+strconv.Itoa(longestSocket)+" bytes: choose a shorter folder")
	}
	if !bindable(o.Listen) {
		return fault.New(op, fault.Invalid, o.Listen, "listen has one address and a port, such as 192.0.2.7:2379")
	}
	return o.validateMembers(op)
}

func (o *Options) validateMembers(op string) error {
	if len(o.Members) == 0 {
		return nil
	}
	if len(o.Members) != voters {
		return fault.New(op, fault.Invalid, o.Name, "a directory has one member or three: two stop when one of them does")
	}
	if _, ok := o.Members[o.Name]; !ok {
		return fault.New(op, fault.Invalid, o.Name, "it is not among the members")
	}
	for name, address := range o.Members {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || port == "0" {
			return fault.New(op, fault.Invalid, name+" "+address, "a member has an address and a port, such as 192.0.2.7:2380")
		}
	}
	if !bindable(o.PeerListen) {
		return fault.New(op, fault.Invalid, o.PeerListen, "peer_listen has one address and a port, such as 192.0.2.7:2380")
	}
	return nil
}

// bindable wants one address: the directory is never on all of them.
func bindable(address string) bool {
	a, err := netip.ParseAddrPort(address)
	return err == nil && !a.Addr().IsUnspecified()
}
