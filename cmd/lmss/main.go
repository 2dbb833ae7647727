// Command lmss is the telephone server of one office. "lmss run" is the daemon: a supervisor that holds the sockets and
// keeps two processes of this same program alive, "lmss signal", which decides about calls, and "lmss media", which
// carries voice. "lmss check" says whether a configuration file is good.
package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/lmss/config"
)

// Where packages put the file, and who explains it.
const (
	defaultConfig = "/etc/lmss/lmss.yaml"
	sampleConfig  = "deploy/config/lmss.yaml"
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := daemon.Root("lmss", "The telephone server of one office",
		runCommand(), joinCommand(), daemon.CheckCommand(defaultConfig, sampleConfig, checkTLS), signalCommand(), mediaCommand())
	return daemon.Execute(ctx, root, args, stdout, stderr)
}

// child is what a process that the supervisor started works with.
type child = daemon.Child[config.Config]

// childCommand is a subcommand that only the supervisor uses.
func childCommand(name, short string, body func(context.Context, *child) error) *cobra.Command {
	return &cobra.Command{
		Use:    name,
		Short:  short,
		Args:   daemon.Usage(cobra.NoArgs),
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return daemon.RunChild(cmd, func(c *config.Config) (string, string) { return c.Log.Level, c.Log.Format }, body)
		},
	}
}
