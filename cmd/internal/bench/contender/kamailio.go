package contender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/node"
)

const (
	startLimit = 10 * time.Second
	stopLimit  = 5 * time.Second
)

// ErrNoKamailio says that Kamailio is not installed.
var ErrNoKamailio = errors.New("kamailio is not installed: run make setup-packages, or apt-get install kamailio")

// kamailio is a running Kamailio.
type kamailio struct {
	addr  netip.AddrPort
	cmd   *exec.Cmd
	ended chan struct{}
	log   string
}

// lookKamailio finds the program, which Debian puts where not every PATH looks.
func lookKamailio() (string, error) {
	for _, name := range []string{"kamailio", "/usr/sbin/kamailio", "/usr/local/sbin/kamailio"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoKamailio
}

// KamailioVersion is the first line that Kamailio says of itself.
func KamailioVersion(ctx context.Context) (string, error) {
	path, err := lookKamailio()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "-v").Output()
	if err != nil {
		return "", fmt.Errorf("ask kamailio for its version: %w", err)
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	return string(line), nil
}

func startKamailio(ctx context.Context, setup Setup) (Server, error) {
	path, err := lookKamailio()
	if err != nil {
		return nil, err
	}
	k := &kamailio{ended: make(chan struct{}), log: filepath.Join(setup.Dir, "kamailio.log")}
	if k.addr, err = FreePort(node.NewAddress()); err != nil {
		return nil, err
	}
	config := filepath.Join(setup.Dir, "kamailio.cfg")
	if err := k.configure(config, setup); err != nil {
		return nil, err
	}
	log, err := os.Create(k.log)
	if err != nil {
		return nil, fmt.Errorf("start kamailio: %w", err)
	}
	defer log.Close()
	// Without -x fm -X fm it is four times slower and no fair anchor. Not CommandContext, which would leave its children
	// behind: Stop ends them all.
	k.cmd = exec.Command(path, "-DD", "-E", "-f", config, "-m", "1024", "-M", "16", "-x", "fm", "-X", "fm", "-Y", setup.Dir, "-w", setup.Dir)
	k.cmd.Stdout, k.cmd.Stderr = log, log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start kamailio: %w", err)
	}
	go func() {
		_ = k.cmd.Wait() // it is asked to end; ready tells of an end that comes too early
		close(k.ended)
	}()
	if err := k.ready(ctx); err != nil {
		return nil, errors.Join(err, k.Stop())
	}
	return k, nil
}

func (k *kamailio) configure(file string, setup Setup) error {
	text, err := template.ParseFiles(filepath.Join(setup.Files, "kamailio.cfg"))
	if err != nil {
		return fmt.Errorf("configure kamailio: %w", err)
	}
	modules, err := filepath.Glob("/usr/lib*/*/kamailio/modules/tm.so")
	if err == nil && len(modules) == 0 {
		modules, err = filepath.Glob("/usr/*/lib*/kamailio/modules/tm.so")
	}
	if err != nil || len(modules) == 0 {
		return errors.Join(errors.New("configure kamailio: its module tm.so is not under /usr: install the whole package kamailio"), err)
	}
	var b bytes.Buffer
	err = text.Execute(&b, map[string]string{
		"Listen": k.addr.String(), "Next": setup.Callee.String(), "Modules": filepath.Dir(modules[0]) + "/",
	})
	if err == nil {
		err = os.WriteFile(file, b.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("configure kamailio: %w", err)
	}
	return nil
}

// ready waits for its socket. What is sent from then on waits there for its worker.
func (k *kamailio) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err := WaitBound(ctx, k.addr, k.ended)
	if errors.Is(err, ErrEnded) {
		said, rerr := os.ReadFile(k.log)
		return errors.Join(fmt.Errorf("start kamailio: %w; it said: %s", err, said), rerr)
	}
	if err != nil {
		return fmt.Errorf("start kamailio: %w", err)
	}
	return nil
}

// Addr is where it takes calls.
func (k *kamailio) Addr() netip.AddrPort { return k.addr }

// PID is its main process.
func (k *kamailio) PID() int { return k.cmd.Process.Pid }

// Apart is none.
func (k *kamailio) Apart() int { return 0 }

// Stop ends its processes, which are a group of their own.
func (k *kamailio) Stop() error {
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop kamailio: %w", err)
	}
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-k.ended:
	case <-timer.C:
	}
	if err := syscall.Kill(-k.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop kamailio: %w", err)
	}
	<-k.ended
	return nil
}
