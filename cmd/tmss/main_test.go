package main

import (
	"context"
	"os"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/daemon/daemontest"
)

func TestMain(m *testing.M) {
	if daemontest.Play() {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
