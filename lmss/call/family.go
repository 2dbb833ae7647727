package call

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/mss-federation/mss/pkg/sdpedit"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// Each endpoint of the relay has one address, of one IP version. That of a caller's leg is of the version of its
// offer, where this site has that too; that of a callee's leg, to whom the offer is ours, of the version of its
// signalling. What does not fit is refused: better no call than a silent one.

// noFamily is what a caller reads when voice has no IP version that both ends of a leg speak.
const noFamily = "no common address family for voice: give both ends IPv4, or both IPv6"

// voiceFamily is an address of the IP version of the peer's voice; zero where it does not say.
func voiceFamily(sdp *sdpedit.Session) netip.Addr {
	m := firstVoice(sdp)
	if m == nil || m.Addr.IsUnspecified() { // RFC 3264 §8.4: 0.0.0.0 is a hold of old
		return netip.Addr{}
	}
	return m.Addr.Unmap()
}

// reaches says whether voice can be sent to where the peer wants it.
func (l *Leg) reaches(sdp *sdpedit.Session) bool {
	peer := voiceFamily(sdp)
	if !peer.IsValid() {
		return true
	}
	own := l.media.bind
	switch {
	case !l.call.cfg.Anchor && l.caller: // what the phones can do is seen from the answer
		return true
	case !l.call.cfg.Anchor:
		own = l.call.a.media.wish.aim.RTP.Addr()
	case !own.IsValid():
		own, _ = l.call.env.VoiceAddr(l.flow, peer)
	}
	return !own.IsValid() || own.IsUnspecified() || own.Unmap().Is4() == peer.Is4()
}

// familyWarning is the Warning of a refusal for that reason (RFC 3261 §20.43).
func (c *Call) familyWarning() []field {
	return []field{{"Warning", fmt.Sprintf(`301 %s "Incompatible network address formats: %s"`, c.cfg.Domain, noFamily)}}
}

// refuseFamily refuses a call whose callee's voice cannot be reached.
func (c *Call) refuseFamily() {
	c.failure.explain(488, noFamily, false)
	c.refuse()
}

// refusedFamily says whether a 488 is about that.
func refusedFamily(res *siptx.Response) bool {
	return strings.HasPrefix(sipheader.First(res.Raw, res.Head, "warning"), "301 ")
}
