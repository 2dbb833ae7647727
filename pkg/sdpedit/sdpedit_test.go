package sdpedit

import (
	"net/netip"
	"strings"
	"testing"
)

// plain is the offer of an ordinary phone.
const plain = "v=0\r\n" +
	"o=user1 53655765 2353687637 IN IP4 192.0.2.9\r\n" +
	"s=-\r\n" +
	"c=IN IP4 192.0.2.9\r\n" +
	"t=0 0\r\n" +
	"m=audio 6000 RTP/AVP 8 0 101\r\n" +
	"a=rtpmap:8 PCMA/8000\r\n" +
	"a=rtpmap:0 PCMU/8000\r\n" +
	"a=rtpmap:101 telephone-event/8000\r\n" +
	"a=fmtp:101 0-15\r\n" +
	"a=ptime:20\r\n" +
	"a=sendrecv\r\n"

var rewrite = Rewrite{Addr: netip.MustParseAddr("198.51.100.1"), Ports: []int{16384, 16386}, SessionID: 7, Version: 9}

// lines joins SDP lines; a trailing empty one ends the last.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n" }

func parse(tb testing.TB, text string) *Session {
	tb.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		tb.Fatalf("%v in %q", err, text)
	}
	return s
}

func edit(t *testing.T, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("nothing to edit: %q", oldNew[i])
		}
		text = strings.Replace(text, oldNew[i], oldNew[i+1], 1)
	}
	return text
}
