package voice

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// G.711 in packets of 20 ms.
const (
	packetsPerSecond = 50
	samples          = 160 // and bytes
	header           = 12
	packetSize       = header + samples
)

// flow is the voice of one end of a call on its way to the other.
type flow struct {
	to, from netip.AddrPort // where it is sent to, and where it arrives from: the relay's ports for both ends
	packet   [packetSize]byte
	next     uint16 // the sequence number of the next packet
	first    uint16 // that of the first that counts
	heard    uint16 // that of the latest that arrived
	seen     uint64 // which of those up to it arrived: bit n is for heard-n
}

// newFlow fills in what all packets of a flow have: its number is their SSRC and in each byte of their voice.
func newFlow(number int) flow {
	f := flow{next: 1, first: 1}
	f.packet[0] = 0x80 // RTP version 2, PCMU
	binary.BigEndian.PutUint32(f.packet[8:], uint32(number))
	for i := range samples {
		f.packet[header+i] = byte(number*7 + i)
	}
	return f
}

// advance makes the flow's next packet.
func (f *flow) advance() {
	binary.BigEndian.PutUint16(f.packet[2:], f.next)
	binary.BigEndian.PutUint32(f.packet[4:], uint32(f.next)*samples)
	f.next++
}

// number is the flow that a packet says it belongs to; false if it is no packet of any.
func number(packet []byte) (int, bool) {
	if len(packet) != packetSize {
		return 0, false
	}
	return int(binary.BigEndian.Uint32(packet[8:])), true
}

// arrival is what a packet is to whoever hears it.
type arrival uint8

const (
	strange   arrival = iota
	warming           // sent before packets counted
	counted           // in its order
	overtaken         // after one that was sent later
)

// judge looks at a packet that has the flow's number and came from an address. Each packet comes once, as it was sent.
func (f *flow) judge(packet []byte, from netip.AddrPort) arrival {
	seq := binary.BigEndian.Uint16(packet[2:])
	if from != f.from || packet[0] != f.packet[0] || packet[1] != f.packet[1] || ahead(f.next, seq) <= 0 ||
		binary.BigEndian.Uint32(packet[4:]) != uint32(seq)*samples || !bytes.Equal(packet[header:], f.packet[header:]) {
		return strange
	}
	what := f.place(seq)
	if what != strange && ahead(seq, f.first) < 0 {
		return warming
	}
	return what
}

// place finds a number's place among those that have arrived.
func (f *flow) place(seq uint16) arrival {
	steps := ahead(seq, f.heard)
	if steps > 0 {
		f.heard, f.seen = seq, f.seen<<steps|1
		return counted
	}
	bit := uint64(1) << -steps // 0 for one that is too old to be known
	if bit == 0 || f.seen&bit != 0 {
		return strange
	}
	f.seen |= bit
	return overtaken
}

// ahead is how many steps a is after b. Sequence numbers go round; a run is shorter than half of a round.
func ahead(a, b uint16) int { return int(int16(a - b)) }
