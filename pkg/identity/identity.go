// Package identity says who a node of the domain is and proves it: names, certificates, the domain's root,
// what is kept on disk, TLS between nodes, and the token that lets a new node in.
//
// A certificate carries the URI mss://DOMAIN/ROLE/ID, which is the identity, and a DNS name under
// mss.internal, which dialers set as the ServerName so that Go's own verification does the work. It does
// not talk to anybody (see its folder enrolment) and does not keep who was revoked (see [Trust.SetRevoked]).
// Start at [Node], [ServerTLS] and [ClientTLS].
package identity

import (
	"net/url"
	"strings"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

// Role is what a certificate's holder may be in the domain.
type Role string

// The roles. A certificate with any other is refused.
const (
	Hub      Role = "hub"
	Site     Role = "site"
	Operator Role = "operator"
)

const (
	scheme = "mss"
	// suffix ends every DNS name of a node. It is never looked up: .internal is reserved for private use.
	suffix = "mss.internal"
)

// Node is the identity of one certificate holder. The zero Node is nobody.
type Node struct {
	Domain string // of the federation, such as "example.org"
	Role   Role
	ID     string // one DNS label, such as "a" or "london"
}

// URI is the identity as certificates carry it: "mss://example.org/hub/a".
func (n Node) URI() string { return n.url().String() }

// String is the URI.
func (n Node) String() string { return n.URI() }

func (n Node) url() *url.URL {
	return &url.URL{Scheme: scheme, Host: n.Domain, Path: "/" + string(n.Role) + "/" + n.ID}
}

// DNSName is what a dialer expects in the certificate: "a.hub.example.org.mss.internal".
func (n Node) DNSName() string {
	return n.ID + "." + string(n.Role) + "." + internalDomain(n.Domain)
}

// DirectoryName is a second DNS name of every hub, and of nobody else. The members of the directory expect it
// of each other: etcd can expect one name only, whichever member it dials.
func DirectoryName(domain string) string { return "directory." + internalDomain(domain) }

func internalDomain(domain string) string { return domain + "." + suffix }

// NodeID is the identity within its domain: "hub/a".
func (n Node) NodeID() federation.NodeID {
	return federation.NodeID(string(n.Role) + "/" + n.ID)
}

// Validate says whether the three parts can stand in a certificate.
func (n Node) Validate() error {
	const op = "read node identity"
	switch n.Role {
	case Hub, Site, Operator:
	default:
		return fault.New(op, fault.Invalid, string(n.Role), "the role is hub, site or operator")
	}
	if !isLabel(n.ID) {
		return fault.New(op, fault.Invalid, n.ID, "a name has 1 to 63 of a-z, 0-9 and hyphens inside")
	}
	return ValidateDomain(n.Domain)
}

// ValidateDomain says whether a federation can have this name: a DNS name in lower case, short enough that
// the names of its nodes are DNS names too.
func ValidateDomain(domain string) error {
	const op, longest = "read domain name", 253 - len(".operator..") - 63 - len(suffix)
	if len(domain) > longest {
		return fault.New(op, fault.Invalid, domain, "it is too long")
	}
	for label := range strings.SplitSeq(domain, ".") {
		if !isLabel(label) {
			return fault.New(op, fault.Invalid, domain, "a domain is a DNS name in lower case, such as example.org")
		}
	}
	return nil
}

// ParseURI reads what URI wrote, and nothing else.
func ParseURI(text string) (Node, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Node{}, &fault.Error{Op: "read node identity", Kind: fault.Invalid, Subject: text, Err: err}
	}
	return nodeOf(u)
}

func nodeOf(u *url.URL) (Node, error) {
	role, id, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	n := Node{Domain: u.Host, Role: Role(role), ID: id}
	if err := n.Validate(); err != nil {
		return Node{}, err
	}
	if u.String() != n.URI() {
		return Node{}, fault.New("read node identity", fault.Invalid, u.String(), "it is written mss://DOMAIN/ROLE/NAME")
	}
	return n, nil
}

// ParseNodeID reads "hub/a" as a node of the domain.
func ParseNodeID(domain string, id federation.NodeID) (Node, error) {
	role, name, _ := strings.Cut(string(id), "/")
	n := Node{Domain: domain, Role: Role(role), ID: name}
	return n, n.Validate()
}

// isLabel tells a DNS label in lower case (RFC 1123 §2.1).
func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
