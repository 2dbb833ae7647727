package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/supervise"
)

// inheritedPorts is how long the ports of a supervisor that was killed are waited for: its children end with it, but
// not in the same instant.
const inheritedPorts = 2 * time.Second

// LockState makes a state directory if it is not there and takes the right to be the only daemon on it.
func LockState(dir string) (*supervise.Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w; make the directory, or name another one", err)
	}
	lock, err := supervise.LockDir(dir)
	return lock, Located(ExitRunning, err, fault.Exists)
}

// PortPatience is how long to wait for ports that the last daemon on this directory may still hold. It says so in
// the log when that one did not end in order.
func PortPatience(lock *supervise.Lock, logger *slog.Logger) time.Duration {
	if lock.Predecessor() == 0 {
		return 0
	}
	logger.Warn("the last supervisor did not end in order", "pid", lock.Predecessor())
	return inheritedPorts
}
