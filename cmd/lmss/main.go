// Command lmss is the telephone server of one office. "lmss run" is the daemon: a supervisor that holds the sockets and
// keeps two processes of this same program alive, "lmss signal", which decides about calls, and "lmss media", which
// carries voice. "lmss check" says whether a configuration file is good.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/pkg/fault"
)

// The exit codes are an interface: scripts and units rely on them.
const (
	exitFailure   = 1 // something failed while it ran, or a child had to be killed in the end
	exitUsage     = 2 // wrong arguments
	exitConfig    = 3 // the configuration file is not there or not good
	exitRunning   = 5 // another lmss runs on the same state directory
	exitNoAddress = 6 // an address or port cannot be had
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "lmss:", err)
	return exitCode(err)
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "lmss",
		Short:         "The telephone server of one office",
		Version:       version.Long(),
		Args:          usage(cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("lmss {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{cmd.CommandPath(), err} })
	root.AddCommand(runCommand(), checkCommand(), signalCommand(), mediaCommand())
	return root
}

// usageError is the caller's mistake on the command line.
type usageError struct {
	command string
	err     error
}

func (e usageError) Error() string {
	return e.err.Error() + "; see \"" + e.command + " --help\""
}

func (e usageError) Unwrap() error { return e.err }

func usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return usageError{cmd.CommandPath(), err}
		}
		return nil
	}
}

// exitError is a failure with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }

func (e exitError) Unwrap() error { return e.err }

func exitCode(err error) int {
	var coded exitError
	var wrong usageError
	switch {
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &coded):
		return coded.code
	}
	return exitFailure
}

// located gives errors of kinds that name the surroundings, not the program, their exit code.
func located(code int, err error, kinds ...fault.Kind) error {
	for _, kind := range kinds {
		if err != nil && fault.KindOf(err) == kind {
			return exitError{code, err}
		}
	}
	return err
}
