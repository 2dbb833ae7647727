package contender

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Ends are two addresses of one call: of its ends, or of what the relay has for each of them.
type Ends [2]netip.AddrPort

// RelayServer is a running relay.
type RelayServer interface {
	// Lead relays calls between their ends. Of each call it gives where either end sends to, and hears from.
	Lead(ctx context.Context, calls []Ends) ([]Ends, error)
	// Addr is the address of all its voice sockets.
	Addr() netip.Addr
	// Dropped is what the relay says it did not pass on, and why; empty when it says nothing.
	Dropped(ctx context.Context) string
	// PID is the process that all others of the relay descend from.
	PID() int
	// Stop ends the relay and all its processes.
	Stop() error
}

// RelaySetup is what a relay works with.
type RelaySetup struct {
	Bin string // folder of our built programs
	Dir string // an empty folder of its own
}

// Relay is a system that passes voice between the ends of calls.
type Relay struct {
	Name  string
	About string // what it does, for people
	// Start starts it and waits until it takes calls.
	Start func(context.Context, RelaySetup) (RelayServer, error)
}

// The names of the relays. The anchor is what ours is compared with.
const (
	RelayAnchor = "rtpengine"
	RelayMedia  = "lmss-media"
)

// Relays are all of them, in the order of the table.
func Relays() []Relay {
	return []Relay{
		{Name: RelayAnchor, About: "rtpengine in userspace (--table=-1), with its defaults", Start: startRTPEngine},
		{Name: RelayMedia, About: "the media process of the L-MSS, by its control socket", Start: startMedia},
	}
}

// NamedRelays picks relays by their names, which commas separate.
func NamedRelays(names string) ([]Relay, error) {
	all := Relays()
	var picked []Relay
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(r Relay) bool { return r.Name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("%q is no relay: %s and %s are", name, RelayAnchor, RelayMedia)
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}
