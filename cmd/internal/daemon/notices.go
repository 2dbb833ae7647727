package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notices tells whoever started the daemon when it serves: a line on standard output, and systemd where there is one.
// It is safe for concurrent use.
type Notices struct {
	out    io.Writer
	logger *slog.Logger

	mu struct {
		sync.Mutex
		waiting map[string]bool
		told    bool
	}
}

// NewNotices waits for these parts of the daemon.
func NewNotices(out io.Writer, logger *slog.Logger, parts ...string) *Notices {
	n := &Notices{out: out, logger: logger}
	n.mu.waiting = make(map[string]bool, len(parts))
	for _, p := range parts {
		n.mu.waiting[p] = true
	}
	return n
}

// Ready says that a part serves. With the last one the daemon does.
func (n *Notices) Ready(part string) {
	n.mu.Lock()
	delete(n.mu.waiting, part)
	last := len(n.mu.waiting) == 0 && !n.mu.told
	n.mu.told = n.mu.told || last
	n.mu.Unlock()
	if !last {
		return
	}
	if _, err := fmt.Fprintln(n.out, "ready"); err != nil {
		n.logger.Warn("standard output is closed", "error", err)
	}
	n.systemd(daemon.SdNotifyReady)
}

// Stopping tells systemd that the end was asked for.
func (n *Notices) Stopping() { n.systemd(daemon.SdNotifyStopping) }

func (n *Notices) systemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.logger.Warn("systemd not notified", "error", err)
	}
}
