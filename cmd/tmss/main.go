// Command tmss is a hub of the telephone network. "tmss init" begins a domain with its first hub, "tmss join" makes this
// machine another hub of one. "tmss run" is the daemon: the hub itself, which starts and watches "tmss directory", the
// domain's directory (etcd) in a process of its own, where that is embedded. "tmss check" says whether a configuration
// file is good.
package main

import (
	"context"
	"io"
	"os"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/tmss/config"
)

// Where packages put the file, and who explains it.
const (
	defaultConfig = "/etc/tmss/tmss.yaml"
	sampleConfig  = "deploy/config/tmss.yaml"
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := daemon.Root("tmss", "A hub of the telephone network",
		initCommand(), joinCommand(), runCommand(), directoryCommand(), daemon.CheckCommand[config.Config](defaultConfig, sampleConfig))
	return daemon.Execute(ctx, root, args, stdout, stderr)
}
