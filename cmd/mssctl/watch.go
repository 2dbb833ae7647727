package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	tmssv1 "github.com/mss-federation/mss/proto/mss/tmss/v1"
)

func (a *app) routeWatch() *cobra.Command {
	return &cobra.Command{
		Use:     "watch [PREFIX]",
		Short:   "show all paths, then every change, until Ctrl-C; -o json gives one object a line",
		Example: "  mssctl route watch\n  mssctl route watch 4 -o json",
		Args:    atMost("PREFIX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.follow(cmd.Context(), "watch routes", func(ctx context.Context, conn *grpc.ClientConn) error {
				stream, err := tmssv1.NewRoutesClient(conn).WatchRoutes(ctx, &tmssv1.WatchRoutesRequest{Prefix: first(args)})
				return each(a, stream, err, a.printChange)
			})
		},
	}
}

// printChange prints one message of a watch at once.
func (a *app) printChange(m *tmssv1.WatchRoutesResponse) error {
	if a.format != formatTable {
		object, err := objectJSON(m)
		if err != nil {
			return err
		}
		if a.format == formatYAML {
			fmt.Fprintln(a.out, "---")
			return writeJSON(a.out, a.format, object)
		}
		return json.NewEncoder(a.out).Encode(object)
	}
	change := strings.ToLower(strings.TrimPrefix(m.GetChange().String(), "CHANGE_"))
	if m.GetChange() == tmssv1.WatchRoutesResponse_CHANGE_SYNCED {
		_, err := fmt.Fprintf(a.out, "-- all routes shown, revision %d; changes follow\n", m.GetRevision())
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if len(m.GetPaths()) == 0 {
		writeRow(w, []string{a.now().Local().Format("15:04:05"), change, m.GetPrefix()})
	}
	for _, p := range m.GetPaths() {
		writeRow(w, append([]string{a.now().Local().Format("15:04:05"), change}, routeRow(p)...))
	}
	return w.Flush()
}
