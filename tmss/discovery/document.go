package discovery

import (
	"net"
	"slices"
	"strings"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
)

// Keys of the directory. A hub reads and follows the range that begins with /config/ and ends behind /nodes/.
const (
	nodesPrefix  = "/nodes/"
	sitesPrefix  = "/config/sites/"
	routesPrefix = "/config/routes/"
	cookiePrefix = "/keys/cookie/"
	enrollPrefix = "/enroll/"
	rangeBegin   = "/config/"
	rangeEnd     = "/nodes0"
	// RevocationsKey has the domain's identity.RevocationList in JSON.
	RevocationsKey = "/crl"
)

// Hub is a hub's own entry, under its lease.
type Hub struct {
	ID federation.HubID `json:"id"`
	// GRPC is host and port for exchange and API.
	GRPC string `json:"grpc"`
	// SIP has host and port for each transport: "tls", "tcp", "udp".
	SIP map[string]string `json:"sip,omitempty"`
	// GRPCAlso and SIPAlso are further addresses of the same, such as those of the other IP version. Hubs of earlier
	// versions look at the first ones alone.
	GRPCAlso []string            `json:"grpc_also,omitempty"`
	SIPAlso  map[string][]string `json:"sip_also,omitempty"`
	// Epoch grows with each start of the hub.
	Epoch uint64 `json:"epoch"`
	// Version is the program's, Protocol that of the exchange.
	Version  string `json:"version"`
	Protocol uint32 `json:"protocol"`
	// Gone is when the entry vanished; zero while it is there. A vanished hub is worth a probe and no more: it
	// may only have lost the directory.
	Gone time.Time `json:"-"`
}

// Node is the hub's identity.
func (h *Hub) Node(domain string) identity.Node {
	return identity.Node{Domain: domain, Role: identity.Hub, ID: string(h.ID)}
}

// GRPCAddresses are all of the gRPC port, the preferred one first.
func (h *Hub) GRPCAddresses() []string { return append([]string{h.GRPC}, h.GRPCAlso...) }

// SIPAddresses are all of one transport, the preferred one first.
func (h *Hub) SIPAddresses(transport string) []string {
	first := h.SIP[transport]
	if first == "" {
		return nil
	}
	return append([]string{first}, h.SIPAlso[transport]...)
}

// Change says who wrote a document last.
type Change struct {
	By string    `json:"by"`
	At time.Time `json:"at"`
	// Revision is the directory's at that change. It is given back with the next change of the document.
	Revision int64 `json:"-"`
}

// Block is a range of numbers: those that begin with Prefix and have MinLen to MaxLen digits. A leading + says
// that they are E.164 numbers; others are the domain's private digits. Lengths do not count the +.
type Block struct {
	Prefix string `json:"prefix"`
	MinLen uint8  `json:"min_len"`
	MaxLen uint8  `json:"max_len"`
}

// NLRI is the block as a route's destination.
func (b Block) NLRI(domain federation.Domain) federation.NLRI {
	digits, e164 := strings.CutPrefix(b.Prefix, "+")
	family := federation.Enterprise
	if e164 {
		family = federation.E164
	}
	return federation.NLRI{Domain: domain, Family: family, Key: digits, MinLen: b.MinLen, MaxLen: b.MaxLen}
}

// Site is an office as operators configured it.
type Site struct {
	ID federation.SiteID `json:"id"`
	// Owns are the numbers that the site may announce.
	Owns []Block `json:"owns,omitempty"`
	// Static is where the site's trunk is reached without a connection of its own: "udp 192.0.2.7:5060".
	// Empty, as usual: the site dials.
	Static   string `json:"static,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
	Changed  Change `json:"changed"`
}

// Route is a static route.
type Route struct {
	ID    string `json:"id"`
	Block Block  `json:"block"`
	// Via is the node that calls go to: "site/london" or "hub/b". Empty: they are refused.
	Via      federation.NodeID `json:"via,omitempty"`
	Cost     uint32            `json:"cost,omitempty"`
	Priority uint32            `json:"priority,omitempty"`
	Changed  Change            `json:"changed"`
}

// Invitation is what is kept of a join token.
type Invitation struct {
	Node    string    `json:"node"` // URI of who may join
	By      string    `json:"by"`
	Expires time.Time `json:"expires"`
}

func (h *Hub) validate() error {
	const op = "check hub"
	if err := validName(op, string(h.ID)); err != nil {
		return err
	}
	addresses := h.GRPCAddresses()
	for _, a := range h.SIP {
		addresses = append(addresses, a)
	}
	for _, also := range h.SIPAlso {
		addresses = append(addresses, also...)
	}
	for _, a := range addresses {
		if host, _, err := net.SplitHostPort(a); err != nil || host == "" {
			return fault.New(op, fault.Invalid, string(h.ID), "address "+a+" is not host and port")
		}
	}
	return nil
}

func (s *Site) validate() error {
	const op = "check site"
	if err := validName(op, string(s.ID)); err != nil {
		return err
	}
	for _, b := range s.Owns {
		if err := b.validate(op, string(s.ID)); err != nil {
			return err
		}
	}
	if s.Static == "" {
		return nil
	}
	transport, address, _ := strings.Cut(s.Static, " ")
	if _, _, err := net.SplitHostPort(address); err != nil || !slices.Contains([]string{"udp", "tcp"}, transport) {
		return fault.New(op, fault.Invalid, string(s.ID), "a static address is written \"udp 192.0.2.7:5060\" or with tcp")
	}
	return nil
}

func (r *Route) validate() error {
	const op = "check route"
	if err := validName(op, r.ID); err != nil {
		return err
	}
	if err := r.Block.validate(op, r.ID); err != nil {
		return err
	}
	if r.Via == "" {
		return nil
	}
	if n, err := identity.ParseNodeID("example.org", r.Via); err != nil || n.Role == identity.Operator { // any domain will do
		return fault.New(op, fault.Invalid, r.ID, "via "+string(r.Via)+" is not site/NAME or hub/NAME")
	}
	return nil
}

func (b Block) validate(op, subject string) error {
	if err := b.NLRI("").Check(); err != nil {
		return &fault.Error{Op: op, Kind: fault.Invalid, Subject: subject, Err: err}
	}
	return nil
}

// validName wants what can stand in a certificate.
func validName(op, name string) error {
	n := identity.Node{Domain: "example.org", Role: identity.Site, ID: name} // any domain will do
	if err := n.Validate(); err != nil {
		return &fault.Error{Op: op, Kind: fault.Invalid, Subject: name, Err: err}
	}
	return nil
}
