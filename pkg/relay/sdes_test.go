package relay

import (
	"bytes"
	"slices"
	"testing"
)

// report1 is a receiver report without blocks.
var report1 = []byte{0x80, 201, 0, 1, 0xde, 0xad, 0xbe, 0xef}

// sdes makes an SDES packet of chunks; pad is how many bytes of padding it has.
func sdes(pad int, chunks ...[]byte) []byte {
	p := []byte{0x80 | byte(len(chunks)), sdesType, 0, 0}
	p = append(p, slices.Concat(chunks...)...)
	if pad > 0 {
		p[0] |= 0x20
		p = append(p, make([]byte, pad)...)
		p[len(p)-1] = byte(pad)
	}
	words := len(p)/4 - 1
	p[2], p[3] = byte(words>>8), byte(words)
	return p
}

// item makes an item; chunkOf ends a chunk of items.
func item(kind byte, text string) []byte { return append([]byte{kind, byte(len(text))}, text...) }

func chunkOf(ssrc []byte, items ...[]byte) []byte {
	c := append(slices.Clone(ssrc), slices.Concat(items...)...)
	c = append(c, 0)
	for len(c)%4 != 0 {
		c = append(c, 0)
	}
	return c
}

func TestNamesDoNotPass(t *testing.T) {
	t.Parallel()
	ssrc, other := []byte{0xde, 0xad, 0xbe, 0xef}, []byte{0x01, 0x02, 0x03, 0x04}
	cname, own := item(sdesCNAME, "4001@10.0.0.7"), item(sdesCNAME, "deadbeef")
	tool, name := item(6, "Phone 3000 1.2.3"), item(2, "Alice")
	bye := []byte{0x81, 203, 0, 1, 0xde, 0xad, 0xbe, 0xef}
	for _, tc := range []struct {
		name       string
		have, want [][]byte
	}{
		{"no SDES", [][]byte{report1, bye}, [][]byte{report1, bye}},
		{"a CNAME", [][]byte{report1, sdes(0, chunkOf(ssrc, cname))}, [][]byte{report1, sdes(0, chunkOf(ssrc, own))}},
		{"more items", [][]byte{report1, sdes(0, chunkOf(ssrc, name, cname, tool)), bye}, [][]byte{report1, sdes(0, chunkOf(ssrc, own)), bye}},
		{"two sources", [][]byte{sdes(0, chunkOf(ssrc, cname, tool), chunkOf(other, tool, cname))}, [][]byte{sdes(0, chunkOf(ssrc, own), chunkOf(other, item(sdesCNAME, "01020304")))}},
		{"a short CNAME", [][]byte{sdes(0, chunkOf(ssrc, item(sdesCNAME, "ab")))}, [][]byte{sdes(0, chunkOf(ssrc, item(sdesCNAME, "ef")))}},
		{"an empty CNAME", [][]byte{sdes(0, chunkOf(ssrc, item(sdesCNAME, "")))}, [][]byte{sdes(0, chunkOf(ssrc, item(sdesCNAME, "")))}},
		{"no CNAME", [][]byte{sdes(0, chunkOf(ssrc, tool))}, [][]byte{sdes(0, chunkOf(ssrc))}},
		{"no source", [][]byte{sdes(0)}, [][]byte{sdes(0)}},
		{"padding", [][]byte{report1, sdes(8, chunkOf(ssrc, cname))}, [][]byte{report1, sdes(0, chunkOf(ssrc, own))}},
		{"two SDES", [][]byte{sdes(0, chunkOf(ssrc, cname)), sdes(0, chunkOf(other, cname))}, [][]byte{sdes(0, chunkOf(ssrc, own)), sdes(0, chunkOf(other, item(sdesCNAME, "01020304")))}},
	} {
		have, want := slices.Concat(tc.have...), slices.Concat(tc.want...)
		if !validRTCP(have) {
			t.Errorf("%s: refused", tc.name)
			continue
		}
		if got := withoutNames(have); !bytes.Equal(got, want) || !validRTCP(got) {
			t.Errorf("%s:\n got %x\nwant %x", tc.name, got, want)
		}
	}
}

func TestSDESThatLies(t *testing.T) {
	t.Parallel()
	ssrc := []byte{1, 2, 3, 4}
	long := sdes(0, append(slices.Clone(ssrc), sdesCNAME, 200, 'a', 'b'))
	count := sdes(0, chunkOf(ssrc, item(sdesCNAME, "abc")))
	count[0]++
	for name, pkt := range map[string][]byte{
		"an item longer than the packet":           long,
		"more sources than there are":              count,
		"a chunk without end":                      sdes(0, append(slices.Clone(ssrc), sdesCNAME, 2, 'a', 'b')),
		"an item that has a type alone":            sdes(0, append(slices.Clone(ssrc), sdesCNAME, 1, 'a', sdesCNAME)),
		"a chunk that reaches into the padding":    sdes(4, append(slices.Clone(ssrc), sdesCNAME, 2, 'a', 'b')),
		"a source without even its own whole SSRC": {0x81, sdesType, 0, 0},
	} {
		if validRTCP(pkt) {
			t.Errorf("%s passes: %x", name, pkt)
		}
	}
}

// FuzzWithoutNames wants whatever is valid to stay valid, not to grow, and to be left alone the second time.
func FuzzWithoutNames(f *testing.F) {
	f.Add(slices.Concat(report1, sdes(0, chunkOf([]byte{1, 2, 3, 4}, item(sdesCNAME, "4001@10.0.0.7"), item(6, "x")))))
	f.Add(sdes(8, chunkOf([]byte{1, 2, 3, 4}), chunkOf([]byte{5, 6, 7, 8}, item(sdesCNAME, "a"))))
	f.Fuzz(func(t *testing.T, pkt []byte) {
		if !validRTCP(pkt) {
			return
		}
		size := len(pkt)
		once := withoutNames(pkt)
		if len(once) > size || !validRTCP(once) {
			t.Fatalf("%d bytes of %d: %x", len(once), size, once)
		}
		if twice := withoutNames(slices.Clone(once)); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
	})
}
