package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mss-federation/mss/pkg/fault"
)

const (
	tokenPrefix  = "mss1-"
	secretSize   = 20 // bytes; 160 bits
	checksumSize = 4
	maxTokenSize = 8 << 10
	maxTokenHubs = 32 // addresses of all of them
	opToken      = "read token"
)

// TokenLifetime is how long a token can be spent.
const TokenLifetime = 10 * time.Minute

// HubAddress is where a hub's gRPC port is.
type HubAddress struct {
	Hub     string // ID, such as "a"
	Address string // host and port, such as "192.0.2.7:5443"; a name is looked up when it is dialled
}

// Token lets one new node into the domain, once. It carries the root certificate itself: the joining node
// verifies the hub under it before the secret leaves.
type Token struct {
	Node   Node         // who may join with it
	Hubs   []HubAddress // where to join, in order of preference; at least one. A hub with several addresses stands once for each
	Root   *x509.Certificate
	secret [secretSize]byte
}

// wireToken is what the text carries, in DER.
type wireToken struct {
	Domain string `asn1:"utf8"`
	Role   string `asn1:"utf8"`
	ID     string `asn1:"utf8"`
	Hubs   []wireHub
	Root   []byte
	Secret []byte
	// Also are further addresses of hubs that are in Hubs. Earlier versions pass over what is at the end.
	Also []wireHub `asn1:"optional,omitempty"`
}

// wireHub has the fields of HubAddress.
type wireHub struct {
	Hub     string `asn1:"utf8"`
	Address string `asn1:"utf8"`
}

// NewToken makes a token with a new secret.
func NewToken(node Node, root *x509.Certificate, hubs ...HubAddress) (*Token, error) {
	t := &Token{Node: node, Hubs: hubs, Root: root}
	_, _ = rand.Read(t.secret[:]) // never fails: crypto/rand.Read
	return t, t.validate()
}

func (t *Token) validate() error {
	if err := t.Node.Validate(); err != nil {
		return err
	}
	if len(t.Hubs) == 0 || len(t.Hubs) > maxTokenHubs {
		return fault.New(opToken, fault.Invalid, t.Node.URI(), "it names one to thirty-two addresses of hubs")
	}
	for _, hub := range t.Hubs {
		if err := t.HubNode(hub).Validate(); err != nil {
			return err
		}
		if !dialable(hub.Address) {
			return fault.New(opToken, fault.Invalid, hub.Address, "the hub's address is not one that can be dialled")
		}
	}
	if !t.Root.IsCA || domainOf(t.Root) != t.Node.Domain || t.Root.CheckSignatureFrom(t.Root) != nil {
		return fault.New(opToken, fault.Invalid, t.Node.URI(), "its certificate is not the root of "+t.Node.Domain)
	}
	return nil
}

func dialable(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// HubNode is the identity that the hub has to prove.
func (t *Token) HubNode(hub HubAddress) Node {
	return Node{Domain: t.Node.Domain, Role: Hub, ID: hub.Hub}
}

// Secret is what the joining node shows to the hub, and to nobody else.
func (t *Token) Secret() []byte { return slices.Clone(t.secret[:]) }

// Hash is what the domain keeps of the secret.
func (t *Token) Hash() string { return SecretHash(t.secret[:]) }

// SecretHash is the Hash of the token that has this secret. The secret is random and long: no salt, no
// stretching.
func SecretHash(secret []byte) string {
	sum := sha256.Sum256(append([]byte("mss token 1\x00"), secret...))
	return hex.EncodeToString(sum[:])
}

// String says whom the token is for. It keeps the secret out of logs.
func (t *Token) String() string { return "token for " + t.Node.URI() }

// Text is the one string that is handed over: mss1- and base64url, with a checksum. It holds the secret.
func (t *Token) Text() (string, error) {
	w := wireToken{
		Domain: t.Node.Domain, Role: string(t.Node.Role), ID: t.Node.ID,
		Root: t.Root.Raw, Secret: t.secret[:],
	}
	for i, hub := range t.Hubs {
		if named(t.Hubs[:i], hub.Hub) {
			w.Also = append(w.Also, wireHub(hub))
			continue
		}
		w.Hubs = append(w.Hubs, wireHub(hub))
	}
	der, err := asn1.Marshal(w)
	if err != nil {
		return "", err
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(der, tokenChecksum(der)...)), nil
}

func named(hubs []HubAddress, hub string) bool {
	return slices.ContainsFunc(hubs, func(h HubAddress) bool { return h.Hub == hub })
}

func tokenChecksum(der []byte) []byte {
	sum := sha256.Sum256(der)
	return sum[:checksumSize]
}

// ParseToken reads what Text wrote; white space from wrapped lines is ignored. Errors say what is wrong
// with the string and never show it.
func ParseToken(text string) (*Token, error) {
	der, err := decodeToken(text)
	if err != nil {
		return nil, err
	}
	var w wireToken
	if rest, err := asn1.Unmarshal(der, &w); err != nil || len(rest) > 0 {
		return nil, fault.New(opToken, fault.Invalid, "", "what it holds cannot be read: make a new one")
	}
	return w.token()
}

func decodeToken(text string) ([]byte, error) {
	damaged := fault.New(opToken, fault.Invalid, "", "it is damaged or not whole: copy all of it, from mss1- to the end")
	if len(text) > maxTokenSize {
		return nil, fault.New(opToken, fault.Invalid, "", "it is too long for a token")
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	body, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case ok:
	case strings.HasPrefix(text, "mss"):
		return nil, fault.New(opToken, fault.Invalid, "", "it is of a kind that this version does not know: it reads tokens that begin with mss1-")
	default:
		return nil, fault.New(opToken, fault.Invalid, "", "a token begins with mss1-; mssctl site token NAME or mssctl hub token NAME prints one")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) <= checksumSize {
		return nil, damaged
	}
	der, sum := raw[:len(raw)-checksumSize], raw[len(raw)-checksumSize:]
	if !bytes.Equal(sum, tokenChecksum(der)) {
		return nil, damaged
	}
	return der, nil
}

func (w *wireToken) token() (*Token, error) {
	root, err := x509.ParseCertificate(w.Root)
	if err != nil {
		return nil, &fault.Error{Op: opToken, Kind: fault.Invalid, Subject: "root certificate", Err: err}
	}
	t := &Token{Node: Node{Domain: w.Domain, Role: Role(w.Role), ID: w.ID}, Root: root}
	if copy(t.secret[:], w.Secret) != secretSize || len(w.Secret) != secretSize {
		return nil, fault.New(opToken, fault.Invalid, "", "its secret has the wrong length")
	}
	for _, hub := range w.Hubs {
		t.Hubs = append(t.Hubs, HubAddress(hub))
		for _, also := range w.Also {
			if also.Hub == hub.Hub {
				t.Hubs = append(t.Hubs, HubAddress(also))
			}
		}
	}
	return t, t.validate()
}
