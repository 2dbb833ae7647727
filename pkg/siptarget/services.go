package siptarget

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/siptransport"
)

// service is a transport at the name whose SRV records say where.
type service struct {
	transport siptransport.Transport
	name      string
}

// prefixes are where SRV records of a transport are (RFC 3263 §4.1).
var prefixes = map[siptransport.Transport]string{
	siptransport.UDP: "_sip._udp.", siptransport.TCP: "_sip._tcp.", siptransport.TLS: "_sips._tcp.",
}

// offers are what NAPTR records call the transports.
var offers = map[string]siptransport.Transport{
	"SIP+D2U": siptransport.UDP, "SIP+D2T": siptransport.TCP, "SIPS+D2T": siptransport.TLS,
}

// named are the services that a name has by convention, for transports in the order of preference.
func named(host string, transports []siptransport.Transport) []service {
	all := make([]service, 0, len(transports))
	for _, t := range transports {
		all = append(all, service{t, prefixes[t] + host})
	}
	return all
}

// pointed are the services that NAPTR records point to, in the domain's order (RFC 3263 §4.1): of the lowest
// order that has one we can use, all by their preference (RFC 3403 §4.1).
func pointed(pointers []Pointer, usable []siptransport.Transport) []service {
	pointers = slices.Clone(pointers)
	slices.SortStableFunc(pointers, func(a, b Pointer) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var all []service
	var order uint16
	for _, p := range pointers {
		transport := offers[strings.ToUpper(p.Service)]
		switch {
		case !slices.Contains(usable, transport), !strings.EqualFold(p.Flags, "s"), p.Regexp, p.Name == "":
			continue
		case len(all) > 0 && p.Order != order:
			return all
		}
		order = p.Order
		all = append(all, service{transport, p.Name})
	}
	return all
}
