package admin

import (
	"context"
	"maps"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mss-federation/mss/pkg/adminapi"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
	"github.com/mss-federation/mss/tmss/peering"
)

// Process is what only the program itself knows.
type Process struct {
	Version, Commit string
	Started         time.Time
	Processes       []Child
}

// Child is one of the node's processes; a zero PID is one that does not run.
type Child struct {
	Name string // hub or directory
	PID  int
}

// Status is what the hub's process knows.
type Status struct {
	Process

	Listeners   []string // "tls 192.0.2.1:5061"
	Certificate time.Time
	Counters    map[string]uint64
	Alarms      []string // what is wrong now, with what to do
}

// node serves mss.tmss.v1.Node.
type node struct {
	tmssv1.UnimplementedNodeServer
	api *API
}

// GetStatus shows the hub.
func (s *node) GetStatus(context.Context, *tmssv1.GetStatusRequest) (*tmssv1.GetStatusResponse, error) {
	o := &s.api.options
	status, directory, snapshot := o.Status(), o.Directory.Status(), o.Table.Snapshot()
	routes, paths := snapshot.Routes()
	m := &tmssv1.Status{
		Hub: string(o.Hub), Domain: string(o.Domain), Version: status.Version, Commit: status.Commit,
		Started: adminapi.Time(status.Started), Uptime: durationpb.New(time.Since(status.Started)),
		Listeners: status.Listeners, Directory: "live", DirectoryRevision: directory.Revision,
		CertificateExpires: adminapi.Time(status.Certificate),
		Sites:              uint32(len(o.Directory.View().Sites) + len(o.Configured)),
		Routes:             uint32(routes), Paths: uint32(paths), Revision: snapshot.Revision(), Alarms: status.Alarms,
	}
	if !directory.Live {
		m.Directory = "out of reach since " + directory.Since.UTC().Format(time.RFC3339)
		m.Alarms = append(m.Alarms, "the directory is out of reach: calls go on, nothing can be changed; look at the process directory and at its address")
	}
	for _, p := range o.Peers.Peers() {
		if p.Phase == peering.Up {
			m.Sessions++
		}
	}
	for _, p := range status.Processes {
		m.Processes = append(m.Processes, &commonv1.Process{Name: p.Name, Pid: uint32(p.PID)})
	}
	counters := adminapi.TraceCounters(o.Trace)
	maps.Copy(counters, status.Counters)
	m.Counters = adminapi.Counters(counters)
	return &tmssv1.GetStatusResponse{Status: m}, nil
}
