package identity_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
)

func newToken(tb testing.TB) (*identity.Token, string) {
	tb.Helper()
	d := identitytest.NewDomain(tb, "example.org")
	token, err := identity.NewToken(d.Node(identity.Site, "london"), d.Root.Certificate(),
		identity.HubAddress{Hub: "a", Address: "192.0.2.7:5443"}, identity.HubAddress{Hub: "b", Address: "hub-b.example.org:5443"})
	if err != nil {
		tb.Fatal(err)
	}
	text, err := token.Text()
	if err != nil {
		tb.Fatal(err)
	}
	return token, text
}

// earlierToken is what versions before hubs with several addresses read.
type earlierToken struct {
	Domain string `asn1:"utf8"`
	Role   string `asn1:"utf8"`
	ID     string `asn1:"utf8"`
	Hubs   []struct {
		Hub     string `asn1:"utf8"`
		Address string `asn1:"utf8"`
	}
	Root   []byte
	Secret []byte
}

// TestTokenWithSeveralAddresses: they keep their order, and an earlier version reads the first of each hub.
func TestTokenWithSeveralAddresses(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	want := []identity.HubAddress{{Hub: "a", Address: "192.0.2.7:5443"}, {Hub: "a", Address: "[2001:db8::7]:5443"}, {Hub: "b", Address: "[2001:db8::8]:5443"}}
	token, err := identity.NewToken(d.Node(identity.Site, "london"), d.Root.Certificate(), want...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.Text()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := identity.ParseToken(text); err != nil || !slices.Equal(got.Hubs, want) {
		t.Errorf("got %v, %v", got, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "mss1-"))
	if err != nil {
		t.Fatal(err)
	}
	var earlier earlierToken
	rest, err := asn1.Unmarshal(raw[:len(raw)-4], &earlier)
	if err != nil || len(rest) > 0 || len(earlier.Hubs) != 2 || earlier.Hubs[0].Address != want[0].Address || earlier.Hubs[1].Address != want[2].Address {
		t.Errorf("an earlier version reads %v, %d bytes left, %v", earlier.Hubs, len(rest), err)
	}
	written, err := asn1.Marshal(earlier)
	if err != nil || len(written) == 0 {
		t.Fatal(err)
	}
	sum := sha256.Sum256(written)
	old := "mss1-" + base64.RawURLEncoding.EncodeToString(append(written, sum[:4]...))
	if got, err := identity.ParseToken(old); err != nil || !slices.Equal(got.Hubs, []identity.HubAddress{want[0], want[2]}) {
		t.Errorf("of an earlier version: %v, %v", got, err)
	}
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	want, text := newToken(t)
	if !strings.HasPrefix(text, "mss1-") || len(text) > 1000 {
		t.Errorf("%d characters: %s", len(text), text)
	}
	wrapped := "  " + text[:80] + "\n\t" + text[80:160] + "\r\n" + text[160:] + "\n"
	for _, form := range []string{text, wrapped} {
		got, err := identity.ParseToken(form)
		if err != nil {
			t.Fatal(err)
		}
		if got.Node != want.Node || fmt.Sprint(got.Hubs) != fmt.Sprint(want.Hubs) || !got.Root.Equal(want.Root) {
			t.Errorf("got %v %v", got, got.Hubs)
		}
		if !bytes.Equal(got.Secret(), want.Secret()) || got.Hash() != want.Hash() {
			t.Error("the secret is another")
		}
	}
	if other, _ := newToken(t); other.Hash() == want.Hash() {
		t.Error("two tokens have one secret")
	}
	if len(want.Secret()) < 16 {
		t.Error("the secret has less than 128 bits")
	}
}

// What is printed of a token by mistake has no secret.
func TestTokenKeepsItsSecret(t *testing.T) {
	t.Parallel()
	token, text := newToken(t)
	for _, format := range []string{"%v", "%+v", "%s"} {
		shown := fmt.Sprintf(format, token)
		if shown != "token for mss://example.org/site/london" {
			t.Errorf("%s shows %s", format, shown)
		}
	}
	if _, err := identity.ParseToken(text[:len(text)-3]); err == nil || strings.Contains(err.Error(), text[20:40]) {
		t.Errorf("the error shows the token: %v", err)
	}
}

func TestParseTokenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, text := newToken(t)
	flipped := []byte(text)
	flipped[100] ^= 1
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "begins with mss1-"},
		"something": {"hello", "begins with mss1-"},
		"newer":     {"mss2-" + text[5:], "this version does not know"},
		"cut":       {text[:len(text)-5], "not whole"},
		"changed":   {string(flipped), "damaged"},
		"prefix":    {"mss1-", "damaged"},
		"doubled":   {text + text, "damaged"},
		"long":      {"mss1-" + strings.Repeat("A", 10000), "too long"},
	} {
		if _, err := identity.ParseToken(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestNewTokenRefuses(t *testing.T) {
	t.Parallel()
	d, foreign := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.net")
	london := d.Node(identity.Site, "london")
	for _, address := range []string{"", "192.0.2.7", "192.0.2.7:0", "0.0.0.0:5443", "[::]:5443", ":5443", "192.0.2.7:65536", "192.0.2.7:sip"} {
		if _, err := identity.NewToken(london, d.Root.Certificate(), identity.HubAddress{Hub: "a", Address: address}); err == nil {
			t.Errorf("address %q passes", address)
		}
	}
	good := identity.HubAddress{Hub: "a", Address: "[2001:db8::1]:5443"}
	for name, make := range map[string]func() (*identity.Token, error){
		"no hub":       func() (*identity.Token, error) { return identity.NewToken(london, d.Root.Certificate()) },
		"foreign root": func() (*identity.Token, error) { return identity.NewToken(london, foreign.Root.Certificate(), good) },
		"issuing":      func() (*identity.Token, error) { return identity.NewToken(london, d.Issuer.Certificate(), good) },
		"nobody":       func() (*identity.Token, error) { return identity.NewToken(identity.Node{}, d.Root.Certificate(), good) },
		"hub's name": func() (*identity.Token, error) {
			return identity.NewToken(london, d.Root.Certificate(), identity.HubAddress{Hub: "A", Address: "192.0.2.7:1"})
		},
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := identity.NewToken(london, d.Root.Certificate(), good); err != nil {
		t.Error(err)
	}
}

func FuzzParseToken(f *testing.F) {
	_, text := newToken(f)
	f.Add(text)
	f.Add("mss1-")
	f.Add("mss1-AAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := identity.ParseToken(text)
		if err != nil {
			return
		}
		again, err := token.Text()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := identity.ParseToken(again); err != nil || back.Hash() != token.Hash() || back.Node != token.Node {
			t.Errorf("it does not survive: %v", err)
		}
	})
}
