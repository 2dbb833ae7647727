package routetable

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// node is one node of a radix tree whose published nodes never change: a batch of changes copies the nodes
// on its way, once, and then owns the copies until it is published.
type node struct {
	label   string // what leads here from the parent
	entries []*Entry
	kids    *kids
	owner   uint64 // the batch that may change this node in place
}

// kids are the children of a node, ordered by the first byte of their labels; these bytes are a set of bits.
type kids struct {
	first [4]uint64
	nodes []*node
}

// find says at which place the child of a byte is, or would be.
func (k *kids) find(first byte) (at int, there bool) {
	word, bit := first>>6, uint64(1)<<(first&63)
	for i := range word {
		at += bits.OnesCount64(k.first[i])
	}
	return at + bits.OnesCount64(k.first[word]&(bit-1)), k.first[word]&bit != 0
}

func (k *kids) insert(at int, c *node) {
	k.first[c.label[0]>>6] |= 1 << (c.label[0] & 63)
	k.nodes = slices.Insert(k.nodes, at, c)
}

func (k *kids) delete(at int, first byte) {
	k.first[first>>6] &^= 1 << (first & 63)
	k.nodes = slices.Delete(k.nodes, at, at+1)
}

// treeKey is the string under which an NLRI stands in its family's tree. Domain names are turned round, so
// that a name's sub-domains lie under it.
func treeKey(family federation.Family, key string) string {
	if family != federation.URIDomain {
		return key
	}
	labels := strings.Split(strings.ToLower(key), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".") + "."
}

func (n *node) child(first byte) (int, *node) {
	if n.kids == nil {
		return 0, nil
	}
	at, there := n.kids.find(first)
	if !there {
		return at, nil
	}
	return at, n.kids.nodes[at]
}

// own gives a node that the batch may change.
func (n *node) own(batch uint64) *node {
	if n.owner == batch {
		return n
	}
	c := &node{label: n.label, entries: slices.Clone(n.entries), owner: batch}
	if n.kids != nil {
		c.kids = &kids{first: n.kids.first, nodes: slices.Clone(n.kids.nodes)}
	}
	return c
}

func (n *node) insertChild(at int, c *node) {
	if n.kids == nil {
		n.kids = &kids{}
	}
	n.kids.insert(at, c)
}

// set puts an entry under key, in place of the one with the same NLRI.
func (n *node) set(batch uint64, key string, e *Entry) *node {
	n = n.own(batch)
	if key == "" {
		at, found := slices.BinarySearchFunc(n.entries, e.NLRI, func(h *Entry, want federation.NLRI) int { return h.NLRI.Compare(want) })
		if found {
			n.entries[at] = e
		} else {
			n.entries = slices.Insert(n.entries, at, e)
		}
		return n
	}
	at, c := n.child(key[0])
	if c == nil {
		n.insertChild(at, &node{label: key, entries: []*Entry{e}, owner: batch})
		return n
	}
	common := commonPrefix(key, c.label)
	if common < len(c.label) {
		c = c.own(batch)
		middle := &node{label: c.label[:common], owner: batch}
		c.label = c.label[common:]
		middle.insertChild(0, c)
		c = middle
	}
	n.kids.nodes[at] = c.set(batch, key[common:], e)
	return n
}

// remove takes the entry of an NLRI away; the NLRI must be there.
func (n *node) remove(batch uint64, key string, nlri federation.NLRI) *node {
	n = n.own(batch)
	if key == "" {
		n.entries = slices.DeleteFunc(n.entries, func(e *Entry) bool { return e.NLRI == nlri })
		return n
	}
	at, c := n.child(key[0])
	c = c.remove(batch, key[len(c.label):], nlri)
	switch {
	case len(c.entries) > 0 || c.kids != nil && len(c.kids.nodes) > 1:
		n.kids.nodes[at] = c
	case c.kids != nil && len(c.kids.nodes) == 1: // a node without entries needs two children
		only := c.kids.nodes[0].own(batch)
		only.label = c.label + only.label
		n.kids.nodes[at] = only
	default:
		n.kids.delete(at, key[0])
		if len(n.kids.nodes) == 0 {
			n.kids = nil
		}
	}
	return n
}

// get finds the entry of an NLRI.
func (n *node) get(key string, nlri federation.NLRI) *Entry {
	for n != nil {
		if key == "" {
			for _, e := range n.entries {
				if e.NLRI == nlri {
					return e
				}
			}
			return nil
		}
		_, c := n.child(key[0])
		if c == nil || !strings.HasPrefix(key, c.label) {
			return nil
		}
		n, key = c, key[len(c.label):]
	}
	return nil
}

// along yields the entries at key and at all its prefixes, shortest first.
func (n *node) along(key string, yield func(*Entry)) {
	for n != nil {
		for _, e := range n.entries {
			yield(e)
		}
		if key == "" {
			return
		}
		_, c := n.child(key[0])
		if c == nil || !strings.HasPrefix(key, c.label) {
			return
		}
		n, key = c, key[len(c.label):]
	}
}

// after yields, in order, the entries whose key is greater than after, and those at it; all when bounded
// is false.
func (n *node) after(key string, bounded bool, yield func(*Entry) bool) bool {
	if !bounded || key == "" {
		for _, e := range n.entries {
			if !yield(e) {
				return false
			}
		}
		bounded = bounded && key != ""
	}
	if n.kids == nil {
		return true
	}
	for _, c := range n.kids.nodes {
		rest, within := "", bounded
		if bounded {
			common := commonPrefix(key, c.label)
			switch {
			case common == len(c.label):
				rest = key[common:]
			case common == len(key) || c.label[common] > key[common]:
				within = false
			default:
				continue // the whole branch lies before key
			}
		}
		if !c.after(rest, within, yield) {
			return false
		}
	}
	return true
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
