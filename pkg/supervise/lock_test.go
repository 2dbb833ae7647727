package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mss-federation/mss/pkg/fault"
)

func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lock.Predecessor() != 0 {
		t.Errorf("predecessor %d of the first", lock.Predecessor())
	}
	_, err = LockDir(dir)
	if fault.KindOf(err) != fault.Exists || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second lock: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Predecessor() != 0 {
		t.Errorf("predecessor %d after an orderly release", again.Predecessor())
	}
	if err := again.file.Close(); err != nil { // as if the process had been killed
		t.Fatal(err)
	}
	after, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if after.Predecessor() != os.Getpid() {
		t.Errorf("predecessor %d, want %d", after.Predecessor(), os.Getpid())
	}
	if err := after.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestLockNeedsTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "missing")
	if _, err := LockDir(dir); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), dir) {
		t.Errorf("LockDir: %v", err)
	}
}
