package siptarget

import (
	"cmp"
	"net/netip"
	"slices"
)

// ordered puts servers in the order in which to try them (RFC 2782): by priority, and among equals at random,
// in proportion to their weights.
func ordered(servers []Server, random func(n int) int) []Server {
	servers = slices.Clone(servers)
	slices.SortStableFunc(servers, func(a, b Server) int {
		// Those of weight 0 first, so that they have their very small chance.
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(min(a.Weight, 1), min(b.Weight, 1)))
	})
	for start := 0; start < len(servers); {
		end := start + 1
		for end < len(servers) && servers[end].Priority == servers[start].Priority {
			end++
		}
		for ; start < end; start++ {
			chosen := start + draw(servers[start:end], random)
			one := servers[chosen]
			copy(servers[start+1:chosen+1], servers[start:chosen])
			servers[start] = one
		}
	}
	return servers
}

// draw chooses one of servers of one priority, those of weight 0 first.
func draw(servers []Server, random func(n int) int) int {
	sum := 0
	for _, s := range servers {
		sum += int(s.Weight)
	}
	if len(servers) == 1 {
		return 0
	}
	if sum == 0 {
		return random(len(servers))
	}
	mark := random(sum + 1)
	for i, s := range servers {
		if mark -= int(s.Weight); mark <= 0 {
			return i
		}
	}
	return len(servers) - 1
}

// interleaved takes turns between the families, IPv6 first (RFC 6724 §2.1, RFC 7984 §4): a family that
// leads nowhere costs one attempt, not all of its addresses. Who has no IPv6 leaves those out.
func interleaved(v4, v6 []netip.Addr) []netip.Addr {
	all := make([]netip.Addr, 0, len(v4)+len(v6))
	for i := range max(len(v4), len(v6)) {
		if i < len(v6) {
			all = append(all, v6[i])
		}
		if i < len(v4) {
			all = append(all, v4[i])
		}
	}
	return all
}
