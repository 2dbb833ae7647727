package siptarget

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// result is what came of a question.
type result struct {
	Answer
	err error
}

// asker answers questions, all at once, in their order.
type asker func([]Question) []result

// hostNames gives what the machine's own file says of a name.
type hostNames func(host string) []netip.Addr

// walk goes from a URI to targets by the rules of RFC 3263 §4. A name server that fails on a type it does not
// know is common; so a failure on NAPTR or SRV counts as "no such records", and only that of the addresses is
// one of the whole.
func (r *DNS) walk(q Query, hosts hostNames, ask asker) ([]Target, error) {
	q.Host = normalise(q.Host)
	if err := r.choose(&q); err != nil {
		return nil, err
	}
	if addr, err := netip.ParseAddr(q.Host); err == nil {
		if !usable(addr) || addr.Zone() != "" {
			return nil, fault.New(op, fault.Invalid, q.Host, "not an address of one machine in every place: give one without a zone")
		}
		return at(nil, q, q.Transport, q.Port, []netip.Addr{addr}), nil
	}
	if !IsName(q.Host) {
		return nil, fault.New(op, fault.Invalid, q.Host, "give a host name or an address")
	}
	if known := hosts(q.Host); len(known) > 0 {
		return at(nil, q, r.standard(q), q.Port, known), nil
	}
	if q.Port != 0 { // §4.2: a port leaves nothing to SRV
		return r.addresses(q, r.standard(q), ask)
	}
	return r.services(q, ask)
}

// choose settles what the URI alone decides (§4.1).
func (r *DNS) choose(q *Query) error {
	if q.Secure {
		if q.Transport == siptransport.UDP {
			return fault.New(op, fault.Invalid, q.Host, "sips cannot go over udp: use sip, or another transport")
		}
		if q.Transport != 0 || q.Port != 0 {
			q.Transport = siptransport.TLS
		}
	}
	if addr, err := netip.ParseAddr(q.Host); err == nil && addr.IsValid() {
		q.Transport = r.standard(*q)
	}
	needed := q.Transport
	if q.Secure {
		needed = siptransport.TLS
	}
	if needed != 0 && !slices.Contains(r.opts.Transports, needed) {
		return fault.New(op, fault.Invalid, q.Host, "nothing is sent over "+needed.Param()+" from here: use another transport")
	}
	return nil
}

// standard is the transport where neither URI nor records choose: UDP, TLS for sips.
func (r *DNS) standard(q Query) siptransport.Transport {
	switch {
	case q.Transport != 0:
		return q.Transport
	case q.Secure:
		return siptransport.TLS
	}
	return siptransport.UDP
}

// allowed are the transports that a query leaves open.
func (r *DNS) allowed(q Query) []siptransport.Transport {
	switch {
	case q.Transport != 0:
		return []siptransport.Transport{q.Transport}
	case q.Secure:
		return []siptransport.Transport{siptransport.TLS}
	}
	return r.opts.Transports
}

// services asks where the services of a name are. NAPTR and SRV are asked at once: it costs a question and saves
// a round trip.
func (r *DNS) services(q Query, ask asker) ([]Target, error) {
	allowed := r.allowed(q)
	usual := named(q.Host, allowed)
	var questions []Question
	for _, s := range usual {
		questions = append(questions, Question{s.name, SRV})
	}
	if q.Transport == 0 {
		questions = append(questions, Question{q.Host, NAPTR})
	}
	results := ask(questions)
	if q.Transport == 0 {
		if chosen := pointed(results[len(usual)].Pointers, allowed); len(chosen) > 0 {
			return r.servers(q, chosen, r.servicesOf(chosen, usual, results, ask), ask)
		}
	}
	return r.servers(q, usual, results[:len(usual)], ask)
}

// servicesOf are the SRV records of the services that NAPTR chose; those of the usual names are known.
func (r *DNS) servicesOf(chosen, usual []service, known []result, ask asker) []result {
	var missing []Question
	for _, s := range chosen {
		if !slices.ContainsFunc(usual, func(u service) bool { return u.name == s.name }) {
			missing = append(missing, Question{s.name, SRV})
		}
	}
	extra := ask(missing)
	results := make([]result, 0, len(chosen))
	for _, s := range chosen {
		if i := slices.IndexFunc(usual, func(u service) bool { return u.name == s.name }); i >= 0 {
			results = append(results, known[i])
			continue
		}
		results, extra = append(results, extra[0]), extra[1:]
	}
	return results
}

// servers turns SRV records into targets, service after service. Without any the name's own addresses serve,
// over the first transport that it was asked for by name, or the standard one.
func (r *DNS) servers(q Query, services []service, records []result, ask asker) ([]Target, error) {
	type place struct {
		transport siptransport.Transport
		Server
	}
	var places []place
	declined := false
	for i, s := range services {
		for _, one := range ordered(records[i].Servers, r.opts.Random) {
			if declined = declined || one.Name == ""; one.Name != "" && len(places) < maxServers {
				places = append(places, place{s.transport, one})
			}
		}
	}
	switch {
	case len(places) == 0 && declined:
		return nil, fault.New(op, fault.NotFound, q.Host, "the name offers no SIP over a transport that is spoken here")
	case len(places) == 0:
		transport := r.standard(q)
		if len(services) > 0 && q.Transport == 0 && services[0].name != prefixes[services[0].transport]+q.Host {
			transport = services[0].transport // NAPTR asked for it
		}
		return r.addresses(q, transport, ask)
	}
	var questions []Question
	for _, p := range places {
		questions = append(questions, Question{p.Name, A}, Question{p.Name, AAAA})
	}
	results := ask(questions)
	var all []Target
	var errs error
	for i, p := range places {
		addrs, err := both(p.Name, results[2*i], results[2*i+1])
		if errs = cmp.Or(errs, err); err == nil {
			all = at(all, q, p.transport, p.Port, addrs)
		}
	}
	if len(all) == 0 {
		return nil, errs
	}
	for i := range all {
		all[i].Offered = true
	}
	return all[:min(len(all), maxTargets)], nil
}

// addresses are the name's own.
func (r *DNS) addresses(q Query, transport siptransport.Transport, ask asker) ([]Target, error) {
	results := ask([]Question{{q.Host, A}, {q.Host, AAAA}})
	addrs, err := both(q.Host, results[0], results[1])
	if err != nil {
		return nil, err
	}
	return at(nil, q, transport, q.Port, addrs), nil
}

// both joins the families. One that nobody could say anything of does not spoil the other.
func both(host string, v4, v6 result) ([]netip.Addr, error) {
	addrs := slices.DeleteFunc(interleaved(v4.Addrs, v6.Addrs), func(a netip.Addr) bool { return !usable(a) })
	if len(addrs) > 0 {
		return addrs, nil
	}
	if err := cmp.Or(v4.err, v6.err); err != nil {
		return nil, err
	}
	return nil, fault.New(op, fault.NotFound, host, "the name has no address")
}

func at(all []Target, q Query, t siptransport.Transport, port uint16, addrs []netip.Addr) []Target {
	if port == 0 {
		port = DefaultPort(t)
	}
	for _, addr := range addrs {
		one := Target{Transport: t, Addr: netip.AddrPortFrom(addr.Unmap(), port), Host: q.Host}
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// usable says whether something can be sent to one machine at that address.
func usable(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }

// normalise gives equal names equal spelling.
func normalise(host string) string {
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// IsName says whether a text can be asked for: labels of at most 63 bytes, 253 in all (RFC 1035 §2.3.4).
func IsName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
