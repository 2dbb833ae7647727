package tracering

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

var update = flag.Bool("update", false, "write testdata again")

// call is a call of 4001 to 4002 as its node saw it.
func call() []Entry {
	phoneA := siptransport.Flow{Transport: siptransport.UDP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.9:5062")}
	phoneB := siptransport.Flow{Transport: siptransport.TCP, Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.10:41000"), ID: 3}
	again := phoneB
	again.Remote, again.ID = netip.MustParseAddrPort("192.0.2.10:41007"), 4

	var entries []Entry
	add := func(out bool, flow siptransport.Flow, callID, start, cseq, extra string) {
		e := Entry{At: time.Date(2026, 1, 2, 15, 4, 5, len(entries)*1500000, time.UTC), Out: out, Flow: flow, CallID: callID}
		e.Message = fmt.Appendf(nil, "%s\r\nFrom: \"A. <sip:b@c>\" <sip:4001@example.org>;tag=1\r\nTo: <sip:4002@example.org>\r\nCall-ID: %s\r\nCSeq: %s\r\n"+
			"Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=0\r\n%s\r\n", start, callID, cseq, extra)
		entries = append(entries, e)
	}
	const sdp = "Content-Type: application/sdp\r\n"
	add(false, phoneA, "a1@192.0.2.9", "INVITE sip:4002@example.org SIP/2.0", "1 INVITE", sdp)
	add(true, phoneA, "a1@192.0.2.9", "SIP/2.0 407 Proxy Authentication Required", "1 INVITE", "")
	add(false, phoneA, "a1@192.0.2.9", "INVITE sip:4002@example.org SIP/2.0", "2 INVITE", sdp)
	add(false, phoneA, "a1@192.0.2.9", "INVITE sip:4002@example.org SIP/2.0", "2 INVITE", sdp)
	add(true, phoneB, "b1.0", "INVITE sip:4002@192.0.2.10:41000;transport=tcp SIP/2.0", "1 INVITE", sdp)
	add(false, phoneB, "b1.0", "SIP/2.0 180 Ringing", "1 INVITE", "")
	add(true, phoneA, "a1@192.0.2.9", "SIP/2.0 180 Ringing", "2 INVITE", "")
	add(false, phoneB, "b1.0", "SIP/2.0 200 OK", "1 INVITE", sdp)
	add(true, phoneA, "a1@192.0.2.9", "SIP/2.0 200 OK", "2 INVITE", sdp)
	add(false, phoneA, "a1@192.0.2.9", "ACK sip:192.0.2.1 SIP/2.0", "2 ACK", "")
	add(true, phoneB, "b1.0", "ACK sip:4002@192.0.2.10 SIP/2.0", "1 ACK", "")
	add(false, again, "b1.0", "BYE sip:192.0.2.1 SIP/2.0", "1 BYE", "")
	add(true, again, "b1.0", "SIP/2.0 200 OK", "1 BYE", "")
	return entries
}

func TestLadder(t *testing.T) {
	t.Parallel()
	got := Ladder(call(), Names(call(), "london"))
	file := filepath.Join("testdata", "ladder.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLadderWithoutNames(t *testing.T) {
	t.Parallel()
	got := Ladder(call(), nil)
	if !strings.Contains(got, "192.0.2.10:41007") || strings.Contains(got, "+1") {
		t.Errorf("each address must have its own column:\n%s", got)
	}
	if Ladder(nil, nil) != "" {
		t.Error("no messages, no ladder")
	}
}

// A stranger's bytes reach an operator's terminal here.
func FuzzLadder(f *testing.F) {
	f.Add([]byte("INVITE sip:\x1b[31m@example.org SIP/2.0\r\nCSeq: 1 \x1b[0m\r\nSession-ID: \x07\r\n\r\n"))
	f.Add([]byte("SIP/2.0 "))
	f.Fuzz(func(t *testing.T, msg []byte) {
		entries := []Entry{{Flow: udp, Message: msg, CallID: "x"}, {Flow: udp, Out: true, Message: msg, CallID: "x"}}
		for _, r := range Ladder(entries, nil) {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Fatalf("%q reaches the terminal", r)
			}
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	entries := call()
	names := Names(entries, "london")
	for addr, want := range map[string]string{
		"192.0.2.9:5062": "4001", "192.0.2.1:5060": "london", "192.0.2.10:41000": "4002", "192.0.2.10:41007": "4002", "192.0.2.99:5060": "",
	} {
		if got := names(netip.MustParseAddrPort(addr)); got != want {
			t.Errorf("%s is %q, want %q", addr, got, want)
		}
	}
	for i := range entries {
		entries[i].Flow.Remote = udp.Remote
	}
	if got := Names(entries, "london")(udp.Remote); got != "" {
		t.Errorf("both parties at one address, named %q", got)
	}
}
