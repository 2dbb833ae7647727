package call

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"

	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/sdpedit"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// openMedia asks for the leg's voice endpoint, of the IP version of the peer's offer if it made one; without anchoring
// it is open at once.
func (l *Leg) openMedia(offer *sdpedit.Session) {
	l.media.session = l.call.env.NewEndpointID()
	l.media.version = 1
	if !l.call.cfg.Anchor {
		l.media.open = true
		return
	}
	l.media.bind, l.media.shown = l.call.env.VoiceAddr(l.flow, voiceFamily(offer))
	l.media.endpoint = l.media.session
	l.call.opening++
	l.call.env.OpenMedia(l, media.EndpointSpec{
		ID: l.media.endpoint, Group: l.call.group(), Local: l.media.bind, Timeout: l.call.cfg.MediaTimeout,
	})
}

// group keeps the endpoints of one call on one loop of the media process: the A leg's id is the call's.
func (c *Call) group() uint64 { return c.a.media.session }

// closeMedia gives the endpoint back.
func (l *Leg) closeMedia() {
	if l.media.endpoint != 0 && !l.media.closed {
		l.media.closed = true
		l.call.reports++
		l.call.env.CloseMedia(l)
	}
}

// described takes the peer's SDP. Nil changes nothing.
func (l *Leg) described(sdp *sdpedit.Session) {
	m := firstVoice(sdp)
	if m == nil {
		return
	}
	// Source learning is for phones behind NAT alone (RTP bleed): those whose signalling does not come
	// from where their Contact says, or that describe a private address from a public one.
	source := l.flow.Remote.Addr()
	behind := l.nat || l.node == "" && m.Addr.IsPrivate() && !source.IsPrivate() && !source.IsLoopback()
	l.media.generation++
	aim := media.Aim{
		RTP: netip.AddrPortFrom(m.Addr, uint16(m.Port)), RTCP: m.RTCP, Send: m.Receives(), Receive: m.Sends(),
		Generation: l.media.generation,
	}
	if behind {
		aim.Learn = media.LearnSource
	}
	l.through(&aim)
	if len(m.Formats) > 0 {
		aim.ClockRate = uint32(max(m.Formats[0].Rate, 0))
	}
	l.media.wish = wish{known: true, held: !m.Sends() || !m.Receives(), aim: aim}
}

// aim tells the relay where the peer listens.
func (l *Leg) aim() {
	if l.media.known && l.media.endpoint != 0 {
		l.call.env.AimMedia(l.media.endpoint, l.media.wish.aim)
	}
}

// firstVoice is the m-line that is relayed: the first of plain audio.
func firstVoice(s *sdpedit.Session) *sdpedit.Media {
	if i := voiceLine(s); i >= 0 {
		return &s.Media[i]
	}
	return nil
}

func voiceLine(s *sdpedit.Session) int {
	if s == nil {
		return -1
	}
	for i := range s.Media {
		if s.Media[i].Kind == "audio" && s.Media[i].Relayable() {
			return i
		}
	}
	return -1
}

// relayed writes the SDP that shows other's description to l's peer. The o= version moves only when
// the text changes (RFC 3264 §8).
func (l *Leg) relayed(other *sdpedit.Session) []byte {
	if other == nil {
		return nil
	}
	rewrite := l.rewrite(other)
	sdp := other.AppendRelayed(make([]byte, 0, 512), rewrite)
	if l.media.local != nil && !bytes.Equal(sdp, l.media.local) {
		l.media.version++
		rewrite.Version = l.media.version
		sdp = other.AppendRelayed(sdp[:0], rewrite)
	}
	l.media.local = bytes.Clone(sdp)
	return l.media.local
}

// rewrite says whose address and ports l's peer is shown: our relay's, or, without anchoring, the other
// phone's own.
func (l *Leg) rewrite(other *sdpedit.Session) sdpedit.Rewrite {
	r := sdpedit.Rewrite{SessionID: l.media.session, Version: l.media.version, Ports: make([]int, len(other.Media))}
	voice := voiceLine(other)
	if l.media.endpoint != 0 {
		r.Addr = l.media.shown
		if voice >= 0 {
			r.Ports[voice] = l.media.port
		}
		return r
	}
	if voice >= 0 {
		r.Addr = other.Media[voice].Addr
		for i := range other.Media {
			if other.Media[i].Addr == r.Addr {
				r.Ports[i] = other.Media[i].Port
			}
		}
	}
	return r
}

// join connects the voice of the two legs.
func (c *Call) join(a, b *Leg) {
	if a.media.endpoint != 0 && b.media.endpoint != 0 {
		c.env.JoinMedia(a.media.endpoint, b.media.endpoint)
	}
}

// parseSDP reads the SDP of a body. No body is no error: nil, nil.
func parseSDP(contentType string, body []byte) (*sdpedit.Session, error) {
	if len(body) == 0 {
		return nil, nil
	}
	sdp, err := sdpedit.Body(contentType, body)
	if err != nil {
		return nil, err
	}
	return sdpedit.Parse(sdp)
}

// offerOf reads the offer of an INVITE. What is no description and need not be understood counts as none
// (RFC 3261 §8.2.3).
func offerOf(req *siptx.Request) (*sdpedit.Session, error) {
	offer, err := parseSDP(contentType(req.Head.ContentType.Of(req.Raw)), req.Body())
	if errors.Is(err, sdpedit.ErrNoSDP) {
		_, params, _ := strings.Cut(sipheader.First(req.Raw, req.Head, "content-disposition"), ";")
		for param := range strings.SplitSeq(params, ";") {
			name, value, _ := strings.Cut(param, "=")
			if strings.EqualFold(strings.TrimSpace(name), "handling") && strings.EqualFold(strings.TrimSpace(value), "optional") {
				return nil, nil
			}
		}
	}
	return offer, err
}

// acceptSDP says what bodies are taken.
var acceptSDP = []field{{"Accept", "application/sdp"}}

// takesSDP says whether the answer to an INVITE may have SDP in it: the Accept header is a list of what may be
// in there, or is left out (RFC 3261 §20.1).
func takesSDP(req *siptx.Request) bool {
	listed := false
	for range sipheader.Values(req.Raw, req.Head, "accept") {
		listed = true
	}
	for kind := range sipheader.Tokens(req.Raw, req.Head, "accept") {
		kind, _, _ = strings.Cut(kind, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "application/sdp", "application/*", "*/*":
			return true
		}
	}
	return !listed
}
