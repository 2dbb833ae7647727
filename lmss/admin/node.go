package admin

import (
	"context"
	"maps"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mss-federation/mss/pkg/adminapi"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// Status is what only the process itself knows.
type Status struct {
	Version, Commit string
	Started         time.Time
	Processes       []Process
	Listeners       []string // "udp 192.0.2.1:5060"
	Counters        map[string]uint64
	Alarms          []string // what is wrong now, with what to do
	Voice           string   // whether that of other sites reaches this one; empty without uplink
}

// Process is one of the node's processes; a zero PID is one that does not run.
type Process struct {
	Name string // supervisor, signal or media
	PID  int
}

// node serves mss.lmss.v1.Node.
type node struct {
	lmssv1.UnimplementedNodeServer
	server *Server
}

// GetStatus shows the node. It answers also when the calls' owners do not, with an alarm that says so:
// this is where an operator looks when something is wrong.
func (s *node) GetStatus(ctx context.Context, _ *lmssv1.GetStatusRequest) (*lmssv1.GetStatusResponse, error) {
	o := &s.server.options
	status := o.Status(ctx)
	m := &lmssv1.Status{
		Site: string(o.Site), Realm: o.Realm, Version: status.Version, Commit: status.Commit,
		Started: adminapi.Time(status.Started), Uptime: durationpb.New(time.Since(status.Started)),
		Listeners: status.Listeners, Alarms: status.Alarms, Voice: status.Voice,
		Users: uint32(o.Users.Table().Len()), Registrations: uint32(o.Registrar.Count()),
	}
	for _, p := range status.Processes {
		m.Processes = append(m.Processes, &commonv1.Process{Name: p.Name, Pid: uint32(p.PID)})
	}
	live, err := s.server.live(ctx)
	if err != nil {
		m.Alarms = append(m.Alarms, err.Error())
	}
	m.Calls = uint32(len(live))
	counters := adminapi.TraceCounters(o.Trace)
	maps.Copy(counters, status.Counters)
	m.Counters = adminapi.Counters(counters)
	return &lmssv1.GetStatusResponse{Status: m}, nil
}
