package sdpedit

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
)

// Rewrite is what becomes ours in a description.
type Rewrite struct {
	Addr netip.Addr // of our media on the other leg
	// Ports are our RTP ports, one a media line; 0, or none, refuses that line. RTCP is on the next one.
	Ports []int
	// SessionID and Version are those of our o= line on that leg. The version grows by one when, and only
	// when, the rest of the description changes (RFC 3264 §8); see SameMedia.
	SessionID, Version uint64
}

// AppendRelayed writes the description for the other leg. Hold by address (RFC 2543) becomes hold by
// attribute, since the address is ours now.
func (s *Session) AppendRelayed(dst []byte, r Rewrite) []byte {
	dst = append(dst, "v=0\r\no=- "...)
	dst = strconv.AppendUint(dst, r.SessionID, 10)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, r.Version, 10)
	dst = appendAddr(append(dst, ' '), r.Addr)
	dst = appendAddr(append(dst, "\r\ns=-\r\nc="...), r.Addr)
	dst = append(dst, "\r\n"...)
	timed := false
	for _, l := range s.lines[:s.head] {
		switch {
		case l.kind == 't':
			timed = true
		case l.kind == 'a' && !timed:
			dst = append(dst, "t=0 0\r\n"...)
			timed = true
		}
		dst = appendLine(dst, l)
	}
	if !timed {
		dst = append(dst, "t=0 0\r\n"...)
	}
	for i := range s.Media {
		port := 0
		if i < len(r.Ports) {
			port = r.Ports[i]
		}
		dst = s.appendMedia(dst, &s.Media[i], port)
	}
	return dst
}

// AppendRejected writes the description with every media line refused, whatever r.Ports says.
func (s *Session) AppendRejected(dst []byte, r Rewrite) []byte {
	r.Ports = nil
	return s.AppendRelayed(dst, r)
}

// appendMedia writes one media line; of a refused one nothing but the m= line is of use to anyone.
func (s *Session) appendMedia(dst []byte, m *Media, port int) []byte {
	dst = append(dst, "m="...)
	dst = append(dst, m.Kind...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(port), 10)
	dst = append(dst, ' ')
	dst = append(dst, m.Proto...)
	dst = append(dst, ' ')
	dst = append(dst, m.formats...)
	dst = append(dst, "\r\n"...)
	if port == 0 {
		return dst
	}
	held := m.Addr.IsUnspecified()
	for _, l := range s.lines[m.first+1 : m.last] {
		if held && l.kind == 'a' {
			if _, ok := direction(l.value); ok {
				continue
			}
		}
		dst = appendLine(dst, l)
	}
	if held {
		d := SendOnly
		if !m.Sends() {
			d = Inactive
		}
		dst = append(dst, "a="...)
		dst = append(dst, d.String()...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// appendLine writes a line unless it is ours to write, personal (i=, u=, e=, p=), or about keys (k=).
func appendLine(dst []byte, l line) []byte {
	switch l.kind {
	case 'v', 'o', 's', 'c', 'i', 'u', 'e', 'p', 'k':
		return dst
	case 'a':
		if ours(l.value) {
			return dst
		}
	}
	dst = append(dst, l.kind, '=')
	dst = append(dst, l.value...)
	return append(dst, "\r\n"...)
}

// ours says whether an attribute is about the hop between the writer and us: its RTCP address, ICE,
// multiplexing, bundling, and keys. It would be wrong, or worse than wrong, on the other leg.
func ours(attribute string) bool {
	name, _, _ := strings.Cut(attribute, ":")
	switch name {
	case "rtcp",
		"candidate", "remote-candidates", "end-of-candidates",
		"rtcp-mux", "rtcp-mux-only", "group", "mid", "bundle-only", "ssrc", "ssrc-group", "msid", "msid-semantic",
		"crypto", "key-mgmt", "setup", "fingerprint", "tls-id":
		return true
	}
	return strings.HasPrefix(name, "ice-")
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if a.Is4() {
		dst = append(dst, "IN IP4 "...)
	} else {
		dst = append(dst, "IN IP6 "...)
	}
	return a.AppendTo(dst)
}

// SameMedia says whether s and o would read the same on the other leg: whether a description that was
// sent for o may be sent for s with its version unchanged. Where the writer wants its own media is not
// part of that.
func (s *Session) SameMedia(o *Session) bool {
	if len(s.Media) != len(o.Media) {
		return false
	}
	return bytes.Equal(s.comparable(), o.comparable())
}

// comparable is the description with everything that is ours made equal.
func (s *Session) comparable() []byte {
	var ports [MaxMedia]int
	for i := range s.Media {
		ports[i] = min(s.Media[i].Port, 1)
	}
	return s.AppendRelayed(make([]byte, 0, 1024), Rewrite{Ports: ports[:len(s.Media)]})
}

// MatchAnswer says whether an answer fits its offer: as many media lines, in the order of the offer
// (RFC 3264 §6), and none switched on that the offer had switched off.
func MatchAnswer(offer, answer *Session) error {
	if len(offer.Media) != len(answer.Media) {
		return refuse(0, ErrAnswer)
	}
	for i := range offer.Media {
		o, a := &offer.Media[i], &answer.Media[i]
		if o.Kind != a.Kind || o.Port == 0 && a.Port != 0 {
			return refuse(a.first+1, ErrAnswer)
		}
	}
	return nil
}
