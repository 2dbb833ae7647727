package main

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/pkg/supervise"
	"github.com/mss-federation/mss/tmss/admin"
)

// lastPID is the pid of a child; zero while it does not run.
type lastPID struct{ pid atomic.Int64 }

func (p *lastPID) event(e supervise.Event) {
	switch e.Kind {
	case supervise.Started:
		p.pid.Store(int64(e.PID))
	case supervise.Exited:
		p.pid.Store(0)
	default: // it lives on
	}
}

func (p *lastPID) get() int { return int(p.pid.Load()) }

// newStatus gives what only the process knows about itself and its like.
func newStatus(directory func() int) func() admin.Process {
	started := time.Now()
	return func() admin.Process {
		return admin.Process{
			Version: version.Version(), Commit: version.Commit(), Started: started,
			Processes: []admin.Child{{Name: "hub", PID: os.Getpid()}, {Name: "directory", PID: directory()}},
		}
	}
}
