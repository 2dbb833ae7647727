package sdpedit

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestAppendRelayed(t *testing.T) {
	t.Parallel()
	const ours = "v=0\r\no=- 7 9 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\n"
	for _, c := range []struct{ name, in, want string }{
		{
			"plain", plain,
			edit(t, plain, "o=user1 53655765 2353687637 IN IP4 192.0.2.9", "o=- 7 9 IN IP4 198.51.100.1",
				"c=IN IP4 192.0.2.9", "c=IN IP4 198.51.100.1", "6000", "16384"),
		},
		{
			"personal lines and keys go, the rest stays in order",
			lines("v=0", "o=a b 1 2 IN IP4 192.0.2.9", "s=My call", "i=x", "u=http://example.org", "e=a@example.org",
				"p=+15550101", "c=IN IP4 192.0.2.9", "b=AS:64", "b=TIAS:64000", "t=1 2", "r=7d 1h 0", "z=1 2", "k=clear:x",
				"a=tool:x", "a=unknown:session",
				"m=audio 5000 RTP/AVP 0 96", "i=x", "c=IN IP4 192.0.2.10", "b=AS:64", "k=prompt",
				"a=x-unknown", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1", "a=rtcp:5003", "a=maxptime:40", "y=?"),
			ours + lines("b=AS:64", "b=TIAS:64000", "t=1 2", "r=7d 1h 0", "z=1 2", "a=tool:x", "a=unknown:session",
				"m=audio 16384 RTP/AVP 0 96", "b=AS:64",
				"a=x-unknown", "a=rtpmap:96 opus/48000/2", "a=fmtp:96 useinbandfec=1", "a=maxptime:40", "y=?"),
		},
		{
			"ICE, multiplexing, bundling and DTLS go",
			lines("v=0", "o=- 1 2 IN IP4 192.0.2.9", "s=-", "t=0 0", "a=group:BUNDLE 0", "a=msid-semantic: WMS", "a=ice-lite",
				"a=fingerprint:sha-256 AA", "a=setup:actpass", "a=extmap-allow-mixed",
				"m=audio 5000 RTP/AVP 0", "c=IN IP4 192.0.2.9", "a=candidate:1 1 UDP 1 192.0.2.9 5000 typ host",
				"a=remote-candidates:1 192.0.2.1 5", "a=end-of-candidates", "a=ice-ufrag:x", "a=ice-pwd:y", "a=ice-options:trickle",
				"a=mid:0", "a=bundle-only", "a=rtcp-mux", "a=rtcp-mux-only", "a=ssrc:1 cname:x", "a=ssrc-group:FID 1 2", "a=msid:a b",
				"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", "a=key-mgmt:mikey x", "a=tls-id:1", "a=rtcp-fb:0 nack", "a=sendrecv"),
			ours + lines("t=0 0", "a=extmap-allow-mixed", "m=audio 16384 RTP/AVP 0", "a=rtcp-fb:0 nack", "a=sendrecv"),
		},
		{
			"lines that are not relayed keep their place",
			lines("v=0", "o=- 1 2 IN IP4 192.0.2.9", "s=-", "c=IN IP4 192.0.2.9", "t=0 0",
				"m=audio 5000/2 RTP/AVP 0", "a=ptime:20", "m=video 5002 RTP/AVP 31", "a=rtpmap:31 H261/90000",
				"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=sctp-port:5000"),
			ours + lines("t=0 0", "m=audio 16384 RTP/AVP 0", "a=ptime:20", "m=video 16386 RTP/AVP 31", "a=rtpmap:31 H261/90000",
				"m=application 0 UDP/DTLS/SCTP webrtc-datachannel"),
		},
		{
			"no t=", lines("v=0", "o=- 1 2 IN IP4 192.0.2.9", "c=IN IP4 192.0.2.9", "a=x", "m=audio 5000 RTP/AVP 0"),
			ours + lines("t=0 0", "a=x", "m=audio 16384 RTP/AVP 0"),
		},
		{
			"no media", lines("v=0", "o=- 1 2 IN IP4 192.0.2.9"), ours + lines("t=0 0"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := string(parse(t, c.in).AppendRelayed([]byte("x"), rewrite)); got != "x"+c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The address that said "hold" is replaced by ours, so an attribute has to say it.
func TestAppendRelayedHold(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a=sendrecv\r\n": "a=sendonly\r\n",
		"":               "a=sendonly\r\n",
		"a=sendonly\r\n": "a=sendonly\r\n",
		"a=recvonly\r\n": "a=inactive\r\n",
		"a=inactive\r\n": "a=inactive\r\n",
	} {
		held := edit(t, plain, "c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0", "a=sendrecv\r\n", in)
		got := string(parse(t, held).AppendRelayed(nil, rewrite))
		if !strings.HasSuffix(got, "a=ptime:20\r\n"+want) {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func TestAppendIPv6(t *testing.T) {
	t.Parallel()
	r := rewrite
	r.Addr = netip.MustParseAddr("2001:db8::1")
	got := string(parse(t, plain).AppendRelayed(nil, r))
	if !strings.HasPrefix(got, "v=0\r\no=- 7 9 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\n") {
		t.Error(got)
	}
}

func TestAppendRejected(t *testing.T) {
	t.Parallel()
	got := parse(t, string(parse(t, plain).AppendRejected(nil, rewrite)))
	if len(got.Media) != 1 || got.Media[0].Port != 0 || got.Media[0].Kind != "audio" {
		t.Errorf("%+v", got.Media)
	}
}

func TestSameMedia(t *testing.T) {
	t.Parallel()
	s := parse(t, plain)
	for _, c := range []struct {
		name  string
		edits []string
		want  bool
	}{
		{"itself", nil, true},
		{"another version", []string{"2353687637", "2353687638"}, true},
		{"another address", []string{"c=IN IP4 192.0.2.9", "c=IN IP4 192.0.2.10"}, true},
		{"another port", []string{"6000", "6002"}, true},
		{"another RTCP port", []string{"a=ptime", "a=rtcp:7000\r\na=ptime"}, true},
		{"hold", []string{"a=sendrecv", "a=sendonly"}, false},
		{"hold by address", []string{"c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0"}, false},
		{"off", []string{"6000", "0"}, false},
		{"another codec", []string{"8 0 101", "0 8 101"}, false},
		{"another ptime", []string{"ptime:20", "ptime:30"}, false},
		{"one line more", []string{"a=sendrecv\r\n", "a=sendrecv\r\nm=video 0 RTP/AVP 31\r\n"}, false},
	} {
		o := parse(t, edit(t, plain, c.edits...))
		if s.SameMedia(o) != c.want || o.SameMedia(s) != c.want {
			t.Errorf("%s: want %v", c.name, c.want)
		}
	}
}

func TestMatchAnswer(t *testing.T) {
	t.Parallel()
	const video = "m=video 7000 RTP/AVP 31\r\n"
	offer := parse(t, plain+video)
	for _, c := range []struct {
		name, offer, answer string
		fits                bool
	}{
		{"both", plain + video, plain + video, true},
		{"video refused", plain + video, plain + edit(t, video, "7000", "0"), true},
		{"one missing", plain + video, plain, false},
		{"one too many", plain, plain + video, false},
		{"another kind", plain + video, plain + edit(t, video, "video", "audio"), false},
		{"switched on", plain + edit(t, video, "7000", "0"), plain + video, false},
	} {
		err := MatchAnswer(parse(t, c.offer), parse(t, c.answer))
		if (err == nil) != c.fits || err != nil && !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := MatchAnswer(offer, offer); err != nil {
		t.Error(err)
	}
}

// Whatever is accepted is written so that the other side accepts it, reads the same, and learns no
// address or key.
func FuzzRelay(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte(strings.ReplaceAll(plain, "\r\n", "\n")))
	f.Add([]byte("v=0\no=- 1 2 IN IP4 192.0.2.9\nc=IN IP6 ::\na=inactive\nm=audio 5000/2 RTP/SAVP 0\na=crypto:1 x\nm=image 1 udptl t38\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err != nil {
			return
		}
		ports := make([]int, len(s.Media))
		for i := range s.Media {
			ports[i] = s.Media[i].Port
		}
		r := Rewrite{Addr: rewrite.Addr, Ports: ports, SessionID: 1, Version: 2}
		out := s.AppendRelayed(nil, r)
		again, err := Parse(out)
		if err != nil {
			if errors.Is(err, ErrTooLarge) && len(b) > MaxBytes-1024 {
				return
			}
			t.Fatalf("%v in %q, written for %q", err, out, b)
		}
		if err := MatchAnswer(s, again); err != nil || !s.SameMedia(again) {
			t.Errorf("%q, written for %q: %v", out, b, err)
		}
		for i := range again.Media {
			a, m := &again.Media[i], &s.Media[i]
			if a.Port != 0 && (a.Addr != r.Addr || a.RTCP.Addr() != r.Addr || a.Crypto != nil) || a.Receives() != m.Receives() || a.Sends() != m.Sends() {
				t.Errorf("media %+v became %+v", m, a)
			}
		}
	})
}

func BenchmarkRelay(b *testing.B) {
	in := []byte(plain)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		s, err := Parse(in)
		if err != nil {
			b.Fatal(err)
		}
		dst = s.AppendRelayed(dst[:0], rewrite)
	}
}
