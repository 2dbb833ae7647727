package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mss-federation/mss/lmss/config"
	"github.com/mss-federation/mss/pkg/servercert"
)

func tlsFiles(cfg *config.Config) servercert.Files {
	return servercert.Files{Certificate: cfg.TLS.Certificate, Key: cfg.TLS.Key}
}

// checkTLS reads the certificate that phones are shown, if there is to be one.
func checkTLS(cfg *config.Config) (warnings []string, err error) {
	_, warnings, err = readTLS(cfg)
	return warnings, err
}

func readTLS(cfg *config.Config) (*servercert.Pair, []string, error) {
	if len(cfg.Listen.TLS) == 0 {
		return nil, nil, nil
	}
	pair, err := tlsFiles(cfg).Read()
	if err != nil {
		return nil, nil, fmt.Errorf("tls: %w", err)
	}
	var warnings []string
	for _, w := range pair.Warnings(time.Now(), cfg.Listen.TLSAddresses()) {
		warnings = append(warnings, "tls.certificate: "+cfg.TLS.Certificate+": "+w)
	}
	return pair, warnings, nil
}

// heldTLS is the supervisor's view of the certificate: the last good pair, which it hands to the signalling process at
// each start, so that files that are broken later cannot stop a restart. Nil without TLS.
type heldTLS struct{ *servercert.Holder }

func openTLS(cfg *config.Config, path string, logger *slog.Logger) (*heldTLS, error) {
	pair, warnings, err := readTLS(cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, w := range warnings {
		logger.Warn("phones may refuse the TLS certificate", "why", w)
	}
	if pair == nil {
		return nil, nil
	}
	return &heldTLS{servercert.New(tlsFiles(cfg), pair, 0, logger)}, nil
}

// fresh is what a child is given at its start; nil without TLS.
func (h *heldTLS) fresh() func() []byte {
	if h == nil {
		return nil
	}
	return func() []byte { return h.Pair().PEM() }
}

// follow keeps the pair up to date until ctx ends; the caller waits for that with wait.
func (h *heldTLS) follow(ctx context.Context) (wait func()) {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	if h != nil {
		following.Go(func() { _ = h.Run(ctx) }) // it returns nil
	}
	return func() {
		cancel()
		following.Wait()
	}
}

// inheritTLS takes the pair from the supervisor; nil without TLS.
func inheritTLS(c *child) (*servercert.Holder, error) {
	if len(c.Config.Listen.TLS) == 0 {
		return nil, nil
	}
	files := tlsFiles(&c.Config)
	pair, err := files.Parse(c.Fresh)
	if err != nil {
		return nil, err
	}
	return servercert.New(files, pair, 0, c.Logger), nil
}
