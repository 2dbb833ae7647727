package digest

import (
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/fault"
)

func TestAnswer(t *testing.T) {
	t.Parallel()
	const challenge = `Digest realm="testrealm@host.com", qop="auth,auth-int", ` +
		`nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`
	got, err := Answer(challenge, "GET", "/dir/index.html", "Mufasa", "Circle Of Life", 1, "0a4f113b")
	if err != nil {
		t.Fatal(err)
	}
	const want = `Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", ` +
		`uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", ` +
		`opaque="5ccc069c403ebaf9f0171e9517f40e41", qop=auth, nc=00000001, cnonce="0a4f113b"`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	old, err := Answer(strings.Replace(challenge, `qop="auth,auth-int", `, "", 1), "GET", "/dir/index.html", "Mufasa", "Circle Of Life", 1, "x")
	if err != nil || !strings.Contains(old, `response="670fd8c2df070c60b045671b8b24ff02"`) || strings.Contains(old, "nc=") {
		t.Errorf("answer without qop: %s, %v", old, err)
	}
	if r := Realm(challenge); r != "testrealm@host.com" {
		t.Errorf("realm %q", r)
	}
}

func TestAnswerRefuses(t *testing.T) {
	t.Parallel()
	for name, challenge := range map[string]string{
		"other scheme":  `NTLM realm="x"`,
		"algorithm":     `Digest realm="x", nonce="y", algorithm=SHA-512-256`,
		"auth-int only": `Digest realm="x", nonce="y", qop="auth-int"`,
		"no nonce":      `Digest realm="x"`,
		"no realm":      `Digest nonce="x"`,
	} {
		if v, err := Answer(challenge, "INVITE", uri, "a", "b", 1, "c"); fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %q, %v", name, v, err)
		}
	}
}
