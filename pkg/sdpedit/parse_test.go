package sdpedit

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/fault"
)

func TestParse(t *testing.T) {
	t.Parallel()
	s := parse(t, plain)
	if want := (Origin{"user1", "53655765", "2353687637", "192.0.2.9"}); s.Origin != want {
		t.Errorf("origin %+v", s.Origin)
	}
	want := []Format{
		{PT: 8, Encoding: "PCMA", Rate: 8000, Channels: 1},
		{PT: 0, Encoding: "PCMU", Rate: 8000, Channels: 1},
		{PT: 101, Encoding: "telephone-event", Rate: 8000, Channels: 1, Fmtp: "0-15"},
	}
	m := &s.Media[0]
	if !reflect.DeepEqual(m.Formats, want) {
		t.Errorf("formats %+v", m.Formats)
	}
	if m.Kind != "audio" || m.Port != 6000 || m.Proto != "RTP/AVP" || m.Direction != SendRecv || !m.Relayable() ||
		m.Addr != netip.MustParseAddr("192.0.2.9") || m.RTCP != netip.MustParseAddrPort("192.0.2.9:6001") {
		t.Errorf("media %+v", m)
	}
}

func TestParseMedia(t *testing.T) {
	t.Parallel()
	s := parse(t, lines("v=0", "o=- 1 2 IN IP6 2001:db8::1", "c=IN IP6 2001:db8::1", "a=recvonly",
		"m=audio 5004/2 RTP/SAVP 0 9 0 96 97",
		"c=IN IP4 192.0.2.5/127", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1; maxplaybackrate=16000",
		"a=rtpmap:96 other/8000", "a=rtpmap:55 unlisted/8000", "a=rtcp:5010 IN IP4 192.0.2.6",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:y", "a=inactive",
		"m=video 0 RTP/AVP *",
		"m=image 6002 udptl t38", "a=T38FaxVersion:0"))
	a, v, i := &s.Media[0], &s.Media[1], &s.Media[2]
	want := []Format{
		{PT: 0, Encoding: "PCMU", Rate: 8000, Channels: 1},
		{PT: 9, Encoding: "G722", Rate: 8000, Channels: 1},
		{PT: 96, Encoding: "other", Rate: 8000, Channels: 1, Fmtp: "useinbandfec=1; maxplaybackrate=16000"},
		{PT: 97, Channels: 1},
	}
	if !reflect.DeepEqual(a.Formats, want) {
		t.Errorf("formats %+v", a.Formats)
	}
	if a.Port != 5004 || a.Direction != Inactive || a.Relayable() || len(a.Crypto) != 2 ||
		a.Addr != netip.MustParseAddr("192.0.2.5") || a.RTCP != netip.MustParseAddrPort("192.0.2.6:5010") {
		t.Errorf("audio %+v", a)
	}
	if v.Port != 0 || v.Direction != RecvOnly || v.Sends() || v.Receives() || len(v.Formats) != 0 || v.RTCP.IsValid() {
		t.Errorf("video %+v", v)
	}
	if i.Formats != nil || i.formats != "t38" || i.Relayable() || i.Addr != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("image %+v", i)
	}
}

func TestSendsAndReceives(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		edits           []string
		sends, receives bool
	}{
		{nil, true, true},
		{[]string{"a=sendrecv\r\n", ""}, true, true},
		{[]string{"a=sendrecv", "a=sendonly"}, true, false},
		{[]string{"a=sendrecv", "a=recvonly"}, false, true},
		{[]string{"a=sendrecv", "a=inactive"}, false, false},
		{[]string{"a=sendrecv\r\n", "", "t=0 0", "t=0 0\r\na=sendonly"}, true, false},
		{[]string{"c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0"}, true, false},
		{[]string{"c=IN IP4 192.0.2.9", "c=IN IP6 ::"}, true, false},
		{[]string{"audio 6000", "audio 0"}, false, false},
	} {
		m := &parse(t, edit(t, plain, c.edits...)).Media[0]
		if m.Sends() != c.sends || m.Receives() != c.receives {
			t.Errorf("%q: sends %v, receives %v", c.edits, m.Sends(), m.Receives())
		}
	}
}

