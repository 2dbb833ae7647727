package main

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
)

func TestJoinErrors(t *testing.T) {
	t.Parallel()
	d := identitytest.NewDomain(t, "example.org")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	token, err := identity.NewToken(d.Node(identity.Site, "london"), d.Root.Certificate(), identity.HubAddress{Hub: "a", Address: nobody})
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.Text()
	if err != nil {
		t.Fatal(err)
	}
	path := office(t, "")
	for name, test := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"no token":       {[]string{"join"}, daemon.ExitUsage, []string{"mssctl site token"}},
		"no config":      {[]string{"join", "--config", filepath.Join(t.TempDir(), "none.yaml"), text}, daemon.ExitConfig, []string{"none.yaml"}},
		"no hub there":   {[]string{"join", "--config", path, text}, daemon.ExitFailure, []string{"hub a at " + nobody, "check that the hub runs there"}},
		"damaged string": {[]string{"join", "--config", path, text[:50]}, daemon.ExitFailure, []string{"copy all of it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, wrong bytes.Buffer
			if code := execute(t.Context(), test.args, &out, &wrong); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, part := range test.want {
				if !strings.Contains(wrong.String(), part) {
					t.Errorf("%q is not in %q", part, wrong.String())
				}
			}
			if strings.Contains(wrong.String(), text) || out.Len() > 0 {
				t.Errorf("printed %q %q", out.String(), wrong.String())
			}
		})
	}
}
