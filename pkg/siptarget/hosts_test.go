package siptarget

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A disk that hangs holds up who may wait, and no worker that asks what is remembered.
func TestHostsAreRememberedWhileTheFileIsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	h := hostsFile{path: path}
	found := make(chan []netip.Addr, 1)
	go func() { found <- h.lookup("pbx.example.org") }()
	file, err := os.OpenFile(path, os.O_WRONLY, 0) // it waits for the reader, who then waits for the text
	if err != nil {
		t.Fatal(err)
	}
	fresh := make(chan bool, 1)
	go func() {
		_, known := h.remembered("pbx.example.org")
		fresh <- known
	}()
	select {
	case known := <-fresh:
		if known {
			t.Error("known before the file was read")
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the disk")
	}
	if _, err := file.WriteString("192.0.2.7 pbx.example.org\n"); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if got := <-found; !slices.Equal(got, []netip.Addr{netip.MustParseAddr("192.0.2.7")}) {
		t.Errorf("found %v", got)
	}
}

// What could not be read once is read again, also when it did not change meanwhile.
func TestHostsAreReadAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte("192.0.2.7 pbx.example.org\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := hostsFile{path: path}
	look := func() []netip.Addr {
		h.checked = time.Time{}
		return h.lookup("pbx.example.org")
	}
	if got := look(); len(got) != 1 {
		t.Fatalf("found %v", got)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// A folder of the same time in its place can be looked at, and not read; then the file is back.
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := look(); len(got) != 0 {
		t.Errorf("found %v in a folder", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if got := look(); len(got) != 1 {
		t.Errorf("found %v in the file that is back", got)
	}
}
