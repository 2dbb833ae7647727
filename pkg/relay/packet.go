package relay

// Sizes and limits of RFC 3550.
const (
	rtpHeader  = 12
	rtcpHeader = 4
	rtpVersion = 2
	// Payload types 72 to 76 with the marker bit look like RTCP's 200 to 204 (§5.1, RFC 5761 §4).
	conflictLow  = 72
	conflictHigh = 76
	// RTCP packet types lie in 192 to 223 (RFC 5761 §4).
	rtcpLow  = 192
	rtcpHigh = 223
)

// header is what the relay needs of an RTP packet.
type header struct {
	pt        uint8
	seq       uint16
	timestamp uint32
	ssrc      uint32
}

// parseRTP checks an RTP packet (RFC 3550 §5.1, §A.1). A length that lies is refused here, so that no phone
// behind the relay has to survive it.
func parseRTP(b []byte) (header, bool) {
	if len(b) < rtpHeader || b[0]>>6 != rtpVersion {
		return header{}, false
	}
	h := header{
		pt:        b[1] & 0x7f,
		seq:       uint16(b[2])<<8 | uint16(b[3]),
		timestamp: be32(b[4:]),
		ssrc:      be32(b[8:]),
	}
	if h.pt >= conflictLow && h.pt <= conflictHigh {
		return header{}, false
	}
	end := rtpHeader + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 { // header extension, §5.3.1
		if len(b) < end+4 {
			return header{}, false
		}
		end += 4 + 4*(int(b[end+2])<<8|int(b[end+3]))
	}
	if len(b) < end {
		return header{}, false
	}
	if b[0]&0x20 != 0 { // padding counts itself and lies within the payload
		pad := int(b[len(b)-1])
		if pad == 0 || end+pad > len(b) {
			return header{}, false
		}
	}
	return h, true
}

// validRTCP checks a compound packet (RFC 3550 §A.2): each part's length leads to the next part and the
// last one to the end, and the chunks of an SDES lie within it. Packets of reduced size (RFC 5506) pass.
func validRTCP(b []byte) bool {
	if len(b) < rtcpHeader {
		return false
	}
	for len(b) > 0 {
		if len(b) < rtcpHeader || b[0]>>6 != rtpVersion || b[1] < rtcpLow || b[1] > rtcpHigh {
			return false
		}
		size := 4 * (1 + (int(b[2])<<8 | int(b[3])))
		if size > len(b) {
			return false
		}
		end := size
		if b[0]&0x20 != 0 {
			if !validPadding(b, size) {
				return false
			}
			end -= int(b[size-1])
		}
		if b[1] == sdesType && !validSDES(b[:end]) {
			return false
		}
		b = b[size:]
	}
	return true
}

// validPadding: only the last part of a compound packet is padded, in whole words (RFC 3550 §6.4.1).
func validPadding(b []byte, size int) bool {
	pad := int(b[size-1])
	return size == len(b) && pad != 0 && pad%4 == 0 && pad <= size-rtcpHeader
}

func be32(b []byte) uint32 {
	_ = b[3]
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
