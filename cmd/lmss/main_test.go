package main

import (
	"context"
	"os"
	"testing"
)

// playVariable makes this test binary the program itself.
const playVariable = "MSS_LMSS_TEST_PLAY"

func TestMain(m *testing.M) {
	if os.Getenv(playVariable) != "" {
		os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}
