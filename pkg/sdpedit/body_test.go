package sdpedit

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestBody(t *testing.T) {
	t.Parallel()
	sdp := strings.TrimSuffix(plain, "\r\n")
	mixed := lines("preamble", "--b1", "Content-Type: text/plain", "", "hello", "--b1x", "--b1 ", "content-type :Application/SDP;x=y",
		"Content-Disposition: session", "", sdp, "--b1", "Content-Type: application/sdp", "", "v=1", "--b1--", "epilogue")
	for _, c := range []struct{ name, kind, body, want string }{
		{"itself", "application/sdp", plain, plain},
		{"with parameters", " Application/SDP ; charset=utf-8", plain, plain},
		{"mixed", "multipart/mixed;boundary=b1", mixed, sdp},
		{"quoted boundary", `Multipart/Alternative; x=y; BOUNDARY = "b1"`, mixed, sdp},
		{"LF alone", "multipart/mixed;boundary=b1", strings.ReplaceAll(mixed, "\r\n", "\n"), strings.ReplaceAll(sdp, "\r\n", "\n")},
		{"not closed", "multipart/mixed;boundary=b1", lines("--b1", "Content-Type: application/sdp", "", "v=0"), "v=0\r\n"},
		{
			"longer boundary inside", "multipart/mixed;boundary=b",
			lines("--b", "Content-Type: application/sdp", "", "v=0", "--bb", "--b--"), "v=0\r\n--bb",
		},
		{"empty", "application/sdp", "", ""},
		{"another type", "text/plain", plain, ""},
		{"no type", "", plain, ""},
		{"no boundary", "multipart/mixed", mixed, ""},
		{"empty boundary", `multipart/mixed;boundary=""`, mixed, ""},
		{"long boundary", "multipart/mixed;boundary=" + strings.Repeat("b", maxBoundary+1), mixed, ""},
		{"another boundary", "multipart/mixed;boundary=b2", mixed, ""},
		{"behind the end", "multipart/mixed;boundary=b", lines("--b--", "--b", "Content-Type: application/sdp", "", "v=0"), ""},
		{"encoded", "multipart/mixed;boundary=b", lines("--b", "Content-Type: application/sdp", "Content-Transfer-Encoding: base64", "", "dj0w", "--b--"), ""},
		{
			"nested", "multipart/mixed;boundary=b",
			lines("--b", "Content-Type: multipart/mixed;boundary=c", "", "--c", "Content-Type: application/sdp", "", "v=0", "--c--", "--b--"), "",
		},
		{"too many parts", "multipart/mixed;boundary=b", strings.Repeat("--b\r\n\r\n\r\n", maxParts) + lines("--b", "Content-Type: application/sdp", "", "v=0", "--b--"), ""},
	} {
		got, err := Body(c.kind, []byte(c.body))
		if string(got) != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, ErrNoSDP) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func FuzzBody(f *testing.F) {
	f.Add("multipart/mixed;boundary=b", []byte("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		sdp, err := Body(kind, body)
		if (err == nil) != (len(sdp) > 0) || !bytes.Contains(body, sdp) {
			t.Errorf("%q, %v", sdp, err)
		}
	})
}
