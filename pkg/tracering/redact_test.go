package tracering

import (
	"bytes"
	"strings"
	"testing"
)

// Every secret in these messages contains this word, so that one look finds what was left.
const secret = "s3cret"

func TestNoSecretInATrace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"digest": {
			`Authorization: Digest username="4001", realm="example.org", nonce="abc", uri="sip:example.org", response="s3cret", cnonce="s3cret", qop=auth, nc=00000001, algorithm=MD5`,
			`Authorization: Digest username="4001", realm="example.org", nonce="abc", uri="sip:example.org", response=***, cnonce=***, qop=auth, nc=00000001, algorithm=MD5`,
		},
		"blank before the colon, odd case, blanks round =": {
			`PROXY-authorization : DIGEST response = "s3cret",username="4001"`,
			`PROXY-authorization: DIGEST response=***, username="4001"`,
		},
		"comma in quotes":                 {`Authorization: Digest username="a, response=\"x", response="s3cret"`, `Authorization: Digest username="a, response=\"x", response=***`},
		"comma missing":                   {`Authorization: Digest username="4001" response="s3cret"`, `Authorization: Digest username=***`},
		"quote missing":                   {`Authorization: Digest username="4001, response=s3cret`, `Authorization: Digest username=***`},
		"semicolons":                      {`Authorization: Digest realm=x;response=s3cret`, `Authorization: Digest realm=***`},
		"folded":                          {"Authorization: Digest username=\"4001\",\r\n response=\"s3cret\",\r\n\tnc=1", `Authorization: Digest username="4001", response=***, nc=1`},
		"folded after the scheme":         {"Authorization: Digest\r\n response=\"s3cret\"", `Authorization: Digest response=***`},
		"basic":                           {`Authorization: Basic s3cret`, `Authorization: Basic ***`},
		"bearer":                          {`Authorization: Bearer s3cret`, `Authorization: Bearer ***`},
		"no scheme":                       {`Authorization: s3cret`, `Authorization: ***`},
		"challenge":                       {`WWW-Authenticate: Digest realm="example.org", nonce="abc", stale=true, x-key="s3cret"`, `WWW-Authenticate: Digest realm="example.org", nonce="abc", stale=true, x-key=***`},
		"authentication info":             {`Authentication-Info: rspauth="s3cret", nc=1`, `Authentication-Info: rspauth=***, nc=1`},
		"URI password":                    {`Contact: <sip:4001:s3cret@192.0.2.9>, <SIPS:a:s3cret@192.0.2.9;x=y>`, `Contact: <sip:4001:***@192.0.2.9>, <SIPS:a:***@192.0.2.9;x=y>`},
		"URI password in the digest":      {`Authorization: Digest uri="sip:a:s3cret@example.org"`, `Authorization: Digest uri="sip:a:***@example.org"`},
		"no password: port":               {`Contact: <sip:192.0.2.9:5060>;tag=a@b`, `Contact: <sip:192.0.2.9:5060>;tag=a@b`},
		"no password: quoted name, IPv6":  {`From: "sip: a:b" <sip:4001@[2001:db8::1]:5060>`, `From: "sip: a:b" <sip:4001@[2001:db8::1]:5060>`},
		"header that only looks like one": {`Authorization-Hint: none`, `Authorization-Hint: none`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := "REGISTER sip:example.org SIP/2.0\r\nCall-ID: a\r\n" + c.in + "\r\nContent-Length: 0\r\n\r\n"
			want := strings.Replace(in, c.in, c.want, 1)
			if got := string(Redact([]byte(in))); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestNoSecretInABody(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ contentType, in, want string }{
		"SDES": {
			"application/sdp",
			"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:s3cret|2^20\r\na=sendrecv",
			"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 ***\r\na=sendrecv",
		},
		"SDES, short":     {"application/sdp", "a=crypto:s3cret", "a=crypto:***"},
		"k=":              {"application/sdp", "k=clear:s3cret\nm=audio 1 RTP/AVP 0\n", "k=***\nm=audio 1 RTP/AVP 0\n"},
		"MIKEY":           {"application/sdp", "a=key-mgmt:mikey s3cret x", "a=key-mgmt:mikey ***"},
		"ICE":             {"application/sdp", "a=ice-ufrag:x\r\na=ice-pwd:s3cret", "a=ice-ufrag:x\r\na=ice-pwd:***"},
		"multipart":       {"multipart/mixed;boundary=b", "--b\r\nContent-Type: application/sdp\r\n\r\nk=s3cret\r\n--b--", "--b\r\nContent-Type: application/sdp\r\n\r\nk=***\r\n--b--"},
		"sipfrag":         {"message/sipfrag", "SIP/2.0 401 x\r\nAuthorization: Digest response=s3cret", "SIP/2.0 401 x\r\nAuthorization: Digest response=***"},
		"digit":           {"application/dtmf", "s3cret", "***"},
		"digits, relayed": {"Application/DTMF-relay", "Signal=s3cret\r\nDuration=160", "Signal=***\r\nDuration=160"},
		"text":            {"text/plain", "a line\r\n folded? no\r\n\r\nend", "a line\r\n folded? no\r\n\r\nend"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head := "INFO sip:x@example.org SIP/2.0\r\nc: " + c.contentType + "\r\n\r\n"
			if got, want := string(Redact([]byte(head+c.in))), head+c.want; got != want {
				t.Errorf("got\n%q\nwant\n%q", got, want)
			}
		})
	}
}

// Whatever the bytes: no panic, an ordinary line stays, and a response value never comes through.
func FuzzRedact(f *testing.F) {
	f.Add([]byte("Authorization: Digest response=\"x\""), []byte("body"))
	f.Add([]byte("a:\r\n b"), []byte("a=crypto:1 x y"))
	f.Fuzz(func(t *testing.T, header, body []byte) {
		msg := bytes.Join([][]byte{[]byte("INVITE sip:x SIP/2.0"), header, nil, body}, []byte("\r\n"))
		Redact(msg)
		if bytes.ContainsAny(header, "\"\\") || bytes.Contains(header, []byte(secret)) || bytes.Contains(body, []byte(secret)) {
			return
		}
		msg = bytes.Join([][]byte{
			[]byte("INVITE sip:x SIP/2.0"),
			append([]byte("Authorization: Digest username=\"u\", response=\""+secret+"\", "), bytes.Trim(header, "\r\n")...),
			nil, body,
		}, []byte("\r\n"))
		if out := Redact(msg); bytes.Contains(out, []byte(secret)) {
			t.Errorf("%q", out)
		}
	})
}
