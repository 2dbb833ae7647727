package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/mss-federation/mss/pkg/siptransport"
	"github.com/mss-federation/mss/pkg/tracering"
	commonv1 "github.com/mss-federation/mss/proto/mss/common/v1"
	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

func (a *app) callTrace() *cobra.Command {
	var messages bool
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "show the SIP messages of a live or recent call as a ladder, without secrets",
		Long: "Shows the SIP messages of a live or recent call, as far as the node still has them.\n" +
			"ID is a call's id, a Call-ID of one of its legs, or its Session-ID.",
		Example:           "  mssctl call trace CALL\n  mssctl call trace CALL --messages",
		Args:              exactly("ID"),
		ValidArgsFunction: offered(a.offerCalls),
		RunE: func(cmd *cobra.Command, args []string) error {
			entries, err := a.traceEntries(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.format != formatTable {
				return a.printTrace(entries)
			}
			fmt.Fprint(a.out, ladderText(entries))
			if messages {
				fmt.Fprint(a.out, messagesText(entries))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&messages, "messages", false, "print the messages under the ladder")
	return cmd
}

// traceEntries asks an office's server or a hub. A hub knows a call by its Call-ID or Session-ID alone.
func (a *app) traceEntries(ctx context.Context, id string) (entries []*commonv1.TraceEntry, err error) {
	keep := func(m interface{ GetEntry() *commonv1.TraceEntry }) error {
		entries = append(entries, m.GetEntry())
		return nil
	}
	err = a.with(ctx, "trace call", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := lmssv1.NewCallsClient(conn).TraceCall(ctx, &lmssv1.TraceCallRequest{Id: id})
		err = each(a, stream, err, func(m *lmssv1.TraceCallResponse) error { return keep(m) })
		if !notServed(err) {
			return err
		}
		hub, err := tmssv1.NewTracesClient(conn).TraceCall(ctx, &tmssv1.TraceCallRequest{Id: id})
		return each(a, hub, err, func(m *tmssv1.TraceCallResponse) error { return keep(m) })
	})
	return entries, err
}

// ladderText draws the entries with the names that the node gave.
func ladderText(entries []*commonv1.TraceEntry) string {
	names := map[netip.AddrPort]string{}
	list := make([]tracering.Entry, 0, len(entries))
	for _, m := range entries {
		e := entryOf(m)
		names[e.Flow.Local], names[e.Flow.Remote] = m.GetLocalName(), m.GetRemoteName()
		list = append(list, e)
	}
	return tracering.Ladder(list, func(addr netip.AddrPort) string { return names[addr] })
}

// entryOf reads an entry. An address that is none stays the zero address: the ladder shows what there is.
func entryOf(m *commonv1.TraceEntry) tracering.Entry {
	e := tracering.Entry{At: m.GetAt().AsTime().Local(), Out: m.GetOut(), CallID: m.GetCallId(), Message: m.GetMessage()}
	e.Flow.ID = siptransport.FlowID(m.GetFlowId())
	e.Flow.Local, _ = netip.ParseAddrPort(m.GetLocal())
	e.Flow.Remote, _ = netip.ParseAddrPort(m.GetRemote())
	return e
}

// messagesText prints each message under a line that says when and between whom.
func messagesText(entries []*commonv1.TraceEntry) string {
	var b strings.Builder
	for _, m := range entries {
		from, to := m.GetLocal(), m.GetRemote()
		if !m.GetOut() {
			from, to = to, from
		}
		fmt.Fprintf(&b, "\n%s %s %s > %s\n", m.GetAt().AsTime().Local().Format("15:04:05.000000"), m.GetTransport(), from, to)
		for line := range strings.Lines(string(m.GetMessage())) {
			b.WriteString(strings.TrimRight("  "+printable(strings.TrimRight(line, "\r\n")), " ") + "\n")
		}
	}
	return b.String()
}

// printTrace writes the entries for programs, the messages as text rather than base64.
func (a *app) printTrace(entries []*commonv1.TraceEntry) error {
	type entry struct {
		At         time.Time `json:"at"`
		Out        bool      `json:"out"`
		Transport  string    `json:"transport"`
		Local      string    `json:"local"`
		LocalName  string    `json:"local_name"`
		Remote     string    `json:"remote"`
		RemoteName string    `json:"remote_name"`
		FlowID     uint64    `json:"flow_id"`
		CallID     string    `json:"call_id"`
		Message    string    `json:"message"`
	}
	list := make([]entry, 0, len(entries))
	for _, m := range entries {
		list = append(list, entry{
			At: m.GetAt().AsTime(), Out: m.GetOut(), Transport: m.GetTransport(),
			Local: m.GetLocal(), LocalName: m.GetLocalName(), Remote: m.GetRemote(), RemoteName: m.GetRemoteName(),
			FlowID: m.GetFlowId(), CallID: m.GetCallId(), Message: string(m.GetMessage()),
		})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return writeJSON(a.out, a.format, text)
}
