package identity_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
)

func TestCredentialsOnDisk(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	path := filepath.Join(t.TempDir(), "identity", identity.NodeFile)
	for _, want := range []*identity.Credentials{
		d.Credentials(t, identity.Site, "london"),
		d.CredentialsAt(t, identity.Site, "london", time.Now().Add(-48*time.Hour)), // expired: still ours
	} {
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := identity.LoadCredentials(path)
		if err != nil {
			t.Fatal(err)
		}
		if got.Node != want.Node || !got.Leaf().Equal(want.Leaf()) || !got.Root.Equal(want.Root) || len(got.Chain) != len(want.Chain) {
			t.Errorf("got %v", got.Node)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadCredentials(path); fault.KindOf(err) != fault.Denied {
		t.Errorf("a key that others can read: %v", err)
	}
	if _, err := identity.LoadCredentials(path + "x"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no file: %v", err)
	}
}

func TestAuthoritiesOnDisk(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	for name, want := range map[string]*identity.Authority{identity.RootFile: d.Root, identity.IssuingFile: d.Issuer} {
		path := filepath.Join(t.TempDir(), name)
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
		got, err := identity.LoadAuthority(path)
		if err != nil || !got.Certificate().Equal(want.Certificate()) || got.IsRoot() != want.IsRoot() || got.Domain() != "example.org" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := identity.LoadCredentials(path); err == nil {
			t.Errorf("%s passes for a node's credentials", name)
		}
	}
	leaf := filepath.Join(t.TempDir(), identity.NodeFile)
	if err := d.Credentials(t, identity.Hub, "a").Save(leaf); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadAuthority(leaf); err == nil {
		t.Error("a node's credentials pass for an authority")
	}
}

// A file with the wrong content says so when it is loaded, not in the first handshake.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	d, other := identitytest.NewDomain(t, "example.org"), identitytest.NewDomain(t, "example.org")
	c := d.Credentials(t, identity.Site, "london")
	path := filepath.Join(t.TempDir(), "x.pem")
	for name, broken := range map[string]*identity.Credentials{
		"another key":  {Key: d.Credentials(t, identity.Site, "london").Key, Chain: c.Chain, Root: c.Root},
		"another root": {Key: c.Key, Chain: c.Chain, Root: other.Root.Certificate()},
		"no issuer":    {Key: c.Key, Chain: c.Chain[:1], Root: c.Root},
	} {
		if err := broken.Save(path); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.LoadCredentials(path); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"empty": "", "text": "hello", "half": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.LoadCredentials(path); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
