package adminapi

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/fault"
)

// The socket is for its user alone; what a dead process left is replaced; what lives or is no socket is not.
func TestListen(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "mss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "run", "admin.sock")
	listener, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if _, err := Listen(path); fault.KindOf(err) != fault.Conflict {
		t.Errorf("somebody answers there: %v", err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // as if it were killed
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if listener, err = Listen(path); err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stayed: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a file is there: %v", err)
	}
	if _, err := Listen("/tmp/" + strings.Repeat("x", 120)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a long path: %v", err)
	}
}
