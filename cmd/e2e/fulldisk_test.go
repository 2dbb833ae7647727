package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
	"github.com/mss-federation/mss/cmd/internal/rig/phone"
)

// fullDisk fills the disk of an office. The reserve goes first; when that is full too, changes by operators are refused,
// while calls and registrations go on; the call records that waited are written when there is room again, each once.
// Nobody dies, and what was written survives a kill.
func fullDisk(t *testing.T) {
	t.Parallel()
	ctx := limit(t)
	n, disk := officeOnDisk(t)
	a, b := register(t, n, phone.Options{Name: "4001"}), register(t, n, phone.Options{Name: "4002"})
	alive := processes(n)
	calls := 0
	call := func() { shortCall(t, a, b); calls++ }
	call()
	_, err := n.Ctl(ctx, "user", "add", "4101")
	must(t, err)

	fill(t, disk, "first")
	for range 20 { // until a record needs a new page
		call()
	}
	told := alarm(t, n, "store:")
	for _, part := range []string{"the disk is full", "the reserve was given up", "free space now"} {
		if !strings.Contains(told, part) {
			t.Errorf("%q is not in the alarm: %s", part, told)
		}
	}
	_, err = n.Ctl(ctx, "user", "add", "4102") // into the reserve
	must(t, err)

	fill(t, disk, "second")
	eventually(t, "a change to be refused", func() bool {
		_, err = n.Ctl(ctx, "user", "set", "4101", "--display-name", strings.Repeat("x", 100))
		return err != nil
	})
	for _, part := range []string{"4101", "full", "free space in the state directory"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in the refusal: %v", part, err)
		}
	}
	for range 5 {
		call()
	}
	must(t, a.Register(ctx))
	late := register(t, n, phone.Options{Name: "4003"})
	shortCall(t, late, a)
	calls++
	told = alarm(t, n, "the disk takes no writes")
	if !strings.Contains(told, "free space in the state directory; calls go on meanwhile") {
		t.Errorf("the alarm does not say what to do: %s", told)
	}
	eventually(t, "the records of all calls while the disk is full", func() bool { return len(recordIDs(t, n)) == calls })

	must(t, os.Remove(filepath.Join(disk, "second")))
	must(t, os.Remove(filepath.Join(disk, "first")))
	eventually(t, "the disk to be written again", func() bool {
		_, err = n.Ctl(ctx, "user", "add", "4103")
		return err == nil
	})
	call()
	if now := processes(n); !slices.Equal(alive, now) {
		t.Errorf("processes were %v and are %v", alive, now)
	}
	eventually(t, "the records of all calls", func() bool { return len(recordIDs(t, n)) == calls })
	_, err = n.KillSupervisor()
	must(t, err)
	must(t, n.Run(ctx))
	for line := range strings.Lines(n.Log()) {
		if strings.Contains(line, "restored after a restart") && !strings.Contains(line, "notes=0") {
			t.Errorf("calls that are over were taken for calls in set-up: %s", line)
		}
	}
	ids := recordIDs(t, n)
	slices.Sort(ids)
	if distinct := len(slices.Compact(slices.Clone(ids))); distinct != calls || len(ids) != calls {
		t.Errorf("%d call records, %d of them different, after the restart; want %d", len(ids), distinct, calls)
	}
	call()
}

// officeOnDisk starts an office whose state is on a small disk of its own.
func officeOnDisk(t *testing.T) (n *node.Node, disk string) {
	t.Helper()
	n, err := node.Prepare(node.Options{Bin: bin, Users: users, Extra: "store: {reserve: 4MiB}"})
	must(t, err)
	disk = filepath.Join(n.Dir(), "disk")
	must(t, os.Mkdir(disk, 0o700))
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatalf("mount a small disk: %v: run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", n.Dir(), n.Log())
		}
		if err := errors.Join(syscall.Unmount(disk, 0), n.Remove()); err != nil {
			t.Error("remove the small disk:", err)
		}
	})
	text, err := os.ReadFile(n.ConfigPath())
	must(t, err)
	text = []byte(strings.Replace(string(text), "state_dir: "+n.Dir()+"\n", "state_dir: "+disk+"\nadmin: {socket: "+filepath.Join(n.Dir(), "admin.sock")+"}\n", 1))
	must(t, os.WriteFile(n.ConfigPath(), text, 0o600))
	must(t, n.Run(limit(t)))
	return n, disk
}

// fill takes all that is free on a disk.
func fill(t *testing.T, disk, name string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(disk, name), os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	defer f.Close()
	for size := 1 << 20; size >= 1; {
		_, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			t.Fatal(err)
		}
	}
}

// recordIDs are the ids of all call records that the office shows.
func recordIDs(t *testing.T, n *node.Node) []string {
	t.Helper()
	var ids []string
	for _, r := range recordsOf(t, n, func(record) bool { return true }) {
		ids = append(ids, r.ID)
	}
	return ids
}
