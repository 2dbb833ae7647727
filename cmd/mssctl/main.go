// Command mssctl is the operators' command line: mssctl NOUN VERB. It talks to the node on this machine
// over its Unix socket, so that it works when every wire is cut. One noun is one file; exit codes are in
// exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, env: os.Getenv, now: time.Now}
	err := a.run(ctx, os.Args[1:])
	stop()
	if err != nil {
		a.report(err)
	}
	os.Exit(exitCode(err))
}
