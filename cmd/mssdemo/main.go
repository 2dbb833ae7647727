// Command mssdemo shows what MSS does, on one machine in under a minute, and proves it while it goes: it starts the
// built programs as an operator would, lets test phones call through them with real voice, breaks something, and says
// what each phone heard. "mssdemo --up" leaves hubs and offices running for a softphone. It needs neither root nor a network.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line says.
type options struct {
	bin string
	up  bool
	// listen is London's address; hongkong, hubA and hubB are the others'. Zero: new ones.
	listen, hongkong, hubA, hubB netip.Addr
	port                         uint16 // of both offices; zero: free ones
	limit                        time.Duration
}

const (
	exitFailed = 1
	exitUsage  = 2
	// defaultLimit is the whole demonstration's, by the promise that it ends within a minute.
	defaultLimit = 60 * time.Second
)

func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var failed *failure
	cmd := command(stdout)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.As(err, &failed):
		fmt.Fprintln(stderr, "mssdemo: "+err.Error())
		return exitFailed
	default:
		fmt.Fprintf(stderr, "mssdemo: %v; see \"mssdemo --help\"\n", err)
		return exitUsage
	}
}

func command(out io.Writer) *cobra.Command {
	var o options
	var listen string
	cmd := &cobra.Command{
		Use:           "mssdemo",
		Short:         "Show a telephone call between two offices, and what happens when a hub or a process dies in it",
		Version:       version.Long(),
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(listen); err != nil {
				return err
			}
			if o.up {
				return up(cmd.Context(), o, out)
			}
			return show(cmd.Context(), o, out)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.up, "up", false, "leave hubs and offices running for your own softphone, until Ctrl-C")
	flags.StringVar(&listen, "listen", "", "address of this machine where London serves phones (default with --up 127.0.11.1)")
	flags.Uint16Var(&o.port, "port", 0, "SIP port of both offices, UDP and TCP, and the next for TLS (default: free ones; with --up 5060)")
	flags.StringVar(&o.bin, "bin", "", "folder of lmss, tmss and mssctl (default: mssdemo's own)")
	flags.DurationVar(&o.limit, "limit", defaultLimit, "give up after this time")
	return cmd
}

// complete fills in what was not said.
func (o *options) complete(listen string) error {
	if o.bin == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the programs: %w", err)
		}
		o.bin = filepath.Dir(self)
	}
	for _, program := range []string{"lmss", "tmss", "mssctl"} {
		if _, err := os.Stat(filepath.Join(o.bin, program)); err != nil {
			return fmt.Errorf("%s is not in %s: build it with \"make build\"", program, o.bin)
		}
	}
	if o.up && listen == "" {
		listen = "127.0.11.1"
	}
	if o.up && o.port == 0 {
		o.port = 5060
	}
	if listen == "" {
		return nil
	}
	return o.place(listen)
}

// place gives the nodes their addresses. Those next to London's are this machine's too if it is on the loopback; otherwise
// only London can be reached from other machines.
func (o *options) place(listen string) (err error) {
	if o.listen, err = netip.ParseAddr(listen); err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if o.hongkong = netip.AddrFrom4([4]byte{127, 0, 11, 2}); o.listen.IsLoopback() && o.listen.Is4() {
		o.hongkong = o.listen.Next()
	}
	o.hubA = o.hongkong.Next()
	o.hubB = o.hubA.Next()
	return nil
}
