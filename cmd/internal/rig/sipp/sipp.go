// Package sipp drives SIPp 3.6 (Debian's sip-tester): callers and callees by the hundred, written as scenarios in XML by
// the tests that use them. Each run has a folder of its own, a time limit, and statistics that are read from SIPp's own
// files. Start at [Start] and [Run].
package sipp

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Options are one run of SIPp.
type Options struct {
	Scenario string         // path of the XML file
	Target   netip.AddrPort // where requests go
	Local    netip.AddrPort // what to bind; port 0: SIPp chooses
	TCP      bool
	Calls    int               // ends after so many; 0: when it is stopped
	Rate     int               // calls a second; zero: 10
	AtOnce   int               // calls at a time; zero: SIPp's default
	Called   string            // [service] in the scenario
	User     string            // for [authentication]
	Password string            // for [authentication]
	Keys     map[string]string // [name] in the scenario
	Limit    time.Duration     // ends a run that hangs, as failed; zero: one minute
}

// Stats are SIPp's totals.
type Stats struct {
	Created, Successful, Failed, Retransmissions int
}

const (
	program      = "sipp"
	defaultRate  = 10
	defaultLimit = time.Minute
	stopLimit    = 10 * time.Second
)

// Process is a running SIPp.
type Process struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the exit; read after exited
}

// Start starts SIPp.
func Start(ctx context.Context, opt Options) (*Process, error) {
	dir, err := os.MkdirTemp("", "mss-sipp-")
	if err != nil {
		return nil, fmt.Errorf("start sipp: %w", err)
	}
	scenario, err := filepath.Abs(opt.Scenario)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start sipp: %w", err), os.RemoveAll(dir))
	}
	p := &Process{dir: dir, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, program, arguments(opt, scenario)...)
	p.cmd.Dir = dir
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start sipp: %w", err), os.RemoveAll(dir))
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func arguments(opt Options, scenario string) []string {
	limit, rate, transport := opt.Limit, opt.Rate, "u1"
	if limit == 0 {
		limit = defaultLimit
	}
	if rate == 0 {
		rate = defaultRate
	}
	if opt.TCP {
		transport = "t1"
	}
	args := []string{
		"-sf", scenario, "-t", transport, "-i", opt.Local.Addr().String(), "-mi", opt.Local.Addr().String(),
		"-nostdin", "-r", strconv.Itoa(rate), "-trace_stat", "-stf", "stat.csv", "-fd", "1",
		"-trace_err", "-error_file", "errors.log", "-timeout_error", "-timeout", strconv.Itoa(int(limit.Seconds())),
	}
	if opt.Local.Port() != 0 {
		args = append(args, "-p", strconv.Itoa(int(opt.Local.Port())))
	}
	if opt.Calls > 0 {
		args = append(args, "-m", strconv.Itoa(opt.Calls))
	}
	if opt.AtOnce > 0 {
		args = append(args, "-l", strconv.Itoa(opt.AtOnce))
	}
	if opt.Called != "" {
		args = append(args, "-s", opt.Called)
	}
	if opt.User != "" {
		args = append(args, "-au", opt.User, "-ap", opt.Password)
	}
	for name, value := range opt.Keys {
		args = append(args, "-key", name, value)
	}
	return append(args, opt.Target.String())
}

// Wait waits for the end and gives the totals. Calls that failed are an error that shows what SIPp noted of them.
func (p *Process) Wait() (Stats, error) {
	<-p.exited
	defer os.RemoveAll(p.dir) //nolint:errcheck // a folder under the system's own for temporary files
	stats, err := readStats(filepath.Join(p.dir, "stat.csv"))
	if p.err == nil && err == nil && stats.Failed == 0 {
		return stats, nil
	}
	notes, rerr := os.ReadFile(filepath.Join(p.dir, "errors.log"))
	if rerr != nil {
		notes = []byte("(SIPp noted nothing)")
	}
	return stats, fmt.Errorf("sipp: %+v: %w\n%s", stats, errors.Join(p.err, err), notes)
}

// Stop asks SIPp to end when its calls have ended, and waits for it.
func (p *Process) Stop() (Stats, error) {
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return Stats{}, fmt.Errorf("stop sipp: %w", err)
	}
	select {
	case <-p.exited:
	case <-time.After(stopLimit):
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return Stats{}, fmt.Errorf("kill sipp: %w", err)
		}
	}
	return p.Wait()
}

// Run is Start and Wait.
func Run(ctx context.Context, opt Options) (Stats, error) {
	p, err := Start(ctx, opt)
	if err != nil {
		return Stats{}, err
	}
	return p.Wait()
}

// readStats reads the last line of SIPp's statistics, by the names in the first.
func readStats(path string) (Stats, error) {
	f, err := os.Open(path)
	if err != nil {
		return Stats{}, fmt.Errorf("read statistics: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = ';', -1, true
	rows, err := r.ReadAll()
	if err != nil || len(rows) < 2 {
		return Stats{}, fmt.Errorf("read statistics: %d lines: %w", len(rows), err)
	}
	last := map[string]int{}
	for i, name := range rows[0] {
		if i < len(rows[len(rows)-1]) {
			if n, err := strconv.Atoi(rows[len(rows)-1][i]); err == nil {
				last[name] = n
			}
		}
	}
	return Stats{
		Created: last["TotalCallCreated"], Successful: last["SuccessfulCall(C)"], Failed: last["FailedCall(C)"],
		Retransmissions: last["Retransmissions(C)"],
	}, nil
}
