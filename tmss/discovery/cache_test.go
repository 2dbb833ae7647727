package discovery_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/mss-federation/mss/tmss/discovery"
)

// private wants a file that only its owner reads and that does not have a text.
func private(t *testing.T, path, without string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if text, err := os.ReadFile(path); err != nil || bytes.Contains(text, []byte(without)) {
		t.Errorf("it has %q, %v", without, err)
	}
}

// A copy that cannot be read does not stop the hub: it starts with nothing.
func TestBrokenCopy(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "half": `{"format":1,"domain":"exam`, "newer": `{"format":99,"domain":"example.org"}`, "other": "[]",
	} {
		path := filepath.Join(t.TempDir(), "directory.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := discovery.New(discovery.Options{Domain: "example.org", Cache: path})
		if err != nil || len(d.View().Hubs) != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Format 1 is read by every later version.
func TestSampleOfFormat1(t *testing.T) {
	t.Parallel()
	d, err := discovery.New(discovery.Options{Domain: "example.org", Cache: filepath.Join("testdata", "directory-1.json")})
	if err != nil {
		t.Fatal(err)
	}
	v := d.View()
	if v.Revision != 42 || len(v.Hubs) != 2 || len(v.Sites) != 1 || len(v.Routes) != 1 || len(v.Keys) != 1 || len(v.Revoked) != 1 {
		t.Errorf("read %+v", v)
	}
	if b, _ := v.Hub("b"); b.Gone.IsZero() || b.SIP["tls"] != "192.0.2.8:5061" {
		t.Errorf("hub b %+v", b)
	}
	if s, _ := v.Site("london"); s.Changed.By != "alice" || s.Changed.Revision != 12 || s.Owns[0].MaxLen != 4 {
		t.Errorf("site %+v", s)
	}
}
