// Package contender starts the systems that are compared. Their calls: Kamailio, the anchor, a hub, and an L-MSS with more
// and more of what it does when it is shipped. Their voice: rtpengine, the anchor, and the media process. It makes no
// calls and measures nothing. Start at [All] and [Relays].
package contender

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The users of every contender.
const (
	Caller   = "4001"
	Called   = "4002"
	Password = "kettle-bridge-4001-lamp"
)

// Setup is what a contender works with.
type Setup struct {
	Bin    string         // folder of our built programs
	Files  string         // folder of the scenarios and Kamailio's configuration, deploy/bench
	Dir    string         // an empty folder of its own
	Caller netip.Addr     // where calls come from
	Callee netip.AddrPort // where they go
}

// Server is a running contender.
type Server interface {
	// Addr is where it takes calls over UDP.
	Addr() netip.AddrPort
	// PID is the process that all others of the server descend from.
	PID() int
	// Apart is one of them whose work has nothing to do with calls and is counted by itself; 0 means none.
	Apart() int
	// Stop ends the server and all its processes.
	Stop() error
}

// Contender is a system that carries calls.
type Contender struct {
	Name   string
	About  string // what it does, for people
	Digest bool   // its callers must prove their password
	// Start starts it and waits until it takes calls.
	Start func(context.Context, Setup) (Server, error)
}

// Anchor is the name of the contender that the others are compared with.
const Anchor = "kamailio"

// The names of those with a budget.
const (
	Hub     = "hub"
	Core    = "core"
	Shipped = "shipped"
)

// All are the contenders, in the order of the table.
func All() []Contender {
	return []Contender{
		{Name: Anchor, About: "Kamailio, stateful proxy with Record-Route", Start: startKamailio},
		{Name: Hub, About: "T-MSS: stateful proxy with Record-Route, between two offices known by address", Start: startHub},
		lmss(Core, "callers known by address, store off, voice not anchored", Parts{}),
		lmss("core+digest", "core, and a password for each INVITE", Parts{Digest: true}),
		lmss("core+store", "core, and calls and their records on disk", Parts{Store: true}),
		lmss("core+anchor", "core, and voice led through the media process (no RTP sent)", Parts{Anchor: true}),
		lmss(Shipped, "digest, store and voice as it is shipped (no RTP sent)", Parts{Digest: true, Store: true, Anchor: true}),
	}
}

// Named picks contenders by their names, which commas separate; "all" means all.
func Named(names string) ([]Contender, error) {
	all := All()
	if names == "all" {
		return all, nil
	}
	var picked []Contender
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(c Contender) bool { return c.Name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("%q is no contender: %s are", name, strings.Join(known(all), ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

func known(all []Contender) []string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.Name
	}
	return names
}
