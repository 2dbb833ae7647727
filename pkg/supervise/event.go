package supervise

import (
	"context"
	"log/slog"
	"time"
)

// EventKind says what happened to a child.
type EventKind uint8

// The events of a child's life. Zero is no event.
const (
	// Started: the process runs. PID is set.
	Started EventKind = iota + 1
	// Ready: the child called [Inheritance.Ready].
	Ready
	// HeartbeatLost: the child missed its heartbeat and gets SIGQUIT.
	HeartbeatLost
	// Exited: the process is gone. Err, Dump, Uptime and, when it will be started again, Delay are set.
	Exited
	// StartFailed: the process could not be started. Err and Delay are set.
	StartFailed
)

// String is the event in an operator's words.
func (k EventKind) String() string {
	switch k {
	case Started:
		return "child started"
	case Ready:
		return "child ready"
	case HeartbeatLost:
		return "child missed its heartbeat"
	case Exited:
		return "child exited"
	case StartFailed:
		return "child not started"
	}
	return "no event"
}

// Event is something that happened to a child.
type Event struct {
	Kind  EventKind
	Child string
	PID   int
	// Err is why the process is gone or could not be started; nil after exit status 0.
	Err error
	// Stopping says that the supervisor asked the child to stop.
	Stopping bool
	// Dump is the path of the kept dump; empty if there is none.
	Dump string
	// Uptime is how long the process lived.
	Uptime time.Duration
	// Delay is the wait before the next start.
	Delay time.Duration
}

func (e Event) log(logger *slog.Logger) {
	level := slog.LevelInfo
	if e.Kind == HeartbeatLost || e.Kind == StartFailed || e.Kind == Exited && !e.Stopping {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("child", e.Child)}
	if e.PID != 0 {
		attrs = append(attrs, slog.Int("pid", e.PID))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("cause", e.Err.Error()))
	}
	if e.Dump != "" {
		attrs = append(attrs, slog.String("dump", e.Dump))
	}
	if e.Uptime != 0 {
		attrs = append(attrs, slog.Duration("uptime", e.Uptime))
	}
	if e.Delay != 0 {
		attrs = append(attrs, slog.Duration("restart_in", e.Delay))
	}
	logger.LogAttrs(context.Background(), level, e.Kind.String(), attrs...) //nolint:sloglint // the words are constants, one for each kind
}
