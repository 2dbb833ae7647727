package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/version"
)

// app is one run of the program: where it reads and writes, and the flags that every command has.
type app struct {
	in          io.Reader
	out, errOut io.Writer
	env         func(string) string
	now         func() time.Time

	socket   string
	node     string // of a hub the address, of an office NAME@ADDRESS; empty: the socket
	operator string // file of the operator's credentials
	context  string // name of one in the user's file
	format   format
	timeout  time.Duration
	patience *patience // of the request that runs
}

// run carries out one command line.
func (a *app) run(ctx context.Context, args []string) error {
	root := a.command()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	return root.ExecuteContext(ctx)
}

func (a *app) command() *cobra.Command {
	a.format = formatTable
	root := noun("mssctl", "look after a node of the telephone network",
		a.userCommand(), a.registrationCommand(), a.callCommand(), a.cdrCommand(),
		a.hubCommand(), a.siteCommand(), a.routeCommand(), a.peerCommand(), a.nodeCommand(), a.auditCommand(), a.statusCommand(),
		a.contextCommand())
	root.Long = "mssctl looks after the node on this machine, through its admin socket, or after one elsewhere (--node).\n\n" +
		exitText
	root.Version = version.Long()
	root.SetVersionTemplate("mssctl {{.Version}}\n")
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err.Error()) })
	flags := root.PersistentFlags()
	flags.StringVar(&a.socket, "socket", "", "path of the node's admin socket (default: $"+socketVariable+", else the one under "+runFolder+", "+siteFolder+" or "+hubFolder+")")
	flags.StringVar(&a.node, "node", "", "talk to the hub at this address and port instead, such as 192.0.2.1:5443, or to an office, london@192.0.2.9:5443")
	flags.StringVar(&a.operator, "operator", "", "file of the operator's certificate for --node (default: $"+operatorVariable+")")
	flags.VarP(&a.format, "output", "o", "how to print: table, json or yaml")
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "how long the node may say nothing")
	flags.StringVar(&a.context, "context", "", "name of the node in your contexts (default: $"+contextVariable+", else the current one)")
	_ = root.RegisterFlagCompletionFunc("context", func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return offered(a.offerPlaces)(cmd, nil, begun)
	}) // fails only for an unknown flag
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp)) // fails only for an unknown flag
	return root
}

// noun is a command that only holds others. Without one of them, or with one that it does not have, it says
// which there are.
func noun(name, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usage(cmd, unknownWord(cmd, args[0]))
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(verbs...)
	return cmd
}

func unknownWord(cmd *cobra.Command, word string) string {
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	text := cmd.CommandPath() + " does not know " + `"` + word + `"`
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return text + "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return text + "; it knows " + strings.Join(known, ", ")
}

// exactly is a check of the number of arguments that names what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage(cmd, "missing "+strings.Join(names[len(args):], " "))
		case len(args) > len(names):
			return usage(cmd, `unexpected "`+args[len(names)]+`"`)
		}
		return nil
	}
}

// atMost allows the named arguments to be left out.
func atMost(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return exactly(names[:min(len(args), len(names))]...)(cmd, args)
	}
}
