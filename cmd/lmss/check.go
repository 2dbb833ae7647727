package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/configfile"
)

// defaultConfig is where packages put the file.
const defaultConfig = "/etc/lmss/lmss.yaml"

func checkCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether a configuration file is good",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return check(cmd, path) },
	}
	configFlag(cmd, &path)
	return cmd
}

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", defaultConfig, "configuration file; deploy/config/lmss.yaml explains every key")
}

// check reads the file and opens nothing.
func check(cmd *cobra.Command, path string) error {
	if err := configfile.Check[config.Config](path); err != nil {
		return exitError{exitConfig, err}
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", path)
	return err
}
