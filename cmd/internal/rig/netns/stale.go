package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// family begins the names of all that this package makes.
const family = "mss-"

// ownPrefix names this process: its pid, and when it started, as pids are used again.
func ownPrefix() (string, error) {
	started, err := startOf(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("name namespaces: %w", err)
	}
	return fmt.Sprintf("%s%d-%s-", family, os.Getpid(), started), nil
}

// startOf is when a living process started, in ticks since the machine did.
func startOf(pid int) (string, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	text := string(data)
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name in brackets may hold anything
	const started = 19
	if len(f) <= started {
		return "", fmt.Errorf("process %d: /proc says %q", pid, text)
	}
	return f[started], nil
}

// sweep removes the namespaces of processes that are dead.
func sweep() error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for old namespaces: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if orphan(e.Name()) {
			errs = append(errs, remove(e.Name()))
		}
	}
	return errors.Join(errs...)
}

// orphan says whether a name is of this package, and its process is gone.
func orphan(name string) bool {
	rest, ours := strings.CutPrefix(name, family)
	f := strings.Split(rest, "-")
	if !ours || len(f) < 4 {
		return false
	}
	pid, err := strconv.Atoi(f[0])
	if err != nil {
		return false
	}
	started, err := startOf(pid)
	return err != nil || started != f[1]
}

// remove kills what runs in a namespace and removes it; one that another process removes at this moment is no error.
func remove(name string) error {
	pids, err := tool("ip", "netns", "pids", name)
	for field := range strings.FieldsSeq(pids) {
		if pid, bad := strconv.Atoi(field); bad == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already: as good
		}
	}
	if err == nil {
		_, err = tool("ip", "netns", "delete", name)
	}
	if _, there := os.Stat(filepath.Join(folder, name)); errors.Is(there, fs.ErrNotExist) {
		return nil
	}
	return err
}
