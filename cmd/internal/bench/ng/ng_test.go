package ng

import (
	"bytes"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestBencode(t *testing.T) {
	t.Parallel()
	value := map[string]any{"sdp": "v=0\r\n", "flags": []string{"b", "a"}, "i": -7, "call-id": ""}
	const text = "d7:call-id0:5:flagsl1:b1:ae1:ii-7e3:sdp5:v=0\r\ne"
	if got := string(appendValue(nil, value)); got != text {
		t.Errorf("wrote %q, want %q", got, text)
	}
	got, rest, err := parseValue([]byte(text+"more"), 0)
	want := map[string]any{"sdp": "v=0\r\n", "flags": []any{"b", "a"}, "i": -7, "call-id": ""}
	if err != nil || string(rest) != "more" || !reflect.DeepEqual(got, want) {
		t.Errorf("read %#v, %q, %v", got, rest, err)
	}
	for _, bad := range []string{"", "x", "5:four", "-1:a", "i12", "ixe", "l1:a", "d1:ae", "d1:a", "di1e1:ae", strings.Repeat("l", 99)} {
		if v, _, err := parseValue([]byte(bad), 0); err == nil {
			t.Errorf("%q was read as %#v", bad, v)
		}
	}
}

// FuzzBencode: whatever arrives is refused or read, and takes no more than it is long.
func FuzzBencode(f *testing.F) {
	f.Add([]byte("d6:result4:ponge"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, rest, err := parseValue(b, 0); err == nil && !bytes.HasSuffix(b, rest) {
			t.Errorf("%q leaves %q", b, rest)
		}
	})
}

// answering is a server that gives these answers in turn, each with the cookie of its request and after a late answer to
// another one.
func answering(t *testing.T, answers ...string) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		buf := make([]byte, 4096)
		for _, answer := range answers {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			cookie, _, _ := bytes.Cut(buf[:n], []byte(" "))
			for _, datagram := range []string{"older d6:result4:ponge", string(cookie) + " " + answer} {
				if _, err := conn.WriteToUDPAddrPort([]byte(datagram), from); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close() // ends the reading
		<-served
	})
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

// What rtpengine 10.5 answers.
const (
	pong    = "d6:result4:ponge"
	offered = "d3:sdp138:v=0\r\no=- 1 1 IN IP4 127.99.1.1\r\ns=-\r\nc=IN IP4 127.99.1.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\na=rtcp:30001\r\n6:result2:oke"
	refused = "d6:result5:error12:error-reason22:No SDP body in messagee"
)

func TestCall(t *testing.T) {
	t.Parallel()
	local := netip.MustParseAddr("127.0.0.1")
	addr := answering(t, pong, offered, strings.Replace(offered, "30000", "30016", 1), refused, offered[:40], "d6:result2:oke")
	c, err := Dial(local, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b := netip.MustParseAddrPort("127.99.2.1:4000"), netip.MustParseAddrPort("127.99.3.1:5000")
	forA, forB, err := c.Call(t.Context(), "1", a, b)
	if err != nil || forA.String() != "127.99.1.1:30016" || forB.String() != "127.99.1.1:30000" {
		t.Errorf("a sends to %v, b to %v: %v", forA, forB, err)
	}
	for _, want := range []string{"refused: No SDP body", "not bencode", "no SDP"} {
		if _, _, err := c.Call(t.Context(), "1", a, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
