package main

import (
	"encoding/json"
	"errors"
	"fmt"

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

// exitText explains them in help.
const exitText = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 the node cannot be reached."

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

// failure is an error for programs.
type failure struct {
	// Code is the kind of failure in one word or two; stable, as the exit code is.
	Code      string `json:"code"`
	Exit      int    `json:"exit"`
	Operation string `json:"operation,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Message   string `json:"message"` // for people, with what to do next
}

// report writes an error to the error output in the format asked for.
func (a *app) report(err error) {
	if a.format == formatTable {
		fmt.Fprintln(a.errOut, "mssctl: "+err.Error())
		return
	}
	f := failure{Code: fault.KindOf(err).String(), Exit: exitCode(err), Message: err.Error()}
	if e, ok := errors.AsType[*fault.Error](err); ok {
		f.Operation, f.Subject = e.Op, e.Subject
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		f.Code = "usage"
	}
	text, marshalErr := json.Marshal(map[string]failure{"error": f})
	if marshalErr != nil || writeJSON(a.errOut, a.format, text) != nil {
		fmt.Fprintln(a.errOut, "mssctl: "+err.Error())
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
