package contender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/mss-federation/mss/cmd/internal/bench/ng"
	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

// ErrNoRTPEngine says that rtpengine is not installed.
var ErrNoRTPEngine = errors.New("rtpengine is not installed: run make setup-packages, or apt-get install --no-install-recommends rtpengine-daemon")

// rtpengine is a running rtpengine.
type rtpengine struct {
	*program
	addr   netip.Addr
	client *ng.Client
}

// RTPEngineVersion is what rtpengine says of itself.
func RTPEngineVersion(ctx context.Context) (string, error) {
	path, err := exec.LookPath(RelayAnchor)
	if err != nil {
		return "", ErrNoRTPEngine
	}
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ask rtpengine for its version: %w", err)
	}
	version := bytes.TrimPrefix(bytes.TrimSpace(out), []byte("Version: "))
	return RelayAnchor + " " + string(version), nil
}

func startRTPEngine(ctx context.Context, setup RelaySetup) (RelayServer, error) {
	path, err := exec.LookPath(RelayAnchor)
	if err != nil {
		return nil, ErrNoRTPEngine
	}
	control, err := FreePort(node.NewAddress())
	if err != nil {
		return nil, err
	}
	r := &rtpengine{addr: control.Addr()}
	r.program, err = startProgram(RelayAnchor, path, filepath.Join(setup.Dir, "rtpengine.log"),
		"--config-file=none", "--foreground", "--log-stderr", "--table=-1", // no kernel module: packets pass its own threads
		"--interface="+r.addr.String(), "--listen-ng="+control.String())
	if err != nil {
		return nil, err
	}
	err = r.ready(ctx, control)
	if err == nil {
		r.client, err = ng.Dial(node.NewAddress(), control)
	}
	if err == nil {
		err = r.client.Ping(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// Lead relays calls.
func (r *rtpengine) Lead(ctx context.Context, calls []Ends) ([]Ends, error) {
	led := make([]Ends, len(calls))
	for i, call := range calls {
		var err error
		if led[i][0], led[i][1], err = r.client.Call(ctx, strconv.Itoa(i), call[0], call[1]); err != nil {
			return nil, err
		}
	}
	return led, nil
}

// Addr is the address of all its voice sockets.
func (r *rtpengine) Addr() netip.Addr { return r.addr }

// Dropped is nothing: rtpengine tells only of errors.
func (r *rtpengine) Dropped(context.Context) string { return "" }

// Stop ends it.
func (r *rtpengine) Stop() error {
	err := r.program.Stop()
	if r.client != nil {
		err = errors.Join(err, r.client.Close())
	}
	return err
}
