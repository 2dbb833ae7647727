package registrar

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// Binding joins an address-of-record to one phone. It is a value; Path is shared and never changed in place.
type Binding struct {
	AoR federation.User
	// Contact is the header value as the phone sent it, without its expires parameter, so that the 200
	// can echo it: phones look for their own words in there.
	Contact string
	// RequestURI is the URI of the Contact: what a request to this phone has on its request line.
	RequestURI string
	// Target is where requests go: the source of the REGISTER, or the Contact's own address where the
	// phone is reached there (see [Registrar.Register]).
	Target siptransport.Flow
	// Flow is where the REGISTER came from. Target equals it for all but phones that listen elsewhere.
	Flow siptransport.Flow
	// Address is the Contact's address if its host is a literal, else the zero AddrPort: where a stream
	// phone may be dialled when it has not come back after a restart.
	Address netip.AddrPort
	// NAT says that the source is not the Contact's address.
	NAT bool
	// Lost says that the stream connection is gone: the phone cannot be reached until it registers again.
	Lost bool

	// Instance is the value of +sip.instance without quotes and brackets; RegID that of reg-id (RFC 5626
	// §4.1). Empty and zero mean absent.
	Instance string
	RegID    int
	CallID   string
	CSeq     uint32
	Q        Q
	Path     []string // Path header values, top first (RFC 3327)
	// UserAgent is for people. Never decide by it.
	UserAgent string

	Registered time.Time // first bound
	Refreshed  time.Time // last REGISTER that carried it
	Expires    time.Time

	uri contactURI // RequestURI, parsed
}

// Q is a Contact's preference in thousandths (RFC 3261 §20.10): 1000 is rung first. What sends none has 1000.
type Q int

// DefaultQ is the preference of a Contact without q.
const DefaultQ Q = 1000

// ID names the binding within the site: no two bindings have the same. It is the store's key.
func (b *Binding) ID() BindingID { return BindingID{b.AoR, b.RequestURI} }

// BindingID is an address-of-record and the text of a Contact URI.
type BindingID struct {
	AoR federation.User
	URI string
}

// Usable says whether a request can be sent to the phone at now.
func (b *Binding) Usable(now time.Time) bool { return !b.Lost && now.Before(b.Expires) }

// Remaining is the time left in whole seconds, rounded up; zero when expired.
func (b *Binding) Remaining(now time.Time) int {
	return int(max(0, b.Expires.Sub(now)+time.Second-1) / time.Second)
}

// AppendContact appends the Contact value for the 200: as sent, with the seconds that remain.
func (b *Binding) AppendContact(dst []byte, now time.Time) []byte {
	dst = append(dst, b.Contact...)
	dst = append(dst, ";expires="...)
	return strconv.AppendInt(dst, int64(b.Remaining(now)), 10)
}
