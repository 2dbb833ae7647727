package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// office writes a configuration with free ports in a directory of its own and returns its path.
func office(t *testing.T, more string) string {
	t.Helper()
	// Not t.TempDir: its name would make the paths of the sockets too long.
	dir, err := os.MkdirTemp("", "lmss")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text := "site: london\ndomain: example.org\nstate_dir: " + dir + "/state\n" + more
	if !strings.Contains(more, "listen:") {
		text += "listen: {udp: [\"127.0.0.1:0\"], tcp: [\"127.0.0.1:0\"]}\n"
	}
	path := filepath.Join(dir, "lmss.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
