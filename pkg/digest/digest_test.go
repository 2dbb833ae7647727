package digest

import "testing"

// The examples of RFC 2617 §3.5 and RFC 7616 §3.9.1.
func TestResponseOfTheRFCs(t *testing.T) {
	t.Parallel()
	const (
		nonce7616  = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
		cnonce7616 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	)
	for _, c := range []struct {
		name, alg, realm, password, nonce, cnonce, qop, want string
	}{
		{
			"RFC 2617", MD5, "testrealm@host.com", "Circle Of Life", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b", "auth",
			"6629fae49393a05397450978507c4ef1",
		},
		{
			"RFC 2069", MD5, "testrealm@host.com", "Circle Of Life", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "", "",
			"670fd8c2df070c60b045671b8b24ff02",
		},
		{
			"RFC 7616 MD5", MD5, "http-auth@example.org", "Circle of Life", nonce7616, cnonce7616, "auth",
			"8ca523f5e9506fed4657c9700eebdbec",
		},
		{
			"RFC 7616 SHA-256", SHA256, "http-auth@example.org", "Circle of Life", nonce7616, cnonce7616, "auth",
			"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &params{uri: "/dir/index.html", nonce: c.nonce, nc: "00000001", cnonce: c.cnonce, qop: c.qop}
			if got := string(hashes[c.alg].response(HA1(c.alg, "Mufasa", c.realm, c.password), "GET", p)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if HA1("SHA-1", "a", "b", "c") != "" {
		t.Error("an unknown algorithm gave a hash")
	}
}
