package e2e

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// machine is one of the newcomer's: an address, the folder that stands for its disk, and the node that runs on it.
type machine struct {
	program string // lmss or tmss
	address netip.Addr
	folder  string
	running *exec.Cmd
	log     *bytes.Buffer
}

func newMachine(t *testing.T, program string) *machine {
	t.Helper()
	folder, err := os.MkdirTemp("", "mss-") // short: paths of Unix sockets end at 107 bytes
	must(t, err)
	m := &machine{program: program, address: node.NewAddress(), folder: folder}
	t.Cleanup(func() {
		m.stop(t)
		must(t, os.RemoveAll(folder))
	})
	return m
}

func (m *machine) config() string { return filepath.Join(m.folder, m.program+".yaml") }
func (m *machine) socket() string { return filepath.Join(m.folder, "state", "admin.sock") }

// sample copies a sample configuration with this machine's address and disk in it.
func (m *machine) sample(t *testing.T, path string, changes ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, path))
	must(t, err)
	changes = append(changes, "127.0.0.1", m.address.String(), "/var/lib/"+m.program, filepath.Join(m.folder, "state"))
	must(t, os.WriteFile(m.config(), []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o600))
}

// start runs the node until the test ends, and waits until it says that it is ready.
func (m *machine) start(t *testing.T, args ...string) {
	t.Helper()
	m.log = &bytes.Buffer{}
	cmd := exec.Command(filepath.Join(bin, m.program), args...) //nolint:noctx // it is ended by a signal, as users end it
	ready := make(chan struct{})
	cmd.Stdout = &lineWatch{want: "ready", seen: ready}
	cmd.Stderr = m.log
	must(t, cmd.Start())
	m.running = cmd
	select {
	case <-ready:
	case <-limit(t).Done():
		t.Fatalf("%s %v is not ready", m.program, args)
	}
}

// stop ends the node as Ctrl-C does.
func (m *machine) stop(t *testing.T) {
	t.Helper()
	if m.running == nil {
		return
	}
	must(t, m.running.Process.Signal(syscall.SIGINT))
	if err := m.running.Wait(); err != nil || t.Failed() {
		t.Errorf("%s ended: %v\n%s", m.program, err, m.log)
	}
	m.running = nil
}

// lineWatch closes a channel when a line comes.
type lineWatch struct {
	text bytes.Buffer
	want string
	seen chan struct{}
}

func (w *lineWatch) Write(p []byte) (int, error) {
	w.text.Write(p)
	if w.seen != nil && strings.Contains("\n"+w.text.String(), "\n"+w.want+"\n") {
		close(w.seen)
		w.seen = nil
	}
	return len(p), nil
}
