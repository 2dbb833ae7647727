package identity

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// Revocations says which certificates are no longer believed, before they expire. It is called in
// handshakes, at once from many goroutines, and does not block.
type Revocations interface {
	// Revoked is the reason, or empty.
	Revoked(certificate *x509.Certificate) string
}

// Trust is whom a node believes now: the roots of its domain and who was revoked. Connections consult it
// when they are made, and their owners again at each change, so that nothing outlives a revocation.
// It is safe for concurrent use.
type Trust struct {
	domain string

	mu struct {
		sync.RWMutex
		roots   []*x509.Certificate
		pool    *x509.CertPool
		revoked Revocations
		changed chan struct{}
	}
}

// NewTrust believes the roots of one domain.
func NewTrust(domain string, roots ...*x509.Certificate) *Trust {
	t := &Trust{domain: domain}
	t.mu.changed = make(chan struct{})
	t.SetRoots(roots...)
	return t
}

// Domain is the domain whose nodes are believed.
func (t *Trust) Domain() string { return t.domain }

// SetRoots replaces the roots. Certificates under roots that are gone are refused from now on.
func (t *Trust) SetRoots(roots ...*x509.Certificate) {
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.roots, t.mu.pool = slices.Clone(roots), pool
	t.announceLocked()
}

// SetRevoked replaces the list of the revoked; nil means that nobody is.
func (t *Trust) SetRevoked(list Revocations) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.revoked = list
	t.announceLocked()
}

func (t *Trust) announceLocked() {
	close(t.mu.changed)
	t.mu.changed = make(chan struct{})
}

// Changed is closed at the next change. Whoever owns connections then asks Check about each of them.
func (t *Trust) Changed() <-chan struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.changed
}

// Roots is the pool for Go's verifier; it is not to be changed.
func (t *Trust) Roots() *x509.CertPool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.pool
}

// Check says who the peer of a verified connection is, if it is still believed.
func (t *Trust) Check(state tls.ConnectionState) (Node, error) {
	node, err := PeerNode(state)
	if err != nil {
		return Node{}, err
	}
	return node, t.checkChains(node, state.VerifiedChains)
}

// checkChains wants one chain whose root is believed and in which nobody is revoked.
func (t *Trust) checkChains(node Node, chains [][]*x509.Certificate) error {
	const op = "check certificate"
	if node.Domain != t.domain {
		return fault.New(op, fault.Denied, node.URI(), "it is of another domain than "+t.domain)
	}
	t.mu.RLock()
	roots, revoked := t.mu.roots, t.mu.revoked
	t.mu.RUnlock()
	err := fault.New(op, fault.Denied, node.URI(), "its root is not believed any more")
	for _, chain := range chains {
		if !slices.ContainsFunc(roots, chain[len(chain)-1].Equal) {
			continue
		}
		reason := revokedIn(chain, revoked)
		if reason == "" {
			return nil
		}
		err = fault.New(op, fault.Denied, node.URI(), "it was revoked: "+reason)
	}
	return err
}

// revokedIn is why a chain is refused: who revokes a hub revokes what the hub issued.
func revokedIn(chain []*x509.Certificate, revoked Revocations) string {
	if revoked == nil {
		return ""
	}
	for _, c := range chain {
		if reason := revoked.Revoked(c); reason != "" {
			return reason
		}
	}
	return ""
}

// Revocation is one entry of the domain's list: all certificates of a node that were made before an
// instant, so that the node can join again afterwards.
type Revocation struct {
	Node   string    `json:"node"` // URI
	Before time.Time `json:"before"`
	Reason string    `json:"reason"` // never empty; "revoked" where nobody gave one
}

// RevocationList is the domain's list in the directory.
type RevocationList []Revocation

// Revoked finds a certificate's entry.
func (l RevocationList) Revoked(certificate *x509.Certificate) string {
	if len(certificate.URIs) == 0 {
		return ""
	}
	uri := certificate.URIs[0].String()
	// Certificates are back-dated, and the one that took part in the incident may be seconds old.
	made := certificate.NotBefore.Add(BackDating)
	for _, r := range l {
		if r.Node == uri && made.Before(r.Before) {
			return r.Reason
		}
	}
	return ""
}

// Without is the list with no entry for a node.
func (l RevocationList) Without(node Node) RevocationList {
	uri := node.URI()
	return slices.DeleteFunc(slices.Clone(l), func(r Revocation) bool { return r.Node == uri })
}
