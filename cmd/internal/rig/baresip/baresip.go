// Package baresip drives baresip 1.0 (Debian's baresip-core) as a phone of somebody else's making: one process with
// its own folder, commanded over its ctrl_tcp module, sending a tone from a file and recording what it hears. Start
// at [Start].
package baresip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/tone"
)

// Options say what the phone sends.
type Options struct {
	Tone float64 // hertz
}

const (
	loopback   = "127.0.0.1" // baresip takes an interface's own address only
	program    = "baresip"
	modules    = "/usr/lib/baresip/modules"
	toneLength = 60 * time.Second
	loudness   = 0.3
	startLimit = 10 * time.Second
	stopLimit  = 3 * time.Second
)

// Agent is one running baresip.
type Agent struct {
	dir     string
	cmd     *exec.Cmd
	exited  chan struct{}
	output  *lockedBuffer
	control net.Conn
	readers sync.WaitGroup

	mu      sync.Mutex
	token   int
	replies map[string]chan reply
	events  []Event
	changed chan struct{} // closed and replaced at each event
}

// lockedBuffer is what a process writes while others read it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Start starts a baresip without accounts and connects to it. The caller ends it with Close.
func Start(ctx context.Context, opt Options) (*Agent, error) {
	dir, err := os.MkdirTemp("", "mss-baresip-")
	if err != nil {
		return nil, fmt.Errorf("start baresip: %w", err)
	}
	a := &Agent{
		dir: dir, exited: make(chan struct{}), output: &lockedBuffer{},
		replies: map[string]chan reply{}, changed: make(chan struct{}),
	}
	control, err := a.configure(opt)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	// -s traces SIP to the output, which a failed test shows. Not CommandContext: Close ends it.
	a.cmd = exec.Command(program, "-s", "-f", dir) //nolint:noctx // see above
	a.cmd.Stdout, a.cmd.Stderr = a.output, a.output
	if err := a.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start baresip: %w", err), os.RemoveAll(dir))
	}
	go func() {
		// How it ended is of no interest: Close kills it when it must.
		_ = a.cmd.Wait()
		close(a.exited)
	}()
	if err := a.connect(ctx, control); err != nil {
		out := a.Output()
		a.Close()
		return nil, fmt.Errorf("%w; its output:\n%s", err, out)
	}
	return a, nil
}

func (a *Agent) configure(opt Options) (control netip.AddrPort, err error) {
	sound := filepath.Join(a.dir, "tone.wav")
	samples := tone.NewGenerator(opt.Tone, tone.Rate, loudness).Next(int(toneLength.Seconds()) * tone.Rate)
	if err := tone.WriteWAV(sound, tone.WAV{Rate: tone.Rate, Samples: samples}); err != nil {
		return control, err
	}
	sip, control, err := freePorts()
	if err != nil {
		return control, err
	}
	config := strings.Join([]string{
		"module_path " + modules,
		"module g711.so", "module aufile.so", "module sndfile.so",
		"module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so",
		"ctrl_tcp_listen " + control.String(),
		"sip_listen " + sip.String(),
		"net_interface " + loopback,
		"audio_source aufile," + sound,
		"snd_path " + a.dir,
		"call_local_timeout 60",
	}, "\n") + "\n"
	for name, text := range map[string]string{"config": config, "accounts": "", "contacts": ""} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o600); err != nil {
			return control, fmt.Errorf("configure baresip: %w", err)
		}
	}
	return control, nil
}

// freePorts finds a port that is free over UDP and TCP, with the next one free over TCP for TLS, and another that is free
// over TCP.
func freePorts() (sip, control netip.AddrPort, err error) {
	for range 20 {
		sip, control, err = tryPorts()
		if err == nil {
			return sip, control, nil
		}
	}
	return sip, control, fmt.Errorf("find free ports: %w", err)
}

func tryPorts() (sip, control netip.AddrPort, err error) {
	first, err := net.Listen("tcp", loopback+":0") //nolint:noctx // binds and closes
	if err != nil {
		return sip, control, err
	}
	defer first.Close()
	second, err := net.Listen("tcp", loopback+":0") //nolint:noctx // binds and closes
	if err != nil {
		return sip, control, err
	}
	defer second.Close()
	datagrams, err := net.ListenPacket("udp", first.Addr().String()) //nolint:noctx // binds and closes
	if err != nil {
		return sip, control, err
	}
	defer datagrams.Close()
	sip, err = netip.ParseAddrPort(first.Addr().String())
	if err != nil {
		return sip, control, err
	}
	next := netip.AddrPortFrom(sip.Addr(), sip.Port()+1)
	secure, err := net.Listen("tcp", next.String()) //nolint:noctx // binds and closes
	if err != nil {
		return sip, control, err
	}
	defer secure.Close()
	control, err = netip.ParseAddrPort(second.Addr().String())
	return sip, control, err
}

func (a *Agent) connect(ctx context.Context, control netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", control.String())
		if err == nil {
			a.control = conn
			a.readers.Go(a.read)
			return nil
		}
		timer := time.NewTimer(10 * time.Millisecond)
		select {
		case <-timer.C:
		case <-a.exited:
			return fmt.Errorf("baresip ended at once")
		case <-ctx.Done():
			return fmt.Errorf("connect to baresip: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// Output is what it printed, with its trace of SIP.
func (a *Agent) Output() string { return a.output.String() }

// Close ends the process and removes its folder.
func (a *Agent) Close() {
	if a.control != nil {
		_ = a.control.Close()
		a.readers.Wait()
	}
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err == nil {
		select {
		case <-a.exited:
		case <-time.After(stopLimit):
			_ = a.cmd.Process.Kill() // it may have ended just now
		}
	}
	<-a.exited
	_ = os.RemoveAll(a.dir) // a folder under the system's own for temporary files
}