func TestParseForgives(t *testing.T) {
	t.Parallel()
	want := parse(t, plain)
	for name, text := range map[string]string{
		"LF":              strings.ReplaceAll(plain, "\r\n", "\n"),
		"last line open":  strings.TrimSuffix(plain, "\r\n"),
		"blank at end":    plain + "\r\n\n",
		"no s=":           edit(t, plain, "s=-\r\n", ""),
		"c= of the media": edit(t, plain, "c=IN IP4 192.0.2.9\r\n", "", "101\r\n", "101\r\nc=IN IP4 192.0.2.9\r\n"),
		"blanks":          edit(t, plain, "audio 6000 RTP/AVP 8 0 101", "audio  6000  RTP/AVP  8 0 101"),
		"bad a=rtcp":      edit(t, plain, "a=ptime", "a=rtcp:x IN IP4 a.example.org\r\na=ptime"),
		"bad a=rtpmap":    edit(t, plain, "a=ptime", "a=rtpmap:300 x/8000\r\na=rtpmap:8\r\na=rtpmap:8 /8000\r\na=rtpmap:8 x/y\r\na=ptime"),
	} {
		got := parse(t, text)
		if !reflect.DeepEqual(got.Media[0].Formats, want.Media[0].Formats) || got.Media[0].Addr != want.Media[0].Addr ||
			got.Media[0].RTCP != want.Media[0].RTCP {
			t.Errorf("%s: %+v", name, got.Media[0])
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	media := strings.Repeat("m=audio 0 RTP/AVP 0\r\n", MaxMedia-1)
	for _, c := range []struct {
		name, text, line string
		want             error
	}{
		{"empty", "", "line 1", ErrSyntax},
		{"no v=", edit(t, plain, "v=0\r\n", ""), "line 1", ErrNoOrigin},
		{"version 1", edit(t, plain, "v=0", "v=1"), "line 1", ErrNoOrigin},
		{"no o=", edit(t, plain, "o=user1 53655765 2353687637 IN IP4 192.0.2.9\r\n", ""), "line 1", ErrNoOrigin},
		{"short o=", edit(t, plain, "o=user1 ", "o="), "line 2", ErrSyntax},
		{"no c=", edit(t, plain, "c=IN IP4 192.0.2.9\r\n", ""), "line 5", ErrNoConnection},
		{"name in c=", edit(t, plain, "c=IN IP4 192.0.2.9", "c=IN IP4 phone.example.org"), "line 6", ErrHostName},
		{"c= of another network", edit(t, plain, "c=IN IP4", "c=ATM NSAP"), "line 6", ErrSyntax},
		{"zone in c=", edit(t, plain, "c=IN IP4 192.0.2.9", "c=IN IP6 fe80::1%eth0"), "line 6", ErrSyntax},
		{"no equals sign", edit(t, plain, "a=ptime", "aptime"), "line 11", ErrSyntax},
		{"blank line inside", edit(t, plain, "a=ptime", "\r\na=ptime"), "line 11", ErrSyntax},
		{"NUL", edit(t, plain, "a=ptime", "a=\x00ptime"), "line 11", ErrSyntax},
		{"bare CR", edit(t, plain, "a=ptime", "a=x\ra=ptime"), "line 11", ErrSyntax},
		{"port", edit(t, plain, "6000", "65536"), "line 6", ErrSyntax},
		{"negative port", edit(t, plain, "6000", "-1"), "line 6", ErrSyntax},
		{"no formats", edit(t, plain, " 8 0 101", ""), "line 6", ErrSyntax},
		{"payload type", edit(t, plain, " 8 0 101", " 8 128"), "line 6", ErrSyntax},
		{"formats", edit(t, plain, " 8 0 101", strings.Repeat(" 8", MaxFormats+1)), "line 6", ErrTooLarge},
		{"media", plain + media + "m=audio 0 RTP/AVP 0\r\n", "", ErrTooLarge},
		{"bytes", plain + "a=" + strings.Repeat("x", MaxBytes), "", ErrTooLarge},
		{"lines", plain + strings.Repeat("a=x\n", maxLines), "", ErrTooLarge},
	} {
		s, err := Parse([]byte(c.text))
		var f *fault.Error
		if !errors.Is(err, c.want) || !errors.As(err, &f) || f.Kind != fault.Invalid || f.Subject != c.line {
			t.Errorf("%s: %+v, %v", c.name, s, err)
		}
	}
	parse(t, plain+media)
	parse(t, edit(t, plain, " 8 0 101", strings.Repeat(" 8", MaxFormats)))
}

// Parse keeps nothing of its input: readers reuse their buffers.
func TestParseCopies(t *testing.T) {
	t.Parallel()
	b := []byte(plain)
	s, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	before := string(s.AppendRelayed(nil, rewrite))
	for i := range b {
		b[i] = 'x'
	}
	if after := string(s.AppendRelayed(nil, rewrite)); after != before {
		t.Errorf("changed with its input: %q", after)
	}
}
