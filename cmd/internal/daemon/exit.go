// Package daemon is what the commands lmss and tmss have in common as programs: exit codes and mistakes on the
// command line, the logger, the lock on the state directory, the line "ready" and systemd, and the processes that a
// supervisor starts. What they do as daemons is not here.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/version"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/fault"
)

// The exit codes are an interface: scripts and units rely on them.
const (
	ExitFailure   = 1 // something failed while it ran, or a child had to be killed in the end
	ExitUsage     = 2 // wrong arguments
	ExitConfig    = 3 // the configuration file is not there or not good
	ExitRunning   = 5 // another daemon runs on the same state directory
	ExitNoAddress = 6 // an address or port cannot be had
)

// Execute runs a program's command line and gives the process's exit code.
func Execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, root.Name()+":", err)
	return exitCode(err)
}

// Root is the command above all others.
func Root(name, short string, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           name,
		Short:         short,
		Version:       version.Long(),
		Args:          Usage(cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate(name + " {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return Misuse(cmd, err) })
	root.AddCommand(commands...)
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

// Misuse is a mistake on the command line of cmd.
func Misuse(cmd *cobra.Command, err error) error { return usageError{cmd.CommandPath(), err} }

// Usage makes wrong arguments a mistake on the command line.
func Usage(args cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := args(cmd, given); err != nil {
			return Misuse(cmd, err)
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

// Exit gives a failure an exit code; nil stays nil.
func Exit(code int, err error) error {
	if err == nil {
		return nil
	}
	return exitError{code, err}
}

func exitCode(err error) int {
	var coded exitError
	var wrong usageError
	switch {
	case errors.As(err, &wrong):
		return ExitUsage
	case errors.As(err, &coded):
		return coded.code
	}
	return ExitFailure
}

// Located gives errors of kinds that name the surroundings, not the program, their exit code.
func Located(code int, err error, kinds ...fault.Kind) error {
	for _, kind := range kinds {
		if err != nil && fault.KindOf(err) == kind {
			return Exit(code, err)
		}
	}
	return err
}

// ConfigFlag is where a command learns its configuration file; sample names the commented one.
func ConfigFlag(cmd *cobra.Command, path *string, usual, sample string) {
	cmd.Flags().StringVar(path, "config", usual, "configuration file; "+sample+" explains every key")
}

// Further is what a check looks at beyond the configuration file itself: the files that it names. Warnings are what a
// daemon starts with all the same.
type Further[T any] func(cfg *T) (warnings []string, err error)

// Check says whether a configuration file is good. It reads the file and, where there are further checks, the files that
// it names, and opens nothing else.
func Check[T any](cmd *cobra.Command, path string, further ...Further[T]) error {
	cfg, _, err := configfile.Load[T](path)
	if err != nil {
		return Exit(ExitConfig, err)
	}
	for _, look := range further {
		warnings, err := look(&cfg)
		if err != nil {
			return Exit(ExitConfig, fmt.Errorf("%s: %w", path, err))
		}
		for _, w := range warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", path, w)
		}
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", path)
	return err
}

// CheckCommand is Check as a command.
func CheckCommand[T any](usual, sample string, further ...Further[T]) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether a configuration file is good",
		Args:  Usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return Check(cmd, path, further...) },
	}
	ConfigFlag(cmd, &path, usual, sample)
	return cmd
}
