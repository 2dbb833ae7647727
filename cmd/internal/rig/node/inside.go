package node

// Inside calls f where sockets and processes are to be made, such as in a network namespace; whatever f makes stays there.
type Inside func(f func() error) error

// here makes them where this process's own are.
func here(f func() error) error { return f() }

// enter says where sockets and processes of a node are made; nil is here.
func (n *tree) enter(inside Inside) {
	if inside != nil {
		n.inside = inside
	}
}

// bound are the sockets that are bound to the node's address.
func (n *tree) bound() (out []string) {
	err := n.inside(func() error {
		out = Bound(n.addr)
		return nil
	})
	if err != nil {
		return []string{err.Error()}
	}
	return out
}
