package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/tmss/config"
	"github.com/mss-federation/mss/tmss/enrol"
)

// place is where a new hub is to be: from a configuration that somebody has prepared, or from flags.
type place struct {
	config, stateDir                 string
	address                          string
	sipPort, grpcPort, directoryPort uint16
	prepared                         bool
	hub, domain                      string // of the prepared configuration
}

func (p *place) register(cmd *cobra.Command) {
	daemon.ConfigFlag(cmd, &p.config, defaultConfig, sampleConfig)
	flags := cmd.Flags()
	flags.StringVar(&p.stateDir, "state-dir", "/var/lib/tmss", "where the hub keeps keys and everything else")
	flags.StringVar(&p.address, "address", "", "the machine's address on which the hub is reached, such as 192.0.2.1")
	flags.Uint16Var(&p.sipPort, "sip-port", 5061, "port for trunks (TLS)")
	flags.Uint16Var(&p.grpcPort, "grpc-port", 5443, "port for route exchange, enrolment and operators")
	flags.Uint16Var(&p.directoryPort, "directory-port", 2379, "port of the embedded directory")
}

// setup reads the prepared configuration, or makes sense of the flags.
func (p *place) setup(cmd *cobra.Command) (enrol.Setup, error) {
	path, err := filepath.Abs(p.config)
	if err != nil {
		return enrol.Setup{}, err
	}
	p.config = path
	if _, err := os.Stat(path); err == nil {
		return p.fromFile(cmd)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return enrol.Setup{}, err
	}
	address, err := netip.ParseAddr(p.address)
	if err != nil || !configfile.IsUnicast(address) {
		return enrol.Setup{}, daemon.Misuse(cmd, fmt.Errorf("--address %q: the machine's address is wanted, such as --address 192.0.2.1", p.address))
	}
	if p.stateDir, err = filepath.Abs(p.stateDir); err != nil {
		return enrol.Setup{}, err
	}
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(address, port) }
	return enrol.Setup{
		StateDir: p.stateDir, Config: path, TLS: at(p.sipPort), GRPC: at(p.grpcPort), Directory: at(p.directoryPort),
	}, nil
}

// fromFile takes everything from the prepared file; a flag that says the same thing otherwise is a mistake.
func (p *place) fromFile(cmd *cobra.Command) (enrol.Setup, error) {
	for _, name := range []string{"state-dir", "address", "sip-port", "grpc-port", "directory-port", "domain", "hub"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return enrol.Setup{}, daemon.Misuse(cmd, fmt.Errorf("--%s: %s is there already and says it; change it there, or name another file with --config", name, p.config))
		}
	}
	c, _, err := configfile.Load[config.Config](p.config)
	if err != nil {
		return enrol.Setup{}, daemon.Exit(daemon.ExitConfig, err)
	}
	p.prepared, p.hub, p.domain = true, string(c.Hub), c.Domain
	return enrol.Setup{StateDir: c.StateDir, Config: p.config}, nil
}

func initCommand() *cobra.Command {
	var p place
	var domain, hub, operator string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Begin a new domain on this machine, with its first hub",
		Long: "Makes the domain's root key, this hub's keys and certificate, an operator's certificate and the\n" +
			"configuration, and exits. A configuration that is there already is used as it is.",
		Example: "  tmss init --domain example.org --hub a --address 192.0.2.1",
		Args:    daemon.Usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			setup, err := p.setup(cmd)
			if err != nil {
				return err
			}
			if p.prepared {
				domain, hub = p.domain, p.hub
			}
			if domain == "" {
				return daemon.Misuse(cmd, errors.New("--domain: the domain's name is wanted, such as --domain example.org"))
			}
			born, err := enrol.Init(enrol.Domain{Setup: setup, Name: domain, Hub: hub, Operator: operator})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "domain %s begins with hub %s\n"+
				"  root key       %s (only needed when a hub joins: keep it offline otherwise)\n"+
				"  operator       %s (valid for %v)\n"+
				"  configuration  %s\n"+
				"next: tmss run --config %s\n",
				domain, hub, born.RootKey, born.Operator, identity.OperatorLifetime, born.Config, born.Config)
			return err
		},
	}
	p.register(cmd)
	cmd.Flags().StringVar(&domain, "domain", "", "the domain's name, such as example.org")
	cmd.Flags().StringVar(&hub, "hub", "a", "the hub's name")
	cmd.Flags().StringVar(&operator, "operator", "admin", "the operator's name")
	return cmd
}

func joinCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:   "join STRING",
		Short: "Make this machine the hub that a token is for",
		Long: "Spends the token of \"mssctl hub token NAME\" at a hub that is there, and writes this hub's keys,\n" +
			"certificate and configuration. A configuration that is there already is used as it is.",
		Example: "  tmss join mss1-... --address 192.0.2.2",
		Args:    daemon.Usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			setup, err := p.setup(cmd)
			if err != nil {
				return err
			}
			if err := p.fits(args[0]); err != nil {
				return err
			}
			node, err := enrol.JoinHub(cmd.Context(), args[0], setup)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "this machine is hub %s of domain %s\n  configuration  %s\nnext: tmss run --config %s\n",
				node.ID, node.Domain, setup.Config, setup.Config)
			return err
		},
	}
	p.register(cmd)
	return cmd
}

// fits says whether the token is for the hub of the prepared configuration, before it is spent.
func (p *place) fits(text string) error {
	token, err := identity.ParseToken(text)
	if err != nil || !p.prepared {
		return err
	}
	if token.Node.ID != p.hub || token.Node.Domain != p.domain || token.Node.Role != identity.Hub {
		return fault.New("join", fault.Invalid, token.Node.URI(),
			"the token is not for hub "+p.hub+" of domain "+p.domain+", which "+p.config+" describes: make one with `mssctl hub token "+p.hub+"`")
	}
	return nil
}
