package digest

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := parse("digest Username=\"bo\\\"b\\\\, x\",realm = \"a;b=c\" ,\r\n nonce=\"n==\", uri=\"sip:a@b;x=y\",, nc=00000001 , auth-param=\"x\"")
	if err != nil {
		t.Fatal(err)
	}
	want := params{username: `bo"b\, x`, realm: "a;b=c", nonce: "n==", uri: "sip:a@b;x=y", nc: "00000001"}
	if p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":               "",
		"no scheme":           `username="a"`,
		"another scheme":      `Basic abc=`,
		"scheme alone":        `Digest`,
		"no value":            `Digest username`,
		"empty value":         `Digest username=`,
		"empty token":         `Digest username=,realm="x"`,
		"no name":             `Digest ="a"`,
		"open quote":          `Digest username="a`,
		"open quoted pair":    `Digest username="a\`,
		"twice":               `Digest username="a", username="b"`,
		"no comma":            `Digest username="a" realm="b"`,
		"quote in a token":    `Digest username=a"b"`,
		"control character":   "Digest username=\"a\x00b\"",
		"line break in value": "Digest username=\"a\r\nb\"",
		"name is no token":    `Digest user name="a"`,
		"too many":            "Digest " + strings.Repeat("x=y,", maxParams+1),
		"too long":            "Digest x=" + strings.Repeat("y", maxValue),
	} {
		if p, err := parse(text); err == nil {
			t.Errorf("%s: accepted as %+v", name, p)
		}
	}
	if _, err := parse("Digest " + strings.Repeat("x=y,", maxParams)); err != nil {
		t.Errorf("the allowed number of parameters: %v", err)
	}
}

// What we write we read back unchanged.
func FuzzParse(f *testing.F) {
	f.Add(`Digest username="bob", realm="example.org", nonce="dcd98b71", uri="sip:a@example.org", response="6629f", algorithm=MD5, cnonce="0a4f", opaque="5ccc", qop=auth, nc=00000001`)
	f.Add(`Digest realm="example.org", nonce="x", algorithm=MD5, qop="auth,auth-int", stale=FALSE`)
	f.Add("Digest username=\"\\\"\\\\\", \tx=y")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parse(text)
		if err != nil || len(text) > maxValue/2 {
			return
		}
		if p.username == "" || p.realm == "" || p.nonce == "" || p.uri == "" || p.response == "" || p.cnonce == "" ||
			!isToken(p.qop) || !isToken(p.nc) || p.algorithm != "" && !isToken(p.algorithm) {
			return
		}
		again, err := parse(p.answer())
		p.stale = ""
		if err != nil || again != p {
			t.Errorf("%q gave %+v, written and read again %+v, %v", text, p, again, err)
		}
	})
}
