package discovery

import "github.com/mss-federation/mss/pkg/federation"

// BlockOf is the block of a route's destination, which must be digits.
func BlockOf(n federation.NLRI) Block {
	b := Block{Prefix: n.Key, MinLen: n.MinLen, MaxLen: n.MaxLen}
	if n.Family == federation.E164 {
		b.Prefix = "+" + n.Key
	}
	return b
}
