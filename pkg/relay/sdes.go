package relay

// An SDES packet (RFC 3550 §6.5) says who a source is: its CNAME is often user@address, with the address that the
// phone has behind its NAT, and other items name people and products. None of that passes the relay. What is left is
// a CNAME made of the SSRC, which the RTP shows anyway and which is as unique as RFC 7022 asks for within the call.

const (
	sdesType  = 202
	sdesCNAME = 1
	// cnameLength is the longest CNAME that is written: the SSRC in hex, or its end.
	cnameLength = 8
)

// chunk is one source's part of an SDES packet.
type chunk struct {
	size  int // with the nulls that fill its last word
	cname int // length of the CNAME's text, -1 without one
}

// parseChunk reads the chunk at the beginning of b; false if it does not end within b.
func parseChunk(b []byte) (chunk, bool) {
	c := chunk{cname: -1}
	for at := 4; at < len(b); {
		if b[at] == 0 {
			c.size = (at + 4) &^ 3 // at least one null, to the next word; b is whole words
			return c, true
		}
		if at+2 > len(b) {
			return c, false
		}
		length := int(b[at+1])
		if b[at] == sdesCNAME && c.cname < 0 {
			c.cname = length
		}
		at += 2 + length
	}
	return c, false
}

// validSDES checks the chunks of one SDES packet, without its padding.
func validSDES(b []byte) bool {
	count := int(b[0] & 0x1f)
	b = b[rtcpHeader:]
	for range count {
		c, ok := parseChunk(b)
		if !ok {
			return false
		}
		b = b[c.size:]
	}
	return true
}

// withoutNames takes what names people and machines out of a compound packet that validRTCP has passed. It writes in
// place, never more than was there, and gives what is left.
func withoutNames(pkt []byte) []byte {
	out := pkt[:0]
	for len(pkt) > 0 {
		size := 4 * (1 + (int(pkt[2])<<8 | int(pkt[3])))
		part := pkt[:size]
		pkt = pkt[size:]
		if part[1] != sdesType {
			out = append(out, part...)
			continue
		}
		out = appendAnonymous(out, part)
	}
	return out
}

// appendAnonymous writes an SDES packet again, without its padding. dst ends at or before part.
func appendAnonymous(dst, part []byte) []byte {
	count, begin := int(part[0]&0x1f), len(dst)
	rest := part[rtcpHeader:]
	dst = append(dst, rtpVersion<<6|byte(count), sdesType, 0, 0)
	for range count {
		c, _ := parseChunk(rest)
		ssrc := be32(rest)
		dst = append(dst, rest[:4]...)
		if c.cname >= 0 {
			length := min(c.cname, cnameLength)
			dst = append(dst, sdesCNAME, byte(length))
			for i := range length {
				dst = append(dst, "0123456789abcdef"[ssrc>>(4*(length-1-i))&15])
			}
		}
		dst = append(dst, 0)
		for (len(dst)-begin)%4 != 0 {
			dst = append(dst, 0)
		}
		rest = rest[c.size:]
	}
	words := (len(dst)-begin)/4 - 1
	dst[begin+2], dst[begin+3] = byte(words>>8), byte(words)
	return dst
}
