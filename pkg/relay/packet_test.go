package relay

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// rtpPacket makes a G.711 packet of 20 ms.
func rtpPacket(seq uint16, timestamp, ssrc uint32) []byte {
	b := make([]byte, rtpHeader+160)
	b[0] = rtpVersion << 6
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// receiverReport is an empty RR with an SDES that names a CNAME, as a phone sends it.
func receiverReport(ssrc uint32) []byte {
	b := []byte{0x80, 201, 0, 1, 0, 0, 0, 0, 0x81, 202, 0, 3, 0, 0, 0, 0, 1, 4, 't', 'e', 's', 't', 0, 0}
	binary.BigEndian.PutUint32(b[4:], ssrc)
	binary.BigEndian.PutUint32(b[12:], ssrc)
	return b
}

func TestParseRTP(t *testing.T) {
	t.Parallel()
	change := func(size int, set map[int]byte) []byte {
		b := append(rtpPacket(1, 2, 3), make([]byte, 8)...)[:size]
		for i, v := range set {
			b[i] = v
		}
		return b
	}
	tests := []struct {
		name string
		pkt  []byte
		want bool
	}{
		{"plain", rtpPacket(1, 2, 3), true},
		{"no payload", change(12, nil), true},
		{"empty", nil, false},
		{"short header", change(11, nil), false},
		{"version 1", change(172, map[int]byte{0: 0x40}), false},
		{"STUN", change(20, map[int]byte{0: 0, 1: 1}), false},
		{"RTCP sender report", change(28, map[int]byte{1: 200}), false},
		{"payload type 71", change(172, map[int]byte{1: 71}), true},
		{"fifteen CSRCs", change(72, map[int]byte{0: 0x8f}), true},
		{"CSRCs past the end", change(71, map[int]byte{0: 0x8f}), false},
		{"extension of no words", change(16, map[int]byte{0: 0x90}), true},
		{"extension without its header", change(15, map[int]byte{0: 0x90}), false},
		{"extension past the end", change(19, map[int]byte{0: 0x90, 15: 1}), false},
		{"extension of 65535 words", change(172, map[int]byte{0: 0x90, 14: 255, 15: 255}), false},
		{"padding", change(172, map[int]byte{0: 0xa0, 171: 160}), true},
		{"padding of nothing", change(172, map[int]byte{0: 0xa0, 171: 0}), false},
		{"padding into the header", change(172, map[int]byte{0: 0xa0, 171: 161}), false},
		{"padding without payload", change(12, map[int]byte{0: 0xa0, 11: 1}), false},
	}
	for _, test := range tests {
		h, ok := parseRTP(test.pkt)
		if ok != test.want {
			t.Errorf("%s: valid %v, want %v", test.name, ok, test.want)
		}
		if ok && test.name == "plain" && h != (header{seq: 1, timestamp: 2, ssrc: 3}) {
			t.Errorf("%s: %+v", test.name, h)
		}
	}
}

func TestValidRTCP(t *testing.T) {
	t.Parallel()
	padded := append([]byte{0xa0, 201, 0, 2, 0, 0, 0, 9}, 0, 0, 0, 4)
	tests := []struct {
		name string
		pkt  []byte
		want bool
	}{
		{"report and description", receiverReport(7), true},
		{"report of 28 bytes", append([]byte{0x80, 200, 0, 6}, make([]byte, 24)...), true},
		{"reduced size (RFC 5506)", []byte{0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2}, true},
		{"padding of the last part", padded, true},
		{"padding before the last part", append(bytes.Clone(padded), receiverReport(7)...), false},
		{"padding of three", append(bytes.Clone(padded[:11]), 3), false},
		{"padding past the start", append(bytes.Clone(padded[:11]), 12), false},
		{"empty", nil, false},
		{"three bytes", []byte{0x80, 201, 0}, false},
		{"length past the end", []byte{0x80, 201, 0, 2, 0, 0, 0, 1}, false},
		{"rest of two bytes", append(receiverReport(7), 0x80, 201), false},
		{"RTP", rtpPacket(1, 2, 3), false},
		{"version 1", []byte{0x40, 201, 0, 0}, false},
		{"type below", []byte{0x80, 191, 0, 0}, false},
		{"type above", []byte{0x80, 224, 0, 0}, false},
	}
	for _, test := range tests {
		if got := validRTCP(test.pkt); got != test.want {
			t.Errorf("%s: valid %v, want %v", test.name, got, test.want)
		}
	}
}

// FuzzPacket: no bytes break the parser or the flow, nothing is written beyond the payload type, and no report
// or description of RTCP (200 to 204) passes as RTP.
func FuzzPacket(f *testing.F) {
	f.Add(rtpPacket(1, 2, 3))
	f.Add(receiverReport(9))
	f.Add([]byte{0xb0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, pkt []byte) {
		_, isRTP := parseRTP(pkt)
		if isRTP && validRTCP(pkt) && pkt[1] >= 200 && pkt[1] <= 204 {
			t.Fatal("both RTP and RTCP")
		}
		var flow Flow
		flow.Aim(start, Aim{RTP: phone, Learn: LearnSource, Send: true, Receive: true, PayloadTypes: map[uint8]uint8{0: 8}})
		before := bytes.Clone(pkt)
		if got := flow.RTP(start, phone, pkt).Drop; (got == Passed) != isRTP {
			t.Fatalf("RTP verdict %v, valid %v", got, isRTP)
		}
		flow.RTCP(start, next(phone), pkt)
		if isRTP {
			flow.SendRTP(pkt)
			pkt[1] = before[1]
		}
		if !bytes.Equal(pkt, before) {
			t.Fatal("more than the payload type was changed")
		}
	})
}
