package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/pkg/fault"
)

// Exit codes. Scripts rely on them: they do not change.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnavailable = 4
)

// exitCode is what the process ends with.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return exitUsage
	case fault.NotFound:
		return exitNotFound
	case fault.Unavailable, fault.Timeout:
		return exitUnavailable
	default:
		return exitFailure
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ text string }

// Error is the text.
func (e *usageError) Error() string { return e.text }

// usage says what is wrong with a command line and where to read how it should be.
func usage(cmd *cobra.Command, text string) error {
	return &usageError{text + "\nsee " + cmd.CommandPath() + " --help"}
}
