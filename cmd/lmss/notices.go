package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/mss-federation/mss/pkg/supervise"
)

// notices tells whoever started the daemon when it serves: a line on standard output, and systemd where there is one.
type notices struct {
	children []supervise.Child
	ready    map[string]bool
	told     bool
	out      io.Writer
	logger   *slog.Logger
}

func newNotices(children []supervise.Child, out io.Writer, logger *slog.Logger) *notices {
	return &notices{children: children, ready: make(map[string]bool), out: out, logger: logger}
}

// event is called from the supervisor's goroutine, one call at a time.
func (n *notices) event(e supervise.Event) {
	if e.Kind != supervise.Ready || n.told {
		return
	}
	n.ready[e.Child] = true
	if len(n.ready) < len(n.children) {
		return
	}
	n.told = true
	if _, err := fmt.Fprintln(n.out, "ready"); err != nil {
		n.logger.Warn("standard output is closed", "error", err)
	}
	n.systemd(daemon.SdNotifyReady)
}

// stopping tells systemd that the end was asked for.
func (n *notices) stopping() { n.systemd(daemon.SdNotifyStopping) }

func (n *notices) systemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.logger.Warn("systemd not notified", "error", err)
	}
}
