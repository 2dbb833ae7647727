package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/cmd/internal/daemon"
	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/configfile"
	"github.com/mss-federation/mss/pkg/identity"
)

func joinCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "join STRING",
		Short: "Make this office part of its domain, with what mssctl site token printed on a hub",
		Long: "Make this office part of its domain.\n\nSTRING is what \"mssctl site token NAME\" printed on a hub; it can be used once, within " +
			identity.TokenLifetime.String() + ". The office's key is made\nhere and stays here; the hub certifies it. Both are kept in the folder identity of state_dir.",
		Args: daemon.Usage(oneToken),
		RunE: func(cmd *cobra.Command, args []string) error { return join(cmd, path, args[0]) },
	}
	daemon.ConfigFlag(cmd, &path, defaultConfig, sampleConfig)
	return cmd
}

var errOneToken = errors.New("one STRING is needed: what \"mssctl site token NAME\" printed on a hub")

func oneToken(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errOneToken
	}
	return nil
}

func join(cmd *cobra.Command, path, token string) error {
	cfg, _, err := configfile.Load[config.Config](path)
	if err != nil {
		return daemon.Exit(daemon.ExitConfig, err)
	}
	self := identity.Node{Domain: cfg.Domain, Role: identity.Site, ID: string(cfg.Site)}
	credentials, err := uplink.Join(cmd.Context(), uplink.HomeIn(cfg.StateDir), self, token)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "joined %s as site %s; the certificate is valid until %s and renews itself\n"+
		"next: start lmss run, or restart it if it runs\n",
		cfg.Domain, cfg.Site, credentials.Leaf().NotAfter.Format(time.RFC3339))
	return err
}
