// Package wires tests the built programs where time counts: nodes that fall silent, wires that are cut, addresses that
// are translated. It runs by itself, so that clocks are measured while nothing else uses the machine.
package wires

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig"
)

// bin is the folder of the built programs.
var bin string

// long asks for the tests as they are run by hand: see make test-long.
var long = os.Getenv("MSS_LONG") != ""

func TestMain(m *testing.M) {
	var err error
	if bin, err = rig.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// within bounds a test, or a part of one.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
