package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "show the node: version, processes, how much there is of everything, what is wrong",
		Example: "  mssctl status\n  mssctl status -o json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), "get status", func(ctx context.Context, conn *grpc.ClientConn) error {
				m, err := lmssv1.NewNodeClient(conn).GetStatus(ctx, &lmssv1.GetStatusRequest{})
				if notServed(err) {
					return a.hubStatus(ctx, conn)
				}
				if err != nil {
					return err
				}
				return a.printObject(m.GetStatus(), statusText(m.GetStatus()))
			})
		},
	}
}

// statusText is one line a fact, the alarms last, where the eye ends.
func statusText(s *lmssv1.Status) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, value string) { writeRow(w, []string{name, value}) }
	line("site", s.GetSite())
	line("realm", s.GetRealm())
	line("version", s.GetVersion()+" ("+s.GetCommit()+")")
	line("up for", s.GetUptime().AsDuration().Round(time.Second).String())
	line("processes", processesText(s.GetProcesses()))
	line("listening", strings.Join(s.GetListeners(), ", "))
	line("users", fmt.Sprint(s.GetUsers()))
	line("registrations", fmt.Sprint(s.GetRegistrations()))
	line("calls", fmt.Sprint(s.GetCalls()))
	if s.GetVoice() != "" {
		line("voice", s.GetVoice())
	}
	countersAndAlarms(line, s)
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}

// countersAndAlarms are the end of every node's status.
func countersAndAlarms(line func(name, value string), s interface {
	GetCounters() []*commonv1.Counter
	GetAlarms() []string
},
) {
	for _, c := range s.GetCounters() {
		line(c.GetName(), fmt.Sprint(c.GetValue()))
	}
	for _, alarm := range s.GetAlarms() {
		line("ALARM", alarm)
	}
}

func (a *app) hubStatus(ctx context.Context, conn *grpc.ClientConn) error {
	m, err := tmssv1.NewNodeClient(conn).GetStatus(ctx, &tmssv1.GetStatusRequest{})
	if err != nil {
		return err
	}
	return a.printObject(m.GetStatus(), hubStatusText(m.GetStatus(), a.now()))
}

func hubStatusText(s *tmssv1.Status, now time.Time) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, value string) { writeRow(w, []string{name, value}) }
	line("hub", s.GetHub())
	line("domain", s.GetDomain())
	line("version", s.GetVersion()+" ("+s.GetCommit()+")")
	line("up for", s.GetUptime().AsDuration().Round(time.Second).String())
	line("processes", processesText(s.GetProcesses()))
	line("listening", strings.Join(s.GetListeners(), ", "))
	line("directory", s.GetDirectory()+fmt.Sprintf(", revision %d", s.GetDirectoryRevision()))
	line("certificate", "ends in "+until(s.GetCertificateExpires(), now))
	line("sites", fmt.Sprintf("%d, %d with a session", s.GetSites(), s.GetSessions()))
	line("routes", fmt.Sprintf("%d, with %d paths", s.GetRoutes(), s.GetPaths()))
	countersAndAlarms(line, s)
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}

func processesText(list []*commonv1.Process) string {
	texts := make([]string, 0, len(list))
	for _, p := range list {
		if p.GetPid() == 0 {
			texts = append(texts, p.GetName()+" not running")
			continue
		}
		texts = append(texts, fmt.Sprintf("%s %d", p.GetName(), p.GetPid()))
	}
	return strings.Join(texts, ", ")
}
